"""Which images are like one that came before: the same elements in the same order up to the pixel data, some of them with
another value. So their headers need no walk of their own.

It must not compare anything (the receiver's compiled helper does), and `values` must never give another header than `scan`.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from protocol.errors import UnreadableImage
from protocol.header.scan import DEFLATED, decoder_of, layout_of
from protocol.header.values import Value
from protocol.header.walk import LONG_VRS, SHORT_VRS, UNDEFINED, MoreNeeded, Walk, as_written, step
from protocol.header.wanted import CHARACTER_SET, PIXEL, PIXEL_REPRESENTATION, Entry, compile_wanted

STAYS, VARIES, WANTED, INSTANCE = range(4)
"""Kinds of elements: in an image that is alike the same to the byte; with any value of known length; the same, and its value is
wanted; the SOP Instance UID, which must be that of the C-STORE command."""

MAX_BYTES = 64 * 1024
MAX_ELEMENTS = 1000
ROW: Final = struct.Struct("=5I")
"""An element: where it begins in the header, its size, where within it length and value begin, its kind."""

_SOP_INSTANCE = 0x00080018
_IDENTITY = frozenset({0x00080016, 0x0020000D, 0x0020000E})  # SOP class, study, series
_KNOWN = SHORT_VRS | LONG_VRS


class Unlike(Exception):
    """Nothing is to be compared with this image; not an error."""


class Likeness:
    """What images are compared with.

    Attributes:
        first: the header values of the first image.
        explicit: whether VRs are written; always little endian.
        head: the header of the first image, up to the pixel data.
        stop: how the pixel data's element begins.
        table: a ROW for each element of the header, one behind the other.
    """

    def __init__(
        self, dataset: memoryview, transfer_syntax_uid: str, values: Mapping[str, Value], *,
        extra: Collection[int | str] = (), fallback_charset: str | None = None,
    ) -> None:  # fmt: skip
        """From an image whose scan with the same `extra` and fallback gave `values`. Raises Unlike."""
        if transfer_syntax_uid in DEFLATED:
            raise Unlike
        said, wanted = layout_of(transfer_syntax_uid), compile_wanted(frozenset(extra))
        view = dataset[: MAX_BYTES + 12]
        if len(view) < 12 or said.order != "<" or as_written(view, said) is not said:
            raise Unlike
        self._stays = _IDENTITY | wanted.creators | wanted.hanging | {CHARACTER_SET, PIXEL_REPRESENTATION}
        self.first = values
        self._elements: list[tuple[Entry | None, bytes]] = []
        rows = []
        try:
            state = Walk(view, wanted, said, partial=True)
            pos, seen = 0, set[int]()
            while (row := self._row(state, pos, seen)) is not None:
                rows.append(row)
                pos += row[1]
        except (MoreNeeded, UnreadableImage, struct.error) as exc:
            raise Unlike from exc
        if state.guessed or _SOP_INSTANCE not in seen:
            raise Unlike
        self._decoder = decoder_of(state, fallback_charset)
        self.explicit = said.explicit
        self.head = view[:pos].tobytes()
        self.stop = view[pos : pos + (6 if said.explicit else 4)].tobytes()
        self.table = b"".join([ROW.pack(*row) for row in rows])

    def values(self, changed: Sequence[tuple[int, bytes]]) -> dict[str, Value]:
        """The header values of an image of which these elements, by their number, have these values."""
        values = dict(self.first)
        for number, raw in changed:
            entry, vr = self._elements[number]
            assert entry is not None
            value = self._decoder.value(entry, vr, raw)
            if value is not None:
                values[entry.key] = value
            else:
                values.pop(entry.key, None)
        return values

    def keys(self, changed: Sequence[tuple[int, bytes]]) -> tuple[str, ...]:
        """In which values such an image can differ from the first."""
        return tuple([self._elements[number][0].key for number, _ in changed])  # type: ignore[union-attr]

    def _row(self, state: Walk, pos: int, seen: set[int]) -> tuple[int, int, int, int, int] | None:
        """The element at `pos`; None if the pixel data begins there."""
        if pos >= state.end or len(self._elements) > MAX_ELEMENTS:
            raise Unlike
        explicit = state.layout.explicit
        word, vr, length = state.layout.head(state.view, pos)
        entry = state.table.get(word)
        if explicit and vr in SHORT_VRS and entry is not PIXEL:  # the usual one, which `step` would take longer for
            start, stop = pos + 8, pos + 8 + length
            if stop > state.end:
                raise MoreNeeded
        else:
            word, vr, length, start, stop = step(state, pos)
        if entry is PIXEL:
            if explicit and vr not in _KNOWN:
                raise Unlike
            return None
        if entry is not None:
            state.spans[word] = (entry, vr, start, stop)
        tag = (word & 0xFFFF) << 16 | word >> 16
        if entry is not None and tag in seen:
            raise Unlike  # twice: which of them counts depends on their order
        seen.add(tag)
        self._elements.append((entry, vr))
        length_at = 6 if vr in SHORT_VRS else start - pos - 4
        plain = length != UNDEFINED and (not explicit or vr in _KNOWN)
        return pos, stop - pos, length_at, start - pos, self._kind(tag, entry, plain, first=pos == 0)

    def _kind(self, tag: int, entry: Entry | None, plain: bool, *, first: bool) -> int:
        if tag == _SOP_INSTANCE:
            if not plain or first:
                raise Unlike
            return INSTANCE
        if first or not plain or tag in self._stays:  # by the first one the layout is known
            return STAYS
        return VARIES if entry is None or not entry.key else WANTED
