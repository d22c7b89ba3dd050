"""Storage commitment push model (PS3.4 Annex J): its data sets as values and as bytes, for both sides.

It must not know sockets, the spool, or who may ask for what.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from actors.dicom.dimse import IMPLICIT_LITTLE
from protocol.errors import ImageError
from protocol.header.datasets import Bytes, DataSet, Items, Unreadable, element, read, sequence
from protocol.records import record

SOP_CLASS = "1.2.840.10008.1.20.1"
SOP_INSTANCE = "1.2.840.10008.1.20.1.1"
REQUEST_COMMITMENT = 1  # action type, PS3.4 table J.3-1
ALL_COMMITTED, SOME_FAILED = 1, 2  # event types, PS3.4 table J.3-2

SAME_ASSOCIATION_S = 30.0  # so long after a request its answer may go out on its own association

MAX_BYTES = 32 * 1024 * 1024
MAX_REFERENCES = 100_000
MAX_UID = 64  # characters, PS3.5 section 9.1

_TRANSACTION, _FAILED, _REFERENCED = 0x00081195, 0x00081198, 0x00081199
_CLASS, _INSTANCE, _REASON = 0x00081150, 0x00081155, 0x00081197
_SEQUENCES = frozenset((_FAILED, _REFERENCED))
_VALUES = frozenset((_TRANSACTION, _CLASS, _INSTANCE, _REASON))

# Answers of PS3.7 Annex C
_PROCESSING_FAILURE, _INVALID_ARGUMENT, _MISSING_ATTRIBUTE, _RESOURCE_LIMITATION = 0x0110, 0x0115, 0x0120, 0x0213

Reference = tuple[str, str]
"""(SOP class UID, SOP instance UID)"""


class Malformed(ImageError):
    """A data set that is no commitment request or report; `status` is what to answer (PS3.7 Annex C)."""

    def __init__(self, message: str, status: int) -> None:
        self.status = status
        super().__init__(message)


@record
class Request:
    """Action information of an N-ACTION, PS3.4 table J.3-1."""

    transaction_uid: str
    references: tuple[Reference, ...]


@record
class Report:
    """Event information of an N-EVENT-REPORT, PS3.4 table J.3-2. `failed` has a failure reason (0008,1197) each."""

    transaction_uid: str
    committed: tuple[Reference, ...] = ()
    failed: tuple[tuple[str, str, int], ...] = ()

    @property
    def event_type(self) -> int:
        """1 if everything is committed, else 2."""
        return SOME_FAILED if self.failed else ALL_COMMITTED

    @property
    def instances(self) -> tuple[list[str], dict[str, int]]:
        """SOP instance UIDs that are committed, and those that are not with their failure reasons."""
        return [uid for _, uid in self.committed], {uid: reason for _, uid, reason in self.failed}


def encode_request(request: Request, transfer_syntax_uid: str) -> bytes:
    """The data set of an N-ACTION-RQ."""
    explicit = transfer_syntax_uid != IMPLICIT_LITTLE
    items = [_item(*one, None, explicit) for one in request.references]
    return _uid_element(_TRANSACTION, request.transaction_uid, explicit) + sequence(_REFERENCED, items, explicit)


def encode_report(report: Report, transfer_syntax_uid: str) -> bytes:
    """The data set of an N-EVENT-REPORT-RQ; empty sequences are left out (type 1C)."""
    explicit = transfer_syntax_uid != IMPLICIT_LITTLE
    data = _uid_element(_TRANSACTION, report.transaction_uid, explicit)
    if report.failed:
        data += sequence(_FAILED, [_item(*one, explicit) for one in report.failed], explicit)
    if report.committed:
        data += sequence(_REFERENCED, [_item(*one, None, explicit) for one in report.committed], explicit)
    return data


def decode_request(data: Bytes | None, transfer_syntax_uid: str) -> Request:
    """Read an N-ACTION's data set. Raises Malformed."""
    found = _decode(data, transfer_syntax_uid)
    references = tuple((uid, instance) for uid, instance, _ in _references(found, _REFERENCED))
    if not references:
        raise Malformed("the request names no image", _MISSING_ATTRIBUTE)
    return Request(_transaction(found), references)


def decode_report(data: Bytes | None, transfer_syntax_uid: str) -> Report:
    """Read an N-EVENT-REPORT's data set. Raises Malformed."""
    found = _decode(data, transfer_syntax_uid)
    committed = tuple((uid, instance) for uid, instance, _ in _references(found, _REFERENCED))
    return Report(_transaction(found), committed, tuple(_references(found, _FAILED)))


# -- inner -------------------------------------------------------------------------------------------------------------


def _uid_element(tag: int, uid: str, explicit: bool) -> bytes:
    return element(tag, b"UI", uid.encode("ascii", "replace"), explicit)


def _item(sop_class_uid: str, sop_instance_uid: str, reason: int | None, explicit: bool) -> bytes:
    data = _uid_element(_CLASS, sop_class_uid, explicit) + _uid_element(_INSTANCE, sop_instance_uid, explicit)
    return data if reason is None else data + element(_REASON, b"US", struct.pack("<H", reason), explicit)


def _decode(data: Bytes | None, transfer_syntax_uid: str) -> DataSet:
    if not data:
        raise Malformed("there is no data set", _MISSING_ATTRIBUTE)
    if len(data) > MAX_BYTES:
        raise Malformed("the data set is too long", _RESOURCE_LIMITATION)
    try:
        return read(data, transfer_syntax_uid != IMPLICIT_LITTLE, _VALUES, _SEQUENCES)
    except Unreadable as exc:
        raise Malformed(str(exc), _PROCESSING_FAILURE) from exc


def _transaction(found: DataSet) -> str:
    return _uid(found, _TRANSACTION, "there is no transaction UID")


def _references(found: DataSet, tag: int) -> Iterable[tuple[str, str, int]]:
    """(class, instance, failure reason or 0) of each item of a sequence; nothing if it is missing."""
    items: Items = found.sequences.get(tag, [])
    if len(items) > MAX_REFERENCES:
        raise Malformed(f"more than {MAX_REFERENCES} images in one transaction", _RESOURCE_LIMITATION)
    missing = "an image is named without its UIDs"
    for item in items:
        reason = int.from_bytes(item.values.get(_REASON, b"")[:2], "little")
        yield _uid(item, _CLASS, missing), _uid(item, _INSTANCE, missing), reason


def _uid(found: DataSet, tag: int, missing: str) -> str:
    raw = found.values.get(tag, b"").strip(b" \0")
    if not raw:
        raise Malformed(missing, _MISSING_ATTRIBUTE)
    # Not stricter: what is no UID names no image here, and is reported as such.
    if len(raw) > MAX_UID or not all(0x21 <= byte <= 0x7E and byte != 0x5C for byte in raw):
        raise Malformed("a UID is too long or holds characters that no UID has", _INVALID_ARGUMENT)
    return raw.decode("ascii")
