"""Reads a header out of what DCMTK's dcmdump prints. It must not raise anything but UnreadableHeader on any text.

A line is ``(gggg,eeee) VR value  # length, multiplicity keyword``; what lies in sequences is indented by two blanks a level.
"""

from __future__ import annotations

import re
from typing import Any

from protocol.errors import UnreadableHeader
from protocol.header.elements import (
    MAX_VALUES,
    is_creator,
    key_of_tag,
    of_text,
    private_key,
    put,
    uid_by_name,
    vr_of_tag,
)
from protocol.header.wanted import MAX_PATH

_LINE = re.compile(r"( *)\(([0-9a-fA-F]{4}),([0-9a-fA-F]{4})\) ([A-Za-z?]{2}) (.*)", re.DOTALL)
_COMMENT = re.compile(r"\s+#\s+(?:u/l|\d+),\s*\S+\s[^#]*\Z")
_ITEM = 0xFFFEE000


def looks_dumped(text: str) -> bool:
    """Whether this could be dcmdump's text: one of its lines is there."""
    return any(_LINE.match(line) for line in text.splitlines()[:200])


def read_dumped(text: str) -> list[dict[str, Any]]:
    """The header values of each data set in the text, by key. Raises UnreadableHeader."""
    reader = _Reader()
    for line in text.splitlines():
        if line.startswith(("# Dicom-Data-Set", "# Dicom-File-Format")):
            reader.next_set(line)
        elif match := _LINE.match(line):
            tag = int(match[2] + match[3], 16)
            reader.element(len(match[1]) // 2, tag, match[4], match[5])
    if not reader.images:
        raise UnreadableHeader("no element is in the text; paste what `dcmdump FILE` prints")
    return reader.images


class _Reader:
    """Where in nested sequences the lines are."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._creators: dict[int, str] = {}
        self._path: list[str] = []  # keys of the sequences that are open
        self._items: list[int] = []  # items seen of each of them
        self._count = 0
        self.images: list[dict[str, Any]] = []

    def next_set(self, line: str) -> None:
        """A data set begins; the file meta information before it belongs to it."""
        if line.startswith("# Dicom-File-Format"):
            self._values, self._creators = {}, {}

    def element(self, depth: int, tag: int, vr: str, rest: str) -> None:
        """One line."""
        self._count += 1
        if self._count > MAX_VALUES:
            raise UnreadableHeader(f"more than {MAX_VALUES} elements; paste the header of one image")
        if not self._values and not any(self._values is one for one in self.images):
            self.images.append(self._values)
        level = (depth + 1) // 2  # an item is written between the depths of its sequence and of its elements
        del self._path[level:], self._items[level:]
        if tag == _ITEM:
            self._item(level)
        elif vr == "SQ":
            self._path[level:], self._items[level:] = [key_of_tag(tag)], [0]
        elif tag >> 16 != 0xFFFE and not self._hidden(level):
            self._value(tag, vr, rest)

    def _item(self, level: int) -> None:
        if 0 < level <= len(self._items):
            self._items[level - 1] += 1

    def _hidden(self, level: int) -> bool:
        """Whether it lies in another item than the first, or too deep for a rule."""
        return level != len(self._path) or level >= MAX_PATH or any(count > 1 for count in self._items)

    def _value(self, tag: int, vr: str, rest: str) -> None:
        raw = _raw(rest)
        if raw is None:
            return
        vr = vr if vr.isupper() and vr != "UN" else vr_of_tag(tag)
        value = of_text(uid_by_name(raw[1:]) if raw.startswith("=") and vr == "UI" else raw, vr)
        prefix = "".join(f"{key}." for key in self._path)
        if not prefix and tag >> 16 == 2 and tag != 0x00020010:
            return  # of the file, not of the image
        put(self._values, prefix + key_of_tag(tag), value)
        if prefix:
            return
        if is_creator(tag) and isinstance(value, str):
            self._creators[tag] = value
        if (name := private_key(tag, self._creators)) is not None:
            put(self._values, name, value)


def _raw(rest: str) -> str | None:
    """The value's text: in brackets, or up to the comment; None if there is none, which is written in parentheses."""
    if rest.startswith("("):
        return None
    plain = _COMMENT.sub("", rest)
    if plain.startswith("["):
        return plain[1 : plain.rindex("]")] if "]" in plain else plain[1:]
    return plain.strip() or None
