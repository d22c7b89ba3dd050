"""The words, category and retry advice of each C-STORE status. It must not know who asked or what happens next.

Sources: PS3.4 table B.2-1 (storage), PS3.7 section 9.1.1.1.9 and Annex C (general). Categories follow Annex C; one
difference: 0111 (duplicate SOP instance) is a failure by the book, but the peer says that it *has* the object,
so for a router it is success with a warning. Retryable means that repeating the very same request can help:

    ======  =====================================================  =========  ================================
    status  words                                                  category   retryable, why
    ======  =====================================================  =========  ================================
    0000    stored                                                 success
    B000    stored, elements changed                               warning
    B006    stored, elements discarded                             warning
    B007    stored, does not match its SOP class                   warning
    0111    already there                                          warning
    A7xx    out of resources                                       failure    yes: space comes back
    0110    processing failure                                     failure    yes: no reason given
    0213    resource limitation                                    failure    yes: space comes back
    A9xx    dataset does not match the SOP class                   failure    no: it will not match tomorrow
    Cxxx    cannot understand                                      failure    no: same bytes, same answer
    0122    SOP class not supported                                failure    no
    0124    not authorised                                         failure    no: somebody must permit it
    other   see WORDS                                              failure    no
    ======  =====================================================  =========  ================================
"""

from __future__ import annotations

from typing import Literal

Category = Literal["success", "warning", "failure"]

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
DUPLICATE = 0x0111
SOP_CLASS_NOT_SUPPORTED = 0x0122
NOT_AUTHORISED = 0x0124
UNRECOGNISED_OPERATION = 0x0211
RESOURCE_LIMITATION = 0x0213
OUT_OF_RESOURCES = 0xA700
DATASET_MISMATCH = 0xA900
STORED_MISMATCH = 0xB007
CANNOT_UNDERSTAND = 0xC000
PENDING = frozenset((0xFF00, 0xFF01))  # not of C-STORE, but some peers say so before their last word

WORDS = {
    0x0000: "stored",
    0x0001: "requested optional attributes are not supported",
    0x0105: "no such attribute",
    0x0106: "invalid attribute value",
    0x0107: "attribute list error",
    0x0110: "processing failure",
    0x0111: "already there (duplicate SOP instance)",
    0x0112: "no such SOP instance",
    0x0115: "invalid argument value",
    0x0116: "attribute value out of range",
    0x0117: "invalid SOP instance",
    0x0118: "no such SOP class",
    0x0119: "class and instance conflict",
    0x0120: "missing attribute",
    0x0121: "missing attribute value",
    0x0122: "SOP class not supported",
    0x0124: "not authorised",
    0x0210: "duplicate invocation",
    0x0211: "unrecognised operation",
    0x0212: "mistyped argument",
    0x0213: "resource limitation",
    0xB000: "stored, elements were changed",
    0xB006: "stored, elements were discarded",
    0xB007: "stored, does not match its SOP class",
    0xFE00: "cancelled",
}
_WARNINGS = frozenset((0x0001, 0x0107, 0x0111, 0x0116))
_RETRYABLE = frozenset((PROCESSING_FAILURE, 0x0213))


def words(status: int) -> str:
    """What `status` means, in words for people."""
    if status in WORDS:
        return WORDS[status]
    if status >> 8 == 0xA7:
        return "refused: out of resources"
    if status >> 8 == 0xA9:
        return "dataset does not match the SOP class"
    if status >> 12 == 0xC:
        return "cannot understand"
    if status >> 12 == 0xB:
        return "stored with a warning"
    return "unknown status"


def category(status: int) -> Category:
    """Success, warning (the peer has the object) or failure (it has not)."""
    if status == SUCCESS:
        return "success"
    if status in _WARNINGS or status >> 12 == 0xB:
        return "warning"
    return "failure"


def retryable(status: int) -> bool:
    """Whether the same request can succeed later; False for everything that is no failure."""
    return status in _RETRYABLE or status >> 8 == 0xA7


def describe(status: int) -> str:
    """Code and words, such as ``A700 refused: out of resources``."""
    return f"{status:04X} {words(status)}"


ANSWERS = {
    SUCCESS: "The object and the record of it are as durable as `receiver.durability` promises.",
    STORED_MISMATCH: "The object is stored, although the SOP class of the dataset is not the one of the request.",
    OUT_OF_RESOURCES: "Disk space or inodes are at their reserve, or the object is larger than `receiver.max_object_gb`.",
    DATASET_MISMATCH: "UIDs of the dataset are missing or not those of the request, and `unreadable` is `refuse`.",
    CANNOT_UNDERSTAND: "The dataset is missing; or it cannot be read, and `unreadable` is `refuse`.",
    PROCESSING_FAILURE: "Storing failed for a reason of ours; the object may be sent again.",
    NOT_AUTHORISED: "The source may not store this: not accepted any more, a SOP class not its own, above its `max_object_mb`.",
    SOP_CLASS_NOT_SUPPORTED: "The request names a SOP class that is not the one of its presentation context.",
    UNRECOGNISED_OPERATION: "The operation is none of those described here.",
}
"""When the receiver answers which status; docs/conformance.md is made from it."""
