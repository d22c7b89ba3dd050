"""Scans the images of one association: what an image has in common with the one before is not read again.

It must never give another result than `scan` or `scan_head` would; what it is unsure of it leaves to them.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import Literal

from protocol.errors import UnreadableImage
from protocol.header.hanging import hanging
from protocol.header.scan import DEFLATED, ENCODING, Header, decoder_of, layout_of, scan, scan_head
from protocol.header.values import Value
from protocol.header.walk import LONG_VRS, SHORT_VRS, UNDEFINED, Layout, MoreNeeded, Walk, as_written, step, walk
from protocol.header.wanted import CHARACTER_SET, PIXEL, PIXEL_REPRESENTATION, Entry, Wanted, compile_wanted

MAX_BYTES = 256 * 1024
MAX_ELEMENTS = 2000
"""Longer headers are not remembered: an association must not cost more than about a megabyte."""
LEARN_AGAIN = 500  # images; by then what changed once or twice has cut the header into too many runs
_LONGEST_WAIT = 256  # images
_SLACK = 512  # bytes by which a header may grow without being fetched twice


class Scanner:
    """Scans one image after the other, of one association and by one thread; about 30 µs each within a series.

    Learns from the second image on, since many senders open an association for each; stops where images differ much.
    """

    def __init__(self, *, extra: Collection[int | str] = (), fallback_charset: str | None = None) -> None:
        """`extra` and `fallback_charset` as for `scan`. Raises ValueError for a name that does not exist."""
        self._extra, self._fallback = frozenset(extra), fallback_charset
        self._wanted = compile_wanted(self._extra)
        self._memory: _Memory | None = None
        self._said: Layout | None = None
        self._wait = self._left = 1  # images to be scanned plainly before the next attempt to learn
        self._age = 0  # images since

    def scan(self, dataset: bytes | memoryview, transfer_syntax_uid: str) -> Header:
        """As the function `scan`, with the same errors."""
        view = memoryview(dataset).cast("B")
        header = self._recall(view, transfer_syntax_uid, partial=False)
        if header is not None:
            return header.of_length(len(view))
        header = scan(view, transfer_syntax_uid, extra=self._extra, fallback_charset=self._fallback)
        self._learn(view, transfer_syntax_uid, partial=False)
        return header

    def scan_head(self, beginning: bytes | memoryview, transfer_syntax_uid: str) -> Header | None:
        """As the function `scan_head`, with the same errors; it may want as many bytes as the header before had."""
        view = memoryview(beginning).cast("B")
        if self._memory is not None and len(view) <= self._memory.end:
            return None
        try:
            header = self._recall(view, transfer_syntax_uid, partial=True)
        except MoreNeeded:
            return None
        if header is not None:
            return header
        header = scan_head(view, transfer_syntax_uid, extra=self._extra, fallback_charset=self._fallback)
        if header is not None:
            self._learn(view, transfer_syntax_uid, partial=True)
        return header

    def _recall(self, view: memoryview, transfer_syntax_uid: str, partial: bool) -> Header | None:
        """Read by memory, if that works."""
        memory, self._memory = self._memory, None
        if memory is None or not view or transfer_syntax_uid in DEFLATED:
            return None
        said = layout_of(transfer_syntax_uid)
        if said is not self._said or as_written(view, said) is not memory.layout:
            return None
        try:
            header = memory.read(view, partial)
        except (_Unsure, UnreadableImage, struct.error):
            self._put_off()
            return None
        self._age += 1
        if self._age < LEARN_AGAIN:
            self._memory = memory
        return header

    def _put_off(self) -> None:
        """The next attempt to learn is soon if the last one was of use, else later and later."""
        self._wait = 0 if self._age > 2 else min(2 * self._wait + 1, _LONGEST_WAIT)
        self._left = self._wait

    def _learn(self, view: memoryview, transfer_syntax_uid: str, partial: bool) -> None:
        """After `view` was scanned without an error."""
        if transfer_syntax_uid in DEFLATED:
            return
        if self._left:
            self._left -= 1
            return
        self._said = layout_of(transfer_syntax_uid)
        found = walk(view, self._wanted, as_written(view, self._said), partial)
        self._age = 0
        try:
            self._memory = _Memory(found, self._wanted, self._fallback, found.layout is not self._said)
        except _Unsure:
            self._put_off()


class _Unsure(Exception):
    """Remembering does not help, or could mislead, with this image."""


class _Element:
    """One top-level element as it was first seen, whole; `entry` is None if it is not wanted.

    `head` are the bytes up to the length field at `head_size`, empty if another length could mean another encoding.
    """

    __slots__ = ("entry", "head", "head_size", "hung", "raw", "tag", "value_at", "vr")

    def __init__(self, tag: int, vr: bytes, raw: bytes, value_at: int, entry: Entry | None, ordinary: bool) -> None:
        self.tag, self.vr, self.raw, self.value_at, self.entry = tag, vr, raw, value_at, entry
        self.head_size = 6 if vr in SHORT_VRS else value_at - 4
        self.head = raw[: self.head_size] if ordinary else b""
        self.hung: tuple[str, ...] = ()  # keys of what hangs on it


class _Run:
    """Neighbouring elements that stay as they are from image to image, or a single one; `raw` is what was seen last."""

    __slots__ = ("elements", "raw", "single", "size")

    def __init__(self, elements: list[_Element]) -> None:
        self.elements = elements
        self.raw = b"".join([element.raw for element in elements])
        self.size = len(self.raw)
        self.single = elements[0] if len(elements) == 1 else None


_CONTEXT = frozenset({CHARACTER_SET, PIXEL_REPRESENTATION})


class _Memory:
    """The header of the image before, cut into runs; `read` makes it that of the next image.

    The meaning of an element depends on its bytes alone, given the layout and the elements of the context. So a run
    whose bytes stand at a place where an element begins means what it meant before.
    """

    def __init__(self, found: Walk, wanted: Wanted, fallback: str | None, mistaken: bool) -> None:
        """From the walk of a whole header. Raises _Unsure if it is not to be remembered."""
        self.layout, self._wanted = found.layout, wanted
        self._byte_order: Literal["little", "big"] = "little" if found.layout.order == "<" else "big"
        self._decoder = decoder_of(found, fallback)
        self._declared = frozenset(self._decoder.flags | ({ENCODING} if mistaken else set()))
        self._decoder.flags = set()
        self._context = _CONTEXT | wanted.creators
        self._creators = {tag: raw for tag in wanted.creators if (raw := found.raw(tag))}
        self._values: dict[str, Value] = {}
        self._kept: set[int] = set()  # tags of wanted elements
        self._odd: dict[int, frozenset[str]] = {}  # what flags they left
        self.end = 0
        self._left = MAX_ELEMENTS  # elements that may still be read one by one
        elements: list[_Element] = []
        state = Walk(found.view, wanted, found.layout, found.partial)
        while (element := self._next(state, self.end)) is not None:
            self._keep(element)
            elements.append(element)
            self.end += len(element.raw)
        if not elements:
            raise _Unsure
        self.runs = [_Run(elements)]
        self._patience = 8 + len(elements) // 4

    def read(self, view: memoryview, partial: bool) -> Header:
        """Raises _Unsure, or what `step` raises; then the memory is of no use any more."""
        state = Walk(view, self._wanted, self.layout, partial)
        data = view[: self.end + _SLACK].tobytes()
        self._values = self._values.copy()
        self._left = self._patience
        runs = self.runs
        pos = at = 0
        while at < len(runs):
            run = runs[at]
            if data.startswith(run.raw, pos):
                pos += run.size
                at += 1
            elif len(data) < min(len(view), pos + run.size):
                data = view[: pos + run.size + _SLACK].tobytes()
            elif run.single is None:
                runs[at : at + 1] = _split(run, data, pos)
            elif stop := self._changed(run, run.single, data, pos):
                pos = stop
                at += 1
            else:
                pos, at = self._differs(state, run.single, pos, at)
        while (element := self._next(state, pos)) is not None:
            pos = self._add(element, pos, len(runs))
        self.end = pos
        if pos > MAX_BYTES or len(runs) > MAX_ELEMENTS:
            raise _Unsure
        flags = self._declared.union(*self._odd.values()) if self._odd else self._declared
        return Header(self._values, tuple(sorted(flags)), state.pixel_stop)

    def _changed(self, run: _Run, element: _Element, data: bytes, pos: int) -> int:
        """The single element of `run` has another value now: take it and return its end; 0 if that is not so simple."""
        if not (element.head and data.startswith(element.head, pos)):
            return 0
        start = pos + element.value_at
        stop = start + int.from_bytes(data[pos + element.head_size : start], self._byte_order)
        if stop > len(data):
            return 0
        run.raw = data[pos:stop]
        run.size = stop - pos
        if element.entry is not None:
            if element.tag in self._context:
                raise _Unsure
            self._take(element, data[start:stop])
        return stop

    def _differs(self, state: Walk, old: _Element, pos: int, at: int) -> tuple[int, int]:
        """The single element of run `at` is not what stands at `pos`: it changed, is gone, or a new one comes first."""
        new = self._next(state, pos)
        if new is not None and new.tag < old.tag:
            return self._add(new, pos, at), at + 1
        if old.tag in self._context:
            raise _Unsure
        self._forget(old)
        if new is None or new.tag != old.tag:
            del self.runs[at]
            return pos, at
        self._keep(new)
        self.runs[at] = _Run([new])
        return pos + len(new.raw), at + 1

    def _add(self, element: _Element, pos: int, at: int) -> int:
        if element.tag in self._context:
            raise _Unsure
        self._keep(element)
        self.runs.insert(at, _Run([element]))
        return pos + len(element.raw)

    def _keep(self, element: _Element) -> None:
        if element.entry is None:
            return
        if element.tag in self._kept:
            raise _Unsure  # twice: which of them counts depends on their order
        self._kept.add(element.tag)
        self._take(element, element.raw[element.value_at :])

    def _take(self, element: _Element, raw: bytes) -> None:
        decoder, entry = self._decoder, element.entry
        assert entry is not None
        if entry.key:
            value = decoder.value(entry, element.vr, raw)
            if value is not None:
                self._values[entry.key] = value
            else:
                self._values.pop(entry.key, None)
        if element.tag in self._wanted.hanging:
            self._take_hanging(element, entry, raw)
        if decoder.flags:
            self._odd[element.tag], decoder.flags = frozenset(decoder.flags), set()
        elif self._odd:
            self._odd.pop(element.tag, None)

    def _take_hanging(self, element: _Element, entry: Entry, raw: bytes) -> None:
        for key in element.hung:
            self._values.pop(key, None)
        found = hanging(self._decoder, self.layout, entry, element.vr, raw, lambda tag: self._creators.get(tag, b""))
        if not self._values.keys().isdisjoint(found):
            raise _Unsure  # two blocks of one creator: which counts depends on their order
        element.hung = tuple(found)
        self._values.update(found)

    def _forget(self, element: _Element) -> None:
        if element.entry is not None:
            self._kept.discard(element.tag)
            self._odd.pop(element.tag, None)
            for key in (element.entry.key, *element.hung):
                self._values.pop(key, None)

    def _next(self, state: Walk, pos: int) -> _Element | None:
        """Read the element at `pos`; None at the pixel data, or at the end."""
        if pos >= state.end:
            if state.partial:
                raise MoreNeeded
            return None
        word, vr, length, start, stop = step(state, pos)
        entry = state.table.get(word)
        if entry is PIXEL:
            state.pixel_stop = None if length == UNDEFINED else stop
            return None
        if state.guessed or stop > MAX_BYTES:
            raise _Unsure
        self._left -= 1
        if self._left < 0:
            raise _Unsure  # images of another kind
        tag = word if self.layout.order == ">" else (word & 0xFFFF) << 16 | word >> 16
        open_ended = length == UNDEFINED
        ordinary = not open_ended and (not self.layout.explicit or vr in SHORT_VRS or vr in LONG_VRS)
        if open_ended and (entry is None or entry.inner is None):
            entry = None  # it has no value that could be wanted
        return _Element(tag, vr, state.view[pos:stop].tobytes(), start - pos, entry, ordinary)


def _split(run: _Run, data: bytes, pos: int) -> list[_Run]:
    """Cut a run at its first element that is not what stands at `pos`."""
    elements, same = run.elements, 0
    while same < len(elements) - 1 and data.startswith(elements[same].raw, pos):
        pos += len(elements[same].raw)
        same += 1
    parts = (elements[:same], elements[same : same + 1], elements[same + 1 :])
    return [_Run(part) for part in parts if part]
