"""Writes the elements of a data set in another encoding: headers and byte order change, values stay as they are, bit by bit.

It must not decode text or numbers beyond those that decide about a VR, nor compress or decompress: what becomes of pixel
data is handed in. Group lengths (retired, PS3.5 section 7.2) are left out, since they would be wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from actors.transcode.levels import (
    EXPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    MAX_DEPTH,
    PIXEL_DATA,
    SEQUENCE_END,
    SHORT,
    UNDEFINED,
    Element,
    Encoding,
    Source,
)
from actors.transcode.vrs import DECIDING, is_sequence, swapped, vr_of
from protocol.errors import UnreadableImage

Piece = bytes | memoryview
_MAX_LENGTH = 0xFFFFFFFE
_PIXEL_TAG = b"\xe0\x7f\x10\x00"  # little endian, as in all encapsulated transfer syntaxes

Native = Callable[[Sequence[Element], Element], tuple[Sequence["New"], Mapping[int, "New | None"]]]
"""Of a level with encapsulated pixel data: the pixel data natively, and what changes with them (None: leave it out)."""


@dataclass(frozen=True, slots=True)
class New:
    """An element that takes the place of one that was there, or its own; `value` is little endian."""

    tag: int
    vr: str
    value: bytes | memoryview


@dataclass
class Rewriter:
    """From one encoding to another. `native`, if given, decompresses pixel data below the top level (icon images)."""

    source: Source
    to: Encoding
    native: Native | None = None

    def header(self, tag: int, vr: str, length: int) -> bytes:
        """Of one element. Raises UnreadableImage: its length cannot be written."""
        if length > _MAX_LENGTH and length != UNDEFINED:
            raise UnreadableImage("a value is longer than 4 GB")
        order, group, number = self.to.order, tag >> 16, tag & 0xFFFF
        if not self.to.explicit:
            return struct.pack(order + "HHL", group, number, length)
        if vr in SHORT:
            if length > 0xFFFF:
                raise UnreadableImage("a value is longer than its value representation allows")
            return struct.pack(order + "HH2sH", group, number, vr.encode(), length)
        return struct.pack(order + "HH2sHL", group, number, vr.encode("latin-1"), 0, length)

    def new(self, element: New) -> list[Piece]:
        """An element that was not there; its value is swapped where it has to be."""
        value: list[Piece] = [element.value]
        if self.to.big:
            value = list(swapped(memoryview(element.value), element.vr))
        return [self.header(element.tag, element.vr, len(element.value)), *value]

    def numbers(self, level: Sequence[Element], encoding: Encoding, around: Mapping[int, int]) -> dict[int, int]:
        """The first number of those elements of a level that decide about others."""
        found = dict(around)
        for element in level:
            if element.tag in DECIDING and element.length >= 2:
                (found[element.tag],) = struct.unpack_from(encoding.order + "H", self.source.data, element.value)
        return found

    def pieces(
        self, level: Sequence[Element], encoding: Encoding, numbers: Mapping[int, int], depth: int = 0
    ) -> list[Piece]:
        """A level below the top one, or what of the top one is no pixel data."""
        pieces: list[Piece] = []
        for element in level:
            pieces += self.element(element, encoding, numbers, depth)
        return pieces

    def element(self, element: Element, encoding: Encoding, numbers: Mapping[int, int], depth: int = 0) -> list[Piece]:
        """One element with all that is in it, none of it encapsulated at the top. Raises UnreadableImage."""
        data = self.source.data
        if element.tag & 0xFFFF == 0:
            return []
        sequence = element.sequence or (not element.vr and is_sequence(element.tag))
        if encoding == self.to and not (sequence and self._may_hold_packed(element)):
            return [data[element.start : element.end]]
        if sequence:
            return self._sequence(element, encoding, numbers, depth)
        if element.undefined:
            raise UnreadableImage("encapsulated pixel data stand where there cannot be any")
        vr = element.vr or vr_of(element.tag, element.length, False, numbers)
        value: list[Piece] = [data[element.value : element.end]]
        if encoding.big != self.to.big:
            value = list(swapped(data[element.value : element.end], vr))
        return [self.header(element.tag, vr, element.length), *value]

    def _may_hold_packed(self, element: Element) -> bool:
        """Whether pixel data in it may have to be decompressed; most sequences need not be looked into for that."""
        return self.native is not None and _PIXEL_TAG in self.source.data[element.value : element.end].tobytes()

    def _sequence(self, element: Element, encoding: Encoding, numbers: Mapping[int, int], depth: int) -> list[Piece]:
        if depth >= MAX_DEPTH:
            raise UnreadableImage(f"sequences lie more than {MAX_DEPTH} deep")
        inner = self.source.inner(element, encoding)
        pieces: list[Piece] = []
        for item in self.source.items(element, inner, depth):
            level = self.source.level(item.value, item.end, inner, depth + 1)
            content = self._item(level, inner, numbers, depth + 1)
            length = UNDEFINED if item.undefined else sum(map(len, content))
            pieces += [self._mark(ITEM, length), *content]
            if item.undefined:
                pieces.append(self._mark(ITEM_END, 0))
        if element.undefined:
            return [self.header(element.tag, "SQ", UNDEFINED), *pieces, self._mark(SEQUENCE_END, 0)]
        return [self.header(element.tag, "SQ", sum(map(len, pieces))), *pieces]

    def _item(self, level: Sequence[Element], inner: Encoding, around: Mapping[int, int], depth: int) -> list[Piece]:
        numbers = self.numbers(level, inner, around)
        packed = next((one for one in level if one.tag == PIXEL_DATA and one.undefined), None)
        if packed is None:
            return self.pieces(level, inner, numbers, depth)
        if self.native is None:
            if inner == self.to == EXPLICIT_LITTLE:  # an icon image, from one encapsulated syntax to itself
                return self.pieces(level, inner, numbers, depth)
            raise UnreadableImage("encapsulated pixel data stand where there cannot be any")
        news, changes = self.native(level, packed)
        return self._merged(level, inner, numbers, depth, {**changes, **{new.tag: new for new in news}})

    def _merged(
        self, level: Sequence[Element], inner: Encoding, numbers: Mapping[int, int], depth: int,
        changes: Mapping[int, New | None],
    ) -> list[Piece]:  # fmt: skip
        pieces: list[Piece] = []
        for one in merged(level, changes):
            pieces += self.new(one) if isinstance(one, New) else self.element(one, inner, numbers, depth)
        return pieces

    def _mark(self, tag: int, length: int) -> bytes:
        return struct.pack(self.to.order + "HHL", tag >> 16, tag & 0xFFFF, length)


def merged(level: Sequence[Element], changes: Mapping[int, New | None]) -> Iterator[Element | New]:
    """The elements of a level in their order: those in `changes` are replaced, left out (None), or added."""
    there = {element.tag for element in level}
    added = sorted(tag for tag, new in changes.items() if new is not None and tag not in there)
    for element in level:
        while added and added[0] < element.tag:
            yield _given(changes, added.pop(0))
        if element.tag not in changes:
            yield element
        elif changes[element.tag] is not None:
            yield _given(changes, element.tag)
    for tag in added:
        yield _given(changes, tag)


def _given(changes: Mapping[int, New | None], tag: int) -> New:
    new = changes[tag]
    assert new is not None
    return new
