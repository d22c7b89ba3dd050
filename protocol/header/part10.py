"""The header values of a Part 10 file (PS3.10 section 7.1) that is there as bytes, as the receiver would have scanned them.

It must not keep the bytes, nor need all of them: what stands before the pixel data is enough.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from protocol.errors import UnreadableHeader, UnreadableImage
from protocol.header.filemeta import start_in
from protocol.header.scan import scan, scan_head


def values_of(data: bytes, extra: Collection[str] = ()) -> dict[str, Any]:
    """The values by keyword; `extra` names more than the usual ones. Raises UnreadableHeader: no such file, no such header."""
    try:
        offset, syntax = start_in(data)
    except UnreadableImage as exc:
        raise UnreadableHeader(str(exc)) from exc
    if not syntax:
        raise UnreadableHeader("its file meta information names no transfer syntax")
    body = memoryview(data)[offset:]
    try:
        header = scan_head(body, syntax, extra=extra) or scan(body, syntax, extra=extra)
    except (UnreadableImage, ValueError) as exc:
        raise UnreadableHeader(f"its header cannot be read: {exc}") from exc
    return {**header.values, "TransferSyntaxUID": syntax}
