"""Builds data sets byte by byte for the tests of the header scan. It must not use what it helps to test."""

from __future__ import annotations

import struct

LONG = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
UNDEFINED = 0xFFFFFFFF
EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"


def element(tag: int, vr: str, value: bytes, syntax: str = EXPLICIT, length: int | None = None) -> bytes:
    """One data element (PS3.5 section 7.1); `length` overrides the true one."""
    order = ">" if syntax == BIG else "<"
    size = len(value) if length is None else length
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT:
        return head + struct.pack("<I", size) + value
    if vr in LONG:
        return head + vr.encode() + struct.pack(order + "HI", 0, size) + value
    return head + vr.encode() + struct.pack(order + "H", size) + value


def item(content: bytes, syntax: str = EXPLICIT, defined: bool = False) -> bytes:
    """One item of a sequence, with a delimiter unless `defined`."""
    order = ">" if syntax == BIG else "<"
    length = len(content) if defined else UNDEFINED
    start = struct.pack(order + "HHI", 0xFFFE, 0xE000, length)
    return start + content + (b"" if defined else struct.pack(order + "HHI", 0xFFFE, 0xE00D, 0))


def sequence(tag: int, items: list[bytes], syntax: str = EXPLICIT, defined: bool = False, vr: str = "SQ") -> bytes:
    """A sequence element, with a delimiter unless `defined`."""
    order = ">" if syntax == BIG else "<"
    content = b"".join(items)
    if defined:
        return element(tag, vr, content, syntax)
    return element(tag, vr, content, syntax, UNDEFINED) + struct.pack(order + "HHI", 0xFFFE, 0xE0DD, 0)
