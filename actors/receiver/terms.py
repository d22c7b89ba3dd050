"""What one revision of the routing configuration lets a source do, and which status answers what it may not do.
Plain values and pure questions: it must not store, record or wait.

Statuses are those of PS3.4 table B.2-1 and PS3.7 Annex C:

    ====  ==========================================================================================================
    A700  no room: the disk's reserve, or larger than this receiver takes at all. Senders try again.
    A900  with `unreadable = "refuse"`: UIDs missing, or not those of the command. Else kept in quarantine, acknowledged.
    C000  with `unreadable = "refuse"`: the data set cannot be read, or there is none.
    B007  stored, although its SOP class is not the command's (with "refuse": A900).
    0122  the command names a SOP class that is none of storage, or another one than its presentation context.
    0124  the source may not store this: not accepted any more, a SOP class not its own, larger than its limit. Trying
          again does not help, so it is not A700: a scanner would repeat the same gigabytes for ever.
    ====  ==========================================================================================================
"""

from __future__ import annotations

from typing import NamedTuple

from actors.dicom.negotiation import is_storage
from actors.dicom.statuses import (
    CANNOT_UNDERSTAND,
    DATASET_MISMATCH,
    NOT_AUTHORISED,
    OUT_OF_RESOURCES,
    SOP_CLASS_NOT_SUPPORTED,
    STORED_MISMATCH,
)
from protocol.header.scan import Header
from protocol.records import record
from protocol.routing.sources import Source

MB = 10**6


class Refusal(NamedTuple):
    """The status of a C-STORE response and the reason in words, free of patient data."""

    status: int
    reason: str


@record
class Terms:
    """How objects of an association are taken. `rejection`: why it may not be there at all, or an empty text."""

    source: str | None = None
    rejection: str = ""
    charset: str | None = None
    resend: bool = False
    refuse_unreadable: bool = False
    max_associations: int | None = None
    max_images_per_s: float | None = None
    max_bytes: int | None = None
    sop_classes: frozenset[str] | None = None

    def before(self, sop_class_uid: str) -> Refusal | None:
        """Why an object is not taken, known before its first byte."""
        if self.rejection:  # a revision came while the association was open
            return Refusal(NOT_AUTHORISED, self.rejection)
        if not is_storage(sop_class_uid):
            return Refusal(SOP_CLASS_NOT_SUPPORTED, "the SOP class of the command is none of storage")
        if self.sop_classes is not None and sop_class_uid not in self.sop_classes:
            return Refusal(NOT_AUTHORISED, f"source '{self.source}' may not store this SOP class")
        return None

    def too_large(self, size: int) -> Refusal | None:
        """Why an object that has `size` bytes by now is not taken. The limit of the receiver is another matter."""
        if self.max_bytes is None or size <= self.max_bytes:
            return None
        return Refusal(
            NOT_AUTHORISED, f"larger than the {self.max_bytes / MB:g} MB that source '{self.source}' may store"
        )

    def unplaced(self, unreadable: str | None, misplaced: str | None) -> Refusal | None:
        """What to answer where an object cannot be read, or can be read but not placed; None: it goes to quarantine."""
        if not self.refuse_unreadable:
            return None
        if unreadable is not None:
            return Refusal(CANNOT_UNDERSTAND, unreadable)
        return None if misplaced is None else Refusal(DATASET_MISMATCH, misplaced)

    def of_class(self, command_class: str, header: Header) -> Refusal | None:
        """The data set's SOP class is not the command's; None if it is, or if none is written.

        Its identity is not in doubt, so a router stores and sends it on as it came, and says so (B007): the target is
        asked in its turn. Quarantine would keep a readable image from a target that takes it.
        """
        written = header.sop_class_uid
        if not written or written == command_class:
            return None
        status = DATASET_MISMATCH if self.refuse_unreadable else STORED_MISMATCH
        return Refusal(status, "the SOP class of the data set is not the one of the C-STORE command")


def beyond(max_bytes: int, size: int) -> Refusal | None:
    """The limit of the receiver, for everybody."""
    if size <= max_bytes:
        return None
    return Refusal(OUT_OF_RESOURCES, f"larger than the {max_bytes / MB:g} MB that this receiver takes")


def terms_of(name: str | None, source: Source | None, *, reject_unknown: bool, refuse_unreadable: bool) -> Terms:
    """The terms of a source, or of an unknown one (None)."""
    if source is None:
        rejection = "unknown source" if reject_unknown else ""
        return Terms(rejection=rejection, refuse_unreadable=refuse_unreadable)
    return Terms(
        source=name,
        rejection="" if source.accept else f"source '{name}' is not accepted",
        charset=source.charset,
        resend=source.resend == "deliver",
        refuse_unreadable=refuse_unreadable if source.unreadable is None else source.unreadable == "refuse",
        max_associations=source.max_associations,
        max_images_per_s=source.max_images_per_s,
        max_bytes=None if source.max_object_mb is None else int(source.max_object_mb * MB),
        sop_classes=None if source.sop_classes is None else frozenset(source.sop_classes),
    )
