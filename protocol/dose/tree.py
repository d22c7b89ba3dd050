"""The content tree of a structured report (PS3.3 C.17.3): items with their concept, value and children, within bounds.
It must not know what a concept means, and raises nothing but Unreadable.

A large tree is read branch by branch: when the work allowed is used up, what was read before is there.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import field
from typing import NamedTuple

from protocol.header.charset import TEXT_DELIMITERS, Charset, decode, resolve
from protocol.header.datasets import DataSet, Reader, Unreadable
from protocol.records import record

IMPLICIT, DEFLATED, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
MAX_BYTES = 8 << 20  # of a report, inflated
MAX_TEXT = 255  # characters of a text or meaning

_CHARSET, _SOP_UID, _TIMEZONE = 0x00080005, 0x00080018, 0x00080201
_CODE_VALUE, _SCHEME, _MEANING, _LONG_CODE = 0x00080100, 0x00080102, 0x00080104, 0x00080119
_VALUE_TYPE, _CONCEPT, _CODE, _CONTENT = 0x0040A040, 0x0040A043, 0x0040A168, 0x0040A730
_MEASURED, _NUMBER, _UNITS = 0x0040A300, 0x0040A30A, 0x004008EA
_DATE_TIME, _UID, _TEXT = 0x0040A120, 0x0040A124, 0x0040A160
_INSIDE = frozenset((_CODE_VALUE, _SCHEME, _MEANING, _LONG_CODE, _VALUE_TYPE, _NUMBER, _DATE_TIME, _UID, _TEXT))
_NESTED = frozenset((_CONCEPT, _CODE, _MEASURED, _UNITS))


class Code(NamedTuple):
    """A coded name (PS3.3 section 8): `value` and `scheme` say what it is, `meaning` is for people only."""

    value: str
    scheme: str
    meaning: str = ""


@record
class Item:
    """A content item. `number` is None where none can be read; `odd`: because what is written is none."""

    kind: str  # value type: CONTAINER, NUM, CODE, TEXT, UIDREF, DATETIME, ...
    concept: Code
    number: float | None = None
    unit: Code = Code("", "")
    odd: bool = False
    code: Code = Code("", "")
    text: str = ""  # of TEXT, UIDREF and DATETIME
    children: list[Item] = field(default_factory=list)


class Tree:
    """The root of one report, and its branches one after the other."""

    def __init__(self, data: bytes, transfer_syntax_uid: str, reader: Reader) -> None:
        """`reader` is that of `reader_for`. Raises Unreadable."""
        if transfer_syntax_uid == BIG_ENDIAN:
            raise Unreadable("big endian")
        if transfer_syntax_uid == DEFLATED:
            data = _inflated(data)
        if not data or len(data) > MAX_BYTES:
            raise Unreadable("empty, or too long")
        self._explicit, self._reader = transfer_syntax_uid != IMPLICIT, reader
        top = _TOP.reading(reader).read(data, self._explicit)
        self._charset = resolve(top.values.get(_CHARSET, b""))
        self._content = top.values.get(_CONTENT, b"")
        self.sop_uid, self.zone = _ascii(top, _SOP_UID), _ascii(top, _TIMEZONE)
        self.concept = _code(top.sequences.get(_CONCEPT), self._charset)

    def branches(self) -> Iterator[Item]:
        """The items below the root. Raises Unreadable where the rest cannot be read or the work is used up."""
        for raw in self._reader.items(self._content, self._explicit):
            yield _item(_BRANCH.reading(self._reader).read(raw, self._explicit), self._charset)


class _Part(NamedTuple):
    """What is read of a part of the report."""

    values: frozenset[int]
    sequences: frozenset[int]

    def reading(self, reader: Reader) -> Reader:
        reader.wants(self.values, self.sequences)
        return reader


# The content sequence of the root as it is written, so that its items can be read one by one.
_TOP = _Part(_INSIDE | {_CHARSET, _SOP_UID, _TIMEZONE, _CONTENT}, frozenset((_CONCEPT,)))
_BRANCH = _Part(_INSIDE, _NESTED | {_CONTENT})


def reader_for(most: int) -> Reader:
    """A reader that reads so many elements at most, of one report or of several."""
    return Reader((), (), most)


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, MAX_BYTES + 1)
    except zlib.error as exc:
        raise Unreadable("cannot be inflated") from exc


def _item(found: DataSet, charset: Charset) -> Item:
    kind = _ascii(found, _VALUE_TYPE)
    measured = (found.sequences.get(_MEASURED) or [DataSet()])[0]
    written = _ascii(measured, _NUMBER)
    number = _number(written)
    text = {"UIDREF": _UID, "DATETIME": _DATE_TIME}.get(kind)
    return Item(
        kind,
        _code(found.sequences.get(_CONCEPT), charset),
        number,
        _code(measured.sequences.get(_UNITS), charset),
        bool(written) and number is None,
        _code(found.sequences.get(_CODE), charset),
        _ascii(found, text) if text else _text(found, _TEXT, charset),
        [_item(one, charset) for one in found.sequences.get(_CONTENT, ())],
    )


def _code(items: list[DataSet] | None, charset: Charset) -> Code:
    if not items:
        return Code("", "")
    one = items[0]
    value = _ascii(one, _CODE_VALUE) or _ascii(one, _LONG_CODE)
    return Code(value, _ascii(one, _SCHEME), _text(one, _MEANING, charset))


def _ascii(found: DataSet, tag: int) -> str:
    """The first value, as codes, numbers, times and UIDs are written."""
    raw = found.values.get(tag, b"")[:MAX_TEXT]
    return raw.partition(b"\\")[0].decode("ascii", "replace").strip(" \0")


def _text(found: DataSet, tag: int, charset: Charset) -> str:
    raw = found.values.get(tag, b"")[: 4 * MAX_TEXT]
    return decode(raw, charset, TEXT_DELIMITERS)[0].strip(" \0")[:MAX_TEXT] if raw else ""


def _number(text: str) -> float | None:
    """A decimal string (PS3.5 section 6.2)."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None
