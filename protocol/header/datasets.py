"""Small data sets of services and reports (PS3.5 section 7), read with bounds on depth and work, and written; little endian.

It must not know what an element means. Images are not read with it (`scan` does). pydicom is the reference in its
tests; it has no bounds of its own, and these bytes come from anybody.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from protocol.errors import ImageError

Bytes = bytes | bytearray | memoryview
MAX_DEPTH = 16
MAX_ELEMENTS = 2_000_000

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
# PS3.5 section 7.1.2: these have two reserved bytes and a 32-bit length
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_TAG = struct.Struct("<HH")
_WORD = struct.Struct("<I")
_HALF = struct.Struct("<H")


class Unreadable(ImageError):
    """The bytes are no data set."""


@dataclass
class DataSet:
    """What was wanted of one data set or item: tag -> raw value, tag -> items. An element that is repeated counts last."""

    values: dict[int, bytes] = field(default_factory=dict)
    sequences: dict[int, list[DataSet]] = field(default_factory=dict)


Items = list[DataSet]


def read(data: Bytes, explicit: bool, values: Collection[int], sequences: Collection[int]) -> DataSet:
    """Read the elements of these tags, at every level. Raises Unreadable."""
    return Reader(values, sequences).read(data, explicit)


def element(tag: int, vr: bytes, value: bytes, explicit: bool) -> bytes:
    """One element with a value of less than 64 KB, padded to an even length as its VR demands."""
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    head = _TAG.pack(tag >> 16, tag & 0xFFFF)
    return head + (vr + _HALF.pack(len(value)) if explicit else _WORD.pack(len(value))) + value


def sequence(tag: int, items: Iterable[bytes], explicit: bool) -> bytes:
    """One sequence of items that are written already."""
    head = _TAG.pack(_ITEM >> 16, _ITEM & 0xFFFF)
    body = b"".join(head + _WORD.pack(len(item)) + item for item in items)
    start = _TAG.pack(tag >> 16, tag & 0xFFFF) + (b"SQ\0\0" if explicit else b"")
    return start + _WORD.pack(len(body)) + body


class Reader:
    """Reads several data sets with one bound on the work for all together: `left` elements."""

    def __init__(self, values: Collection[int], sequences: Collection[int], most: int = MAX_ELEMENTS) -> None:
        """`values`: tags whose bytes are wanted (of a sequence all of it, as it is written), at every level; `sequences`: tags
        whose items are read.
        """
        self.left = most
        self._data = b""
        self.wants(values, sequences)

    def wants(self, values: Collection[int], sequences: Collection[int]) -> None:
        """Other tags from now on."""
        self._values, self._sequences = values, sequences

    def read(self, data: Bytes, explicit: bool) -> DataSet:
        """One data set, or the content of one item. Raises Unreadable."""
        self._data = bytes(data)
        return self.data_set(0, len(self._data), explicit, MAX_DEPTH)[0]

    def items(self, data: Bytes, explicit: bool) -> Iterator[bytes]:
        """The contents of a sequence's items one by one, as they are written; `data` is its value. Raises Unreadable.

        Other data sets may be read in between; what is wanted has to be said again then.
        """
        whole, at = bytes(data), 0
        while at < len(whole):
            self._data = whole
            self.wants((), ())
            tag, at = self._tag(at)
            size, at = self._word(at)
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                raise Unreadable("something else than an item in a sequence")
            begin, at = at, at + size
            if size == _UNDEFINED:
                _, at = self.data_set(begin, None, explicit, MAX_DEPTH)
            if at > len(whole):
                raise Unreadable("an item is longer than its sequence")
            yield whole[begin : at - 8 if size == _UNDEFINED else at]

    def data_set(self, at: int, end: int | None, explicit: bool, depth: int) -> tuple[DataSet, int]:
        """A data set that ends at `end`, or (None) with its delimiter; and where what follows begins."""
        found = DataSet()
        while end is None or at < end:
            tag, at = self._tag(at)
            if tag == _ITEM_END and end is None:
                return found, at + 4
            vr, length, at = self._length(at, explicit)
            if tag in self._sequences and vr in (b"", b"SQ", b"UN"):
                found.sequences[tag], at = self._sequence(at, length, explicit and vr != b"UN", depth)
            elif length == _UNDEFINED:
                begin = at
                _, at = self._sequence(at, length, explicit and vr != b"UN", depth)
                if tag in self._values:
                    found.values[tag] = self._data[begin:at]
            else:
                if tag in self._values:
                    found.values[tag] = self._data[at : at + length]
                at += length
            if at > (len(self._data) if end is None else end):
                raise Unreadable("an element is longer than what holds it")
        return found, at

    def _sequence(self, at: int, length: int, explicit: bool, depth: int) -> tuple[Items, int]:
        if not depth:
            raise Unreadable("sequences are nested too deeply")
        end = None if length == _UNDEFINED else at + length
        if end is not None and end > len(self._data):
            raise Unreadable("a sequence is longer than the data set")
        items: Items = []
        while end is None or at < end:
            tag, at = self._tag(at)
            size, at = self._word(at)
            if tag == _SEQUENCE_END and end is None:
                return items, at
            if tag != _ITEM:
                raise Unreadable("something else than an item in a sequence")
            item, at = self.data_set(at, None if size == _UNDEFINED else at + size, explicit, depth - 1)
            items.append(item)
        if at != end:
            raise Unreadable("an item is longer than its sequence")
        return items, at

    def _tag(self, at: int) -> tuple[int, int]:
        self.left -= 1
        if self.left < 0:
            raise Unreadable("too many elements")
        try:
            group, number = _TAG.unpack_from(self._data, at)
        except struct.error:
            raise Unreadable("the data set is cut off") from None
        return group << 16 | number, at + 4

    def _length(self, at: int, explicit: bool) -> tuple[bytes, int, int]:
        if not explicit:
            length, at = self._word(at)
            return b"", length, at
        vr = self._data[at : at + 2]
        if vr in _LONG_VRS:
            length, at = self._word(at + 4)
            return vr, length, at
        try:
            return vr, _HALF.unpack_from(self._data, at + 2)[0], at + 4
        except struct.error:
            raise Unreadable("the data set is cut off") from None

    def _word(self, at: int) -> tuple[int, int]:
        try:
            return _WORD.unpack_from(self._data, at)[0], at + 4
        except struct.error:
            raise Unreadable("the data set is cut off") from None
