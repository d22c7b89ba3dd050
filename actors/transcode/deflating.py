"""The deflated transfer syntax (PS3.5 section A.5): a data set as one raw stream of RFC 1951, in and out.

It must not hold more than its limit in memory, whatever a stream promises.
"""

from __future__ import annotations

import zlib
from typing import BinaryIO

from protocol.errors import UnreadableImage

MAX_INFLATED_BYTES = 1 << 30
_RAW = -zlib.MAX_WBITS


def inflated(data: memoryview) -> memoryview:
    """The data set. Raises UnreadableImage: it is damaged, cut, or larger than what is changed here."""
    inflater = zlib.decompressobj(_RAW)
    try:
        found = inflater.decompress(data, MAX_INFLATED_BYTES)
    except zlib.error as exc:
        raise UnreadableImage("it cannot be inflated") from exc
    if not inflater.eof:
        raise UnreadableImage("inflated it is too large, or its stream is cut")
    return memoryview(found)


class Deflating:
    """Writes a data set into `out`, deflated; of even length in the end."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self._deflater = out, zlib.compressobj(6, zlib.DEFLATED, _RAW)

    def write(self, data: bytes | memoryview) -> None:
        self._out.write(self._deflater.compress(data))

    def end(self) -> None:
        """The rest of the stream, and a NUL behind one of odd length."""
        self._out.write(self._deflater.flush())
        if self._out.tell() % 2:
            self._out.write(b"\0")
