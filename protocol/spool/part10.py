"""The DICOM Part 10 file meta header that scanpost puts before the dataset bytes (PS3.10 section 7.1).
It never looks into the dataset; besides the standard's elements it carries who sent the image, and in one private
element the receipt, the association, length and digest of the dataset and when it came, so that a file alone tells its story.

The first byte of that element is the seal: it says WHOLE once all of the object was there and nobody refused it.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from protocol.errors import UnreadableImage
from protocol.version import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION

PRIVATE_CREATOR_UID = IMPLEMENTATION_CLASS_UID + ".1"
PREAMBLE = bytes(128) + b"DICM"
_PRIVATE = struct.Struct("<B16s16sQ16sd")  # seal, receipt, association, dataset length, dataset digest, received
_PRIVATE_BYTES = (_PRIVATE.size + 1) & ~1
_PRIVATE_PADDING = bytes(_PRIVATE_BYTES - _PRIVATE.size)
WHOLE, OPEN = 1, 2
_GROUP_LENGTH = struct.Struct("<HH2sHL")
_LONG_VRS = frozenset({b"OB", b"UR", b"UT", b"UN", b"OW", b"SQ"})
MAX_META = 8192


class FileMeta(NamedTuple):
    """What a spool file says about itself; `offset` is where the dataset begins, in bytes."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae: str
    called_ae: str
    address: str
    receipt: bytes = b""
    association: bytes = b""
    length: int = 0
    digest: bytes = b""
    offset: int = 0
    received: float = 0.0  # seconds since 1970 UTC: which of two versions of an object is the newer
    whole: bool = True  # its seal says so; length and digest tell whether it is true


def _element(element: int, vr: bytes, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr in (b"UI", b"OB") else b" "
    if vr in _LONG_VRS:
        return struct.pack("<HH2sHL", 2, element, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", 2, element, vr, len(value)) + value


def _text(value: str, limit: int) -> bytes:
    # A UID or AE title that is none still has to be kept: anything odd becomes "?", the dataset keeps the truth.
    if value.isascii() and value.isprintable() and "\\" not in value:
        return value.encode("ascii")[:limit]
    clean = "".join(char if 32 <= ord(char) < 127 and char != "\\" else "?" for char in value)
    return clean.encode("ascii")[:limit]


def encode(meta: FileMeta) -> bytes:
    """Preamble, prefix and group 0002 in Explicit VR Little Endian; the dataset follows directly."""
    form = FileMetaForm(
        meta.sop_class_uid, meta.transfer_syntax_uid, meta.calling_ae, meta.called_ae, meta.address, meta.association
    )
    return form.fill(meta.sop_instance_uid, meta.receipt, meta.length, meta.digest, meta.received)


def fresh(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_ae: str = "") -> bytes:
    """Preamble, prefix and group 0002 for a file that leaves the spool: what PS3.10 table 7.1-1 requires, and nothing of
    ours. `source_ae`: the AE title that the image is sent under, if the target has one.
    """
    elements = b"".join((
        _element(0x0001, b"OB", b"\0\1"),
        _element(0x0002, b"UI", _text(sop_class_uid, 64)),
        _element(0x0003, b"UI", _text(sop_instance_uid, 64)),
        _element(0x0010, b"UI", _text(transfer_syntax_uid, 64)),
        _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID.encode()),
        _element(0x0013, b"SH", IMPLEMENTATION_VERSION.encode()),
        _element(0x0016, b"AE", _text(source_ae, 16)) if source_ae else b"",
    ))  # fmt: skip
    return PREAMBLE + _GROUP_LENGTH.pack(2, 0, b"UL", 4, len(elements)) + elements


class FileMetaForm:
    """The header of objects that differ only in SOP instance, receipt, length, digest and time: made once, filled often."""

    def __init__(
        self, sop_class_uid: str, transfer_syntax_uid: str, calling_ae: str, called_ae: str, address: str, association: bytes
    ) -> None:  # fmt: skip
        url, caller, called = _text(f"dicom://{address}", 256), _text(calling_ae, 16), _text(called_ae, 16)
        self._association = association
        self._before = _element(0x0001, b"OB", b"\0\1") + _element(0x0002, b"UI", _text(sop_class_uid, 64))
        self._after = b"".join((
            _element(0x0010, b"UI", _text(transfer_syntax_uid, 64)),
            _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID.encode()),
            _element(0x0013, b"SH", IMPLEMENTATION_VERSION.encode()),
            _element(0x0016, b"AE", caller),
            _element(0x0017, b"AE", caller),
            _element(0x0018, b"AE", called),
            _element(0x0026, b"UR", url),
            _element(0x0027, b"UR", url),
            _element(0x0028, b"UR", b"dicom://scanpost"),
            _element(0x0100, b"UI", PRIVATE_CREATOR_UID.encode()),
            struct.pack("<HH2sHL", 2, 0x0102, b"OB", 0, _PRIVATE_BYTES),
        ))  # fmt: skip

    def around(self) -> tuple[bytes, bytes]:
        """What stands before the SOP instance UID's element, with a group length still to be put in, and behind it, up to the
        value of the private element.
        """
        return PREAMBLE + _GROUP_LENGTH.pack(2, 0, b"UL", 4, 0) + self._before, self._after

    def fill(
        self, sop_instance_uid: str, receipt: bytes, length: int, digest: bytes, received: float, seal: int = WHOLE
    ) -> bytes:
        """The header of one object; with length 0 and no digest that of one whose end has not come yet."""
        private = _PRIVATE.pack(seal, receipt, self._association, length, digest, received)
        instance = _element(0x0003, b"UI", _text(sop_instance_uid, 64))
        size = len(self._before) + len(instance) + len(self._after) + _PRIVATE_BYTES
        return b"".join((PREAMBLE, _GROUP_LENGTH.pack(2, 0, b"UL", 4, size), self._before, instance, self._after,
                         private, _PRIVATE_PADDING))  # fmt: skip


def sealing(header: bytes, meta: FileMeta, seal: int = WHOLE) -> tuple[int, bytes]:
    """What to write where over a header that was filled as OPEN, once all is known: (offset, bytes)."""
    private = _PRIVATE.pack(seal, meta.receipt, meta.association, meta.length, meta.digest, meta.received)
    return len(header) - _PRIVATE_BYTES, private


def decode(start: bytes) -> FileMeta:
    """Read the file meta header from the first bytes of a file. Raises UnreadableImage if it is none of ours."""
    if start[128:132] != b"DICM":
        raise UnreadableImage("no DICM prefix")
    try:
        (length,) = struct.unpack_from("<L", start, 140)
        end = 144 + length
        if end > len(start):
            raise UnreadableImage("file meta header is cut off")
        found = _elements(start, 144, end)
    except (struct.error, ValueError) as exc:
        raise UnreadableImage("file meta header cannot be read") from exc
    text = {element: value.rstrip(b"\0 ").decode("ascii", "replace") for element, value in found.items()}
    private = found.get(0x0102, b"")
    if text.get(0x0100) != PRIVATE_CREATOR_UID or len(private) < _PRIVATE.size:
        raise UnreadableImage("file was not written by scanpost")
    seal, receipt, association, size, digest, received = _PRIVATE.unpack_from(private)
    return FileMeta(
        text.get(0x0002, ""), text.get(0x0003, ""), text.get(0x0010, ""), text.get(0x0016, ""), text.get(0x0018, ""),
        text.get(0x0026, "").removeprefix("dicom://"), receipt, association, size, digest, end, received, seal != OPEN,
    )  # fmt: skip


def _elements(raw: bytes, at: int, end: int) -> dict[int, bytes]:
    found = {}
    while at < end:
        _group, element, vr, length = struct.unpack_from("<HH2sH", raw, at)
        at += 8
        if vr in _LONG_VRS:
            (length,) = struct.unpack_from("<L", raw, at)
            at += 4
        if at + length > end:
            raise ValueError("element runs beyond the group")
        found[element] = raw[at : at + length]
        at += length
    return found
