"""One DICOM object on its way into the spool, from what came in to what is stored; plain values and pure questions.
It must not read or write anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, NamedTuple

from protocol.header.scan import Header
from protocol.header.uids import uid_fault
from protocol.records import record
from protocol.spool.part10 import FileMeta
from protocol.spool.places import Places


@record
class Incoming:
    """One object as it came in. `reason` set: it cannot be read or placed and goes to quarantine."""

    association: bytes
    calling_ae: str
    called_ae: str
    address: str
    source: str | None
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    dataset: bytes | memoryview
    header: Header | None
    reason: str | None = None

    @property
    def origin(self) -> Origin:
        """Who sent it."""
        return Origin(self.association, self.calling_ae, self.called_ae, self.address, self.source)


@record
class Origin:
    """Who sends, the same for all objects of an association."""

    association: bytes
    calling_ae: str
    called_ae: str
    address: str
    source: str | None


class Saved(NamedTuple):
    """An object whose bytes are at their final place; it counts once `commit` has its row."""

    receipt: bytes
    meta: FileMeta
    source: str | None
    file: str  # relative to the images or quarantine folder
    values: Mapping[str, Any]
    reason: str | None = None
    why: str = "received"
    twins: Mapping[bytes, bool] | None = None  # receipts compared before the lock: are the bytes equal?
    new: bool = False  # the receipt was made for it, and no commit of it was tried before
    resend: bool = False  # it counts as a new image though it may equal one that came before
    like: Mapping[str, Any] | None = None  # the values of another image, the same mapping for many,
    but: tuple[str, ...] = ()  # and in which of them this one may differ


class Receipt(NamedTuple):
    """What became of one image; `stored`, `duplicate` and `quarantined` may be acknowledged, `failed` may not."""

    receipt: bytes
    outcome: str
    arrival: int = 0
    error: Exception | None = None


@record
class ImageFile:
    """Where a stored image's data set is: bytes from `offset` (bytes) to the end of `path`.

    `values` holds what the target's layout needs of its header and arrival, and nothing else (Deliveries.with_values).
    """

    receipt: bytes
    path: Path
    offset: int
    bytes: int
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    values: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


def misplaced(incoming: Incoming) -> str | None:
    """Why an object cannot be placed, or None (known-failures 36, 37). Pure; the text has no patient data."""
    if incoming.reason:
        return incoming.reason
    if incoming.header is None:
        return "the header was not read"
    return misplacement(incoming.header, incoming.sop_class_uid, incoming.sop_instance_uid)


def misplacement(header: Header, sop_class_uid: str, sop_instance_uid: str) -> str | None:
    """Why an object with this header, sent under these UIDs, cannot be placed, or None."""
    sop_uid = header.sop_uid
    for name, uid in (("study", header.study_uid), ("series", header.series_uid), ("SOP", sop_uid)):
        fault = uid_fault(uid)
        if fault:
            return f"the {name} instance UID is {fault}"
    if not sop_instance_uid:
        return "the C-STORE command names no SOP instance UID"
    if sop_uid != sop_instance_uid:
        return "the SOP instance UID of the data set is not the one of the C-STORE command"
    fault = uid_fault(sop_class_uid)
    return f"the SOP class UID is {fault}" if fault else None


def image_file(places: Places, row: Any) -> ImageFile:
    """The file of an image row."""
    return ImageFile(
        row["receipt"], places.images / row["file"], row["offset"], row["bytes"], row["sop_class_uid"], row["sop_uid"],
        row["transfer_syntax_uid"],
    )  # fmt: skip
