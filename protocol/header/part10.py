"""The header values of a Part 10 file (PS3.10 section 7.1) that is there as bytes, as the receiver would have scanned them.

It must not keep the bytes, nor need all of them: what stands before the pixel data is enough.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from protocol.errors import UnreadableHeader, UnreadableImage
from protocol.header.scan import scan, scan_head

_LONG_VRS = frozenset((b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_PREAMBLE_BYTES = 132
_MAX_META_BYTES = 1024 * 1024
_SYNTAX = 0x0010


def values_of(data: bytes, extra: Collection[str] = ()) -> dict[str, Any]:
    """The values by keyword; `extra` names more than the usual ones. Raises UnreadableHeader: no such file, no such header."""
    if data[128:132] != b"DICM":
        raise UnreadableHeader("no DICOM file (no Part 10 prefix)")
    offset, syntax = _meta(data)
    if not syntax:
        raise UnreadableHeader("its file meta information names no transfer syntax")
    body = memoryview(data)[offset:]
    try:
        header = scan_head(body, syntax, extra=extra) or scan(body, syntax, extra=extra)
    except (UnreadableImage, ValueError) as exc:
        raise UnreadableHeader(f"its header cannot be read: {exc}") from exc
    return {**header.values, "TransferSyntaxUID": syntax}


def _meta(data: bytes) -> tuple[int, str]:
    """Where the dataset begins, and its transfer syntax: element by element, since (0002,0000) is often wrong."""
    offset, syntax = _PREAMBLE_BYTES, ""
    while data[offset : offset + 2] == b"\x02\x00" and len(data) >= offset + 12:
        element = int.from_bytes(data[offset + 2 : offset + 4], "little")
        if data[offset + 4 : offset + 6] in _LONG_VRS:
            length, size = int.from_bytes(data[offset + 8 : offset + 12], "little"), 12
        else:
            length, size = int.from_bytes(data[offset + 6 : offset + 8], "little"), 8
        end = offset + size + length
        if end > min(len(data), _MAX_META_BYTES):
            raise UnreadableHeader("its file meta information is cut off or too long")
        if element == _SYNTAX:
            syntax = data[offset + size : end].rstrip(b"\0 ").decode("ascii", "replace")
        offset = end
    return offset, syntax
