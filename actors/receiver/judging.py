"""What one object is and whether it can be placed: its header, the folder it goes to, why it is refused or set aside.
It must not write, record or answer anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from actors.dicom.service import StoreCommand
from actors.dicom.statuses import STORED_MISMATCH, SUCCESS
from actors.receiver.associations import Served
from actors.receiver.terms import Refusal
from protocol.header.scan import Header
from protocol.spool.objects import misplacement
from protocol.spool.places import association_key, series_key

FIRST_PIECE = 16 << 10  # bytes of a PDU that most headers fit into; to put pieces together copies them


class Judged(NamedTuple):
    """`reason`: why it goes to quarantine, or None. `refusal`: it is not taken; else `status` answers it."""

    reason: str | None
    refusal: Refusal | None
    status: int = SUCCESS


PLAIN = Judged(None, None)


def header_of(served: Served, command: StoreCommand, pieces: Sequence[memoryview], whole: bool) -> Header | None:
    """The header out of the first bytes of an object, or all of them (`whole`); None: it needs more of them.

    Raises UnreadableImage, with a reason free of patient data.
    """
    scanner, syntax = served.scanner, command.transfer_syntax_uid
    assert scanner is not None
    if len(pieces) > 1 and len(pieces[0]) >= FIRST_PIECE:
        header = scanner.scan_head(pieces[0], syntax)
        if header is not None:
            return header
    beginning = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return scanner.scan(beginning, syntax) if whole else scanner.scan_head(beginning, syntax)


def key_of(served: Served, header: Header | None) -> bytes:
    """32 bytes that name the folder of an object."""
    if header is not None:
        study_uid, series_uid = header.study_uid, header.series_uid
        if study_uid and series_uid:
            return series_key(study_uid, series_uid, served.peer.calling_ae)
    return association_key(served.id)


def judged(served: Served, command: StoreCommand, header: Header | None, unreadable: str | None) -> Judged:
    """What to do with an object that is there whole; one without a header is unreadable."""
    terms = served.terms
    if unreadable is None:
        assert header is not None
        misplaced = misplacement(header, command.sop_class_uid, command.sop_instance_uid)
        if misplaced is None:
            other = terms.of_class(command.sop_class_uid, header)
            if other is None:
                return PLAIN
            return Judged(None, None, STORED_MISMATCH) if other.status == STORED_MISMATCH else Judged(None, other)
    else:
        misplaced = unreadable
    return Judged(misplaced, terms.unplaced(unreadable, misplaced))
