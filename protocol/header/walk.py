"""Steps over the elements of a data set, notes where the wanted ones lie, and stops where the pixel data begins.

It must not decode values, and it must not copy or read any it steps over.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from protocol.errors import UnreadableImage
from protocol.header.wanted import NOTHING, PIXEL, Entry, Wanted, tag_text

UNDEFINED = 0xFFFFFFFF
MAX_DEPTH = 64
MAX_ELEMENTS = 4_000_000
"""Bounds the work on one object to a few seconds; real ones with large open sequences stay well below."""

# PS3.5 section 7.1.2: these have a 16-bit length, all others two reserved bytes and a 32-bit length.
SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())

Unpack = Callable[[Any, int], tuple[Any, ...]]


class Layout(NamedTuple):
    """How elements are encoded: VR written or not, and the readers for the byte order (">" or "<")."""

    explicit: bool
    order: str
    head: Unpack  # tag, VR, 16-bit length
    word: Unpack  # 32-bit length
    item: Unpack  # tag, 32-bit length
    item_start: int
    item_end: int
    sequence_end: int


def _layout(explicit: bool, order: str) -> Layout:
    def tag(element: int) -> int:
        return 0xFFFE0000 | element if order == ">" else element << 16 | 0xFFFE

    head, word, item = (struct.Struct(order + form).unpack_from for form in ("I2sH", "I", "II"))
    return Layout(explicit, order, head, word, item, tag(0xE000), tag(0xE00D), tag(0xE0DD))


EXPLICIT_LITTLE = _layout(True, "<")
IMPLICIT_LITTLE = _layout(False, "<")
EXPLICIT_BIG = _layout(True, ">")
IMPLICIT_BIG = _layout(False, ">")

_SWAPPED = {
    EXPLICIT_LITTLE: IMPLICIT_LITTLE,
    IMPLICIT_LITTLE: EXPLICIT_LITTLE,
    EXPLICIT_BIG: IMPLICIT_BIG,
    IMPLICIT_BIG: EXPLICIT_BIG,
}

Span = tuple[Entry, bytes, int, int]
"""A wanted element: entry, VR as written (b"" if none is), start and stop of its value."""


class MoreNeeded(Exception):
    """The beginning of an object ended before its pixel data; not an error."""


class Walk:
    """What one walk found; `pixel_stop` is where the pixel data says it ends (None: no pixel data, or open).

    `partial`: more bytes of the object are to come. `guessed`: something was read by what the rest of the object
    makes likely, so the same bytes in another object may have to be read differently.
    """

    def __init__(self, view: memoryview, wanted: Wanted, layout: Layout, partial: bool = False) -> None:
        self.view, self.end, self.layout, self.partial = view, len(view), layout, partial
        self.wanted = wanted
        self.table = wanted.little if layout.order == "<" else wanted.big
        # By tag word: an element repeated a million times must not become a million values.
        self.spans: dict[int, Span] = {}
        self.pixel_stop: int | None = None
        self.guessed = False
        self.left = MAX_ELEMENTS

    def raw(self, tag: int, most: int = 1024) -> bytes:
        """The first bytes of a wanted element's value, b"" if it is not there."""
        word = tag if self.layout.order == ">" else (tag & 0xFFFF) << 16 | tag >> 16
        if word not in self.spans:
            return b""
        _, _, start, stop = self.spans[word]
        return self.view[start : min(stop, start + most)].tobytes()


def as_written(view: memoryview, layout: Layout) -> Layout:
    """The layout the first element really has: senders mix up explicit and implicit VR (the flag is the caller's)."""
    vr = bytes(view[4:6])
    mistaken = not _letters(vr) if layout.explicit else vr in SHORT_VRS or vr in LONG_VRS
    return _SWAPPED[layout] if mistaken else layout


def walk(view: memoryview, wanted: Wanted, layout: Layout, partial: bool = False) -> Walk:
    """Walk the top level of a data set up to its pixel data (PS3.5 section 7.1).

    Raises UnreadableImage, with tag and byte offset, if an element does not fit into the object, a delimiter is
    missing, or the limits on depth and number of elements are exceeded; MoreNeeded if `partial` (more of the object
    is to come) and the view ends too early to say.
    """
    state = Walk(view, wanted, layout, partial)
    try:
        if layout.explicit:
            _explicit(state)
        else:
            _implicit(state)
    except struct.error as exc:
        raise cut_head(partial) from exc
    return state


def cut_head(partial: bool) -> Exception:
    """What to raise when an element's head is cut off."""
    return MoreNeeded() if partial else UnreadableImage("the data set ends inside the head of an element")


def step(state: Walk, pos: int) -> tuple[int, bytes, int, int, int]:
    """One top-level element as (tag word, VR, length, start, stop of its value); slower than `walk`, same results.

    The value of the pixel data is not looked at. Raises what `walk` raises, and struct.error for a cut head.
    """
    tag, vr, length, start = _element(state, state.layout, pos, inside=False)
    stop = start + length
    if state.table.get(tag) is not PIXEL and (length == UNDEFINED or stop > state.end):
        stop = _past_open(state, tag, vr, length, start)
    return tag, vr, length, start, stop


def _explicit(state: Walk) -> None:
    # The hot loop: everything local, no calls but the readers for an ordinary element.
    view, end, layout, wanted = state.view, state.end, state.layout, state.table.get
    head, word, spans = layout.head, layout.word, state.spans
    pos = 0
    for _ in range(MAX_ELEMENTS):
        if pos >= end:
            _ended(state)
            return
        tag, vr, length = head(view, pos)
        if vr in SHORT_VRS:
            start = pos + 8
        elif vr in LONG_VRS:
            start = pos + 12
            (length,) = word(view, pos + 8)
        else:
            tag, vr, length, start = _odd_element(state, pos)
        stop = start + length
        entry = wanted(tag)
        if entry is PIXEL:
            state.pixel_stop = None if length == UNDEFINED else stop
            return
        if length == UNDEFINED or stop > end:
            stop = _past_open(state, tag, vr, length, start)
        elif entry is not None:
            spans[tag] = (entry, vr, start, stop)
        pos = stop
    _too_many()


def _implicit(state: Walk) -> None:
    view, end, layout, wanted = state.view, state.end, state.layout, state.table.get
    item, spans = layout.item, state.spans
    pos = 0
    for _ in range(MAX_ELEMENTS):
        if pos >= end:
            _ended(state)
            return
        tag, length = item(view, pos)
        start = pos + 8
        stop = start + length
        entry = wanted(tag)
        if entry is PIXEL:
            state.pixel_stop = None if length == UNDEFINED else stop
            return
        if length == UNDEFINED or stop > end:
            stop = _past_open(state, tag, b"", length, start)
        elif entry is not None:
            spans[tag] = (entry, b"", start, stop)
        pos = stop
    _too_many()


def _ended(state: Walk) -> None:
    if state.partial:
        raise MoreNeeded


def _past_open(state: Walk, tag: int, vr: bytes, length: int, start: int) -> int:
    """The end of an element of undefined length; one that is merely too long for the object is refused."""
    if length != UNDEFINED:
        _beyond(state, tag, start)
    stop = _skip_items(state, vr, start)
    entry = state.table.get(tag)
    if entry is not None and entry.inner is not None:
        state.spans[tag] = (entry, vr, start, stop)
    return stop


def first_item(view: memoryview, layout: Layout, vr: bytes) -> tuple[memoryview, Layout] | None:
    """The content of the first item of a sequence and its layout; `view` begins with the value. None if it has none.

    Raises UnreadableImage, struct.error if that cannot be told.
    """
    layout = _inside(layout, vr)
    tag, length = layout.item(view, 0)
    if tag != layout.item_start:
        return None
    if length != UNDEFINED:
        content = view[8 : 8 + length]
        return content, as_written(content, layout)
    state = Walk(view, NOTHING, layout)
    pos = 8
    while layout.item(view, pos)[0] != layout.item_end:
        tag, vr, length, start = _element(state, layout, pos)
        pos = _skip_items(state, vr, start) if length == UNDEFINED else start + length
    return view[8:pos], as_written(view[8:pos], layout)


def _skip_items(state: Walk, vr: bytes, pos: int) -> int:
    """Past the delimiter of a sequence of undefined length (or encapsulated icon), however nested (PS3.5 section 7.5).

    Only what is open is entered; items and sequences of defined length are stepped over as a whole. `layouts`
    has one entry per open sequence: the content of UN is implicit VR little endian (PS3.5 section 6.2.2).
    """
    view, end = state.view, state.end
    layouts = [_inside(state.layout, vr)]
    in_item = False
    while layouts:
        layout = layouts[-1]
        tag, length = layout.item(view, pos)
        state.left -= 1
        if state.left < 0:
            _too_many()
        if tag == layout.item_end and (in_item or length == 0):
            in_item = False
            pos += 8
        elif tag == layout.sequence_end and not in_item:
            layouts.pop()
            in_item = True
            pos += 8
        elif not in_item:
            if tag != layout.item_start:
                raise UnreadableImage(f"no item where one must begin, at byte {pos}")
            in_item = length == UNDEFINED
            pos += 8 if in_item else 8 + length
        else:
            tag, vr, length, start = _element(state, layout, pos)
            if length == UNDEFINED:
                layouts.append(_inside(layout, vr))
                in_item = False
                if len(layouts) > MAX_DEPTH:
                    raise UnreadableImage(f"sequences nested deeper than {MAX_DEPTH}")
            pos = start if length == UNDEFINED else start + length
        if pos > end:
            _beyond(state, tag, pos)
    return pos


def _inside(layout: Layout, vr: bytes) -> Layout:
    return IMPLICIT_LITTLE if vr == b"UN" else layout


def _element(state: Walk, layout: Layout, pos: int, inside: bool = True) -> tuple[int, bytes, int, int]:
    """Tag, VR, length and value offset of an element; `inside` an item one of implicit VR may be none."""
    if layout.explicit:
        tag, vr, length = layout.head(state.view, pos)
        if vr in SHORT_VRS:
            return tag, vr, length, pos + 8
        if vr in LONG_VRS:
            return tag, vr, layout.word(state.view, pos + 8)[0], pos + 12
        return _odd_element(state, pos, layout)
    tag, length = layout.item(state.view, pos)
    if inside and length != UNDEFINED and pos + 8 + length > state.end:
        _ended(state)
        # Some writers leave explicit VR inside UN: what is impossible as a length may be a VR.
        vr = bytes(state.view[pos + 4 : pos + 6])
        if vr in SHORT_VRS or vr in LONG_VRS:
            state.guessed = True
            return _element(state, _SWAPPED[layout], pos)
    return tag, b"", length, pos + 8


def _odd_element(state: Walk, pos: int, layout: Layout | None = None) -> tuple[int, bytes, int, int]:
    """An element of explicit VR whose VR is none we know.

    Two capitals are a VR of a later edition, with a 32-bit length if that makes sense (PS3.5 section 6.2, note);
    anything else is taken for an element written in implicit VR, which some writers mix in. A stray delimiter
    is stepped over the same way.
    """
    layout = layout or state.layout
    tag, vr, length = layout.head(state.view, pos)
    if not _letters(vr):
        tag, length = layout.item(state.view, pos)
        return tag, b"", length, pos + 8
    if length == 0 and pos + 12 > state.end:
        _ended(state)
    elif length == 0:
        state.guessed = True
        (longer,) = layout.word(state.view, pos + 8)
        if longer == UNDEFINED or pos + 12 + longer <= state.end:
            return tag, vr, longer, pos + 12
        _ended(state)
    return tag, vr, length, pos + 8


def _letters(vr: bytes) -> bool:
    return vr.isalpha() and vr.isupper()


def _beyond(state: Walk, tag: int, pos: int) -> NoReturn:
    _ended(state)
    if state.layout.order == "<":
        tag = (tag & 0xFFFF) << 16 | tag >> 16
    raise UnreadableImage(f"element ({tag_text(tag)}) at byte {pos} is longer than the object")


def _too_many() -> NoReturn:
    raise UnreadableImage(f"more than {MAX_ELEMENTS} elements before the pixel data")
