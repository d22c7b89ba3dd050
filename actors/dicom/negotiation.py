"""Which presentation contexts the receiver accepts, and in which transfer syntax. It must not know who asks."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom._uid_dict import UID_dictionary

from actors.dicom.dimse import IMPLICIT_LITTLE, VERIFICATION
from actors.dicom.pdus import (
    ABSTRACT_SYNTAX_NOT_SUPPORTED,
    ACCEPTED,
    TRANSFER_SYNTAXES_NOT_SUPPORTED,
    ContextResult,
    ProposedContext,
)

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

# Known transfer syntaxes in which no C-STORE dataset exists: MIME and XML encapsulation, real-time video.
_NO_DATASET = ("1.2.840.10008.1.2.6.", "1.2.840.10008.1.2.7.")
_DICOM_ROOT = "1.2.840.10008."


def is_storage(sop_class_uid: str) -> bool:
    """Whether images of this SOP class can be stored: all storage classes of PS3.6 Annex A, all it does not know.

    Unknown ones are private classes and those of a newer standard; a router has no reason to refuse either.
    """
    known = UID_dictionary.get(sop_class_uid)
    if known is None:
        return bool(sop_class_uid)
    name, kind = known[0], known[1]
    if kind != "SOP Class":
        return False
    # Two retired classes of the storage branch have an empty name in the registry.
    return ("Storage" in name and "Storage Commitment" not in name) or not name


def choose(context: ProposedContext) -> ContextResult:
    """Answer one proposed context.

    The requestor's order counts, with four ranks before it: Explicit VR and all compressed syntaxes, then Implicit VR
    (a sender that converts to it loses the VRs of private elements), then big endian, then syntaxes unknown to us.
    """
    first = context.transfer_syntaxes[0] if context.transfer_syntaxes else IMPLICIT_LITTLE
    if context.abstract_syntax != VERIFICATION and not is_storage(context.abstract_syntax):
        return ContextResult(context.context_id, ABSTRACT_SYNTAX_NOT_SUPPORTED, first)
    usable = [uid for uid in context.transfer_syntaxes if uid and not uid.startswith(_NO_DATASET)]
    if not usable:
        return ContextResult(context.context_id, TRANSFER_SYNTAXES_NOT_SUPPORTED, first)
    return ContextResult(context.context_id, ACCEPTED, min(usable, key=_rank))  # min keeps the requestor's order


def choose_all(contexts: Iterable[ProposedContext]) -> tuple[ContextResult, ...]:
    """Answer all proposed contexts in their order."""
    return tuple(choose(context) for context in contexts)


def _rank(transfer_syntax: str) -> int:
    if transfer_syntax == IMPLICIT_LITTLE:
        return 1
    if transfer_syntax == EXPLICIT_BIG:
        return 2
    if transfer_syntax in UID_dictionary:
        return 0
    return 3 if transfer_syntax.startswith(_DICOM_ROOT) else 4
