"""Finds the elements of a data set, one level at a time, in any of the encodings of PS3.5 chapter 7; no value is copied.

It must not interpret a value, follow a length beyond its level, or descend without a limit.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from protocol.errors import UnreadableImage

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXEL_DATA, FLOAT_PIXELS, DOUBLE_PIXELS = 0x7FE00010, 0x7FE00008, 0x7FE00009
LONG = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
SHORT = frozenset(
    ("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US")
)  # fmt: skip
MAX_DEPTH = 32  # of sequences; real ones stay below ten


@dataclass(frozen=True, slots=True)
class Encoding:
    """How headers of elements are written: PS3.5 section 7.1. Values of binary VRs have the byte order, too."""

    explicit: bool
    big: bool

    @property
    def order(self) -> str:
        """For struct."""
        return ">" if self.big else "<"


IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG = Encoding(False, False), Encoding(True, False), Encoding(True, True)


@dataclass(frozen=True, slots=True)
class Element:
    """One element. `vr` is "" where none is written. Header from `start`, value from `value` to `end` (bytes).

    With `undefined` length the value ends with its delimiter, which belongs to it; without it they are equal.
    """

    tag: int
    vr: str
    start: int
    value: int
    end: int
    undefined: bool

    @property
    def length(self) -> int:
        """Of the value, bytes."""
        return self.end - self.value

    @property
    def sequence(self) -> bool:
        """Whether it has items: a sequence, or private ones of which only their undefined length tells."""
        return self.vr == "SQ" or (self.undefined and self.tag != PIXEL_DATA)


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a sequence: its data set from `value` to `end`, without a delimiter (bytes)."""

    value: int
    end: int
    undefined: bool


class Source:
    """A data set in memory, or mapped into it. All methods raise UnreadableImage where it is not what it has to be."""

    def __init__(self, data: memoryview, encoding: Encoding) -> None:
        self.data, self.encoding = data, encoding

    def level(self, start: int, end: int, encoding: Encoding | None = None, depth: int = 0) -> list[Element]:
        """The elements between two offsets, without what is inside of them."""
        found, at = [], start
        while at < end:
            element = self._element(at, end, encoding or self.encoding, depth)
            found.append(element)
            at = element.end
        return found

    def items(self, element: Element, encoding: Encoding, depth: int) -> Iterator[Item]:
        """The items of a sequence."""
        at, end = element.value, element.end
        while at < end:
            tag, length = self._item(at, end, encoding)
            if tag == SEQUENCE_END and element.undefined:
                return
            if tag != ITEM:
                raise self._fault(at, "is no item of its sequence")
            at += 8
            if length == UNDEFINED:
                stop = self._skip(at, end, encoding, depth + 1)
                yield Item(at, stop - 8, True)
            else:
                stop = self._within(at, length, end)
                yield Item(at, stop, False)
            at = stop

    def inner(self, element: Element, encoding: Encoding) -> Encoding:
        """How what is inside of an element is written: UN of undefined length is implicit (PS3.5 section 6.2.2)."""
        return IMPLICIT_LITTLE if element.vr == "UN" and element.undefined else encoding

    # -- inner -------------------------------------------------------------------------------------------------------

    def _element(self, at: int, end: int, encoding: Encoding, depth: int) -> Element:
        if at + 8 > end:
            raise self._fault(at, "is cut off")
        group, number = struct.unpack_from(encoding.order + "HH", self.data, at)
        tag, vr, size = group << 16 | number, "", 8
        if encoding.explicit:
            vr = bytes(self.data[at + 4 : at + 6]).decode("latin-1")
            if vr in SHORT:
                (length,) = struct.unpack_from(encoding.order + "H", self.data, at + 6)
            elif vr.isascii() and vr.isalpha() and vr.isupper() and at + 12 <= end:
                (length,), size = struct.unpack_from(encoding.order + "L", self.data, at + 8), 12
            else:
                raise self._fault(at, "has no value representation")
        else:
            (length,) = struct.unpack_from(encoding.order + "L", self.data, at + 4)
        value = at + size
        if length != UNDEFINED:
            return Element(tag, vr, at, value, self._within(value, length, end), False)
        if tag == PIXEL_DATA:
            return Element(tag, vr, at, value, self._fragments_end(value, end, encoding), True)
        element = Element(tag, vr, at, value, end, True)
        stop = self._skip_items(element, self.inner(element, encoding), depth)
        return Element(tag, vr, at, value, stop, True)

    def _skip_items(self, element: Element, encoding: Encoding, depth: int) -> int:
        """The offset behind the delimiter of a sequence of undefined length."""
        at = element.value
        for item in self.items(element, encoding, depth):
            at = item.end + (8 if item.undefined else 0)
        if at >= element.end:
            raise self._fault(element.start, "has no end")
        return at + 8

    def _skip(self, at: int, end: int, encoding: Encoding, depth: int) -> int:
        """The offset behind the delimiter of an item of undefined length."""
        if depth > MAX_DEPTH:
            raise self._fault(at, f"lies more than {MAX_DEPTH} sequences deep")
        while at < end:
            if at + 8 <= end and self._item(at, end, encoding)[0] == ITEM_END:
                return at + 8
            at = self._element(at, end, encoding, depth).end
        raise self._fault(at, "is missing: an item has no end")

    def fragments(self, element: Element, encoding: Encoding) -> Iterator[tuple[int, int]]:
        """(start, end) of each fragment of encapsulated pixel data; the first is the basic offset table (PS3.5 A.4)."""
        at, end = element.value, element.end
        while True:
            tag, length = self._item(at, end, encoding)
            if tag == SEQUENCE_END:
                return
            if tag != ITEM or length == UNDEFINED:
                raise self._fault(at, "is no fragment of the pixel data")
            stop = self._within(at + 8, length, end)
            yield at + 8, stop
            at = stop

    def _fragments_end(self, at: int, end: int, encoding: Encoding) -> int:
        for _, stop in self.fragments(Element(PIXEL_DATA, "", at, at, end, True), encoding):
            at = stop
        return at + 8

    def _item(self, at: int, end: int, encoding: Encoding) -> tuple[int, int]:
        if at + 8 > end:
            raise self._fault(at, "is missing: a sequence has no end")
        group, number, length = struct.unpack_from(encoding.order + "HHL", self.data, at)
        return group << 16 | number, length

    def _within(self, at: int, length: int, end: int) -> int:
        if at + length > end:
            raise self._fault(at, "is longer than what is there")
        return at + length

    def _fault(self, at: int, words: str) -> UnreadableImage:
        return UnreadableImage(f"the element at byte {at} of the data set {words}")
