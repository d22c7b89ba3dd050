"""Values that hang on other elements: private ones on the creator of their block, those in sequences on the first item.

It must not raise on any bytes: what cannot be read inside a sequence is missing, since the walk did not look there either.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from protocol.errors import UnreadableImage
from protocol.header.charset import resolve
from protocol.header.values import MAX_VALUE, Decoder, Value
from protocol.header.walk import Layout, Walk, first_item, walk
from protocol.header.wanted import CHARACTER_SET, Entry

Creator = Callable[[int], bytes]
"""The raw value of a private creator, by its tag; b"" if there is none."""


def creator_of(entry: Entry) -> int:
    """The tag of the private creator that decides about a private element, PS3.5 section 7.8.1."""
    return entry.tag & 0xFFFF0000 | entry.tag >> 8 & 0xFF


def hanging(
    decoder: Decoder, layout: Layout, entry: Entry, vr: bytes, raw: memoryview | bytes, creator: Creator
) -> dict[str, Value]:
    """The values, by their keys, that hang on one element; `raw` is its whole value. Flags go to the decoder."""
    values: dict[str, Value] = {}
    if entry.owners:
        key = entry.owners.get(creator(creator_of(entry)).decode("latin_1").strip(" \0"))
        value = decoder.value(entry, vr, bytes(raw[: MAX_VALUE + 1])) if key else None
        if key and value is not None:
            values[key] = value
    if entry.inner is not None:
        try:
            item = first_item(memoryview(raw), layout, vr)
            if item is not None and item[0]:
                _of_item(decoder, walk(item[0], entry.inner, item[1]), values)
        except (UnreadableImage, struct.error):
            pass
    return values


def _of_item(outer: Decoder, found: Walk, values: dict[str, Value]) -> None:
    """All wanted values of an item, which may have a character set of its own."""
    declared = found.raw(CHARACTER_SET)
    decoder = Decoder(found.layout.order, resolve(declared) if declared else outer.charset, outer.signed)
    for entry, vr, start, stop in found.spans.values():
        if entry.key:
            value = decoder.value(entry, vr, found.view[start : min(stop, start + MAX_VALUE + 1)].tobytes())
            if value is not None:
                values[entry.key] = value
        if entry.inner is not None or entry.owners:
            values.update(hanging(decoder, found.layout, entry, vr, found.view[start:stop], found.raw))
    outer.flags |= decoder.flags
