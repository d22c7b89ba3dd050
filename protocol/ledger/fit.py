"""Makes values fit the columns: what a database would refuse (NUL, half surrogates, NaN, numbers too big, text too long)
is replaced and named, so that SQLite and PostgreSQL behave alike. Pure; it must not touch a database.

Every value of every event passes here, so the way for what fits anyway is short.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from itertools import repeat
from operator import gt
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Double, Integer, LargeBinary, String, Table

_UNFIT = re.compile("[\x00\ud800-\udfff]")
_MAX64, _MAX32 = 2**63, 2**31
_ENDLESS = 1 << 30
NAME_AT_LEAST = 64  # characters that every text column takes
MAX_DEPTH = 32  # of nested values; PostgreSQL and json both end much later
Fitter = Callable[[Any, set[str]], Any]


class Unfit(Exception):
    """A key cannot be made to fit, so there is no row to write."""


def fit_row(table: Table, values: dict[str, Any], problems: set[str]) -> dict[str, Any]:
    """The row as both databases take it; what had to be changed is added to `problems` as ``column: why``.

    Raises Unfit if a key column has no usable value. The row may be `values` itself.
    """
    if _shape(table, tuple(values)).holds(values):
        return values
    fitters = _fitters(table)
    row: dict[str, Any] = {}
    for name, value in values.items():
        fitter, is_key = fitters[name]
        if not is_key:
            row[name] = fitter(value, problems)
            continue
        found: set[str] = set()
        row[name] = fitter(value, found)
        if found or row[name] is None:
            raise Unfit(f"{table.name}.{name}: {'; '.join(found) or 'missing'}")
    return row


class _Shape:
    """Values of a table under certain names, to be tested all at once: texts, whole numbers, and the rest one by one."""

    def __init__(self, table: Table, names: tuple[str, ...]) -> None:
        columns = [table.c[name] for name in names]
        self._texts = [column.name for column in columns if isinstance(column.type, String)]
        self._limits = [_length(table.c[name]) for name in self._texts]
        self._wholes = [column.name for column in columns if isinstance(column.type, Integer)]
        self._numbers = [column.name for column in columns if isinstance(column.type, Double)]
        self._plain = [column.name for column in columns if isinstance(column.type, JSON)]
        self._keys = [column.name for column in columns if column.primary_key]

    def holds(self, values: dict[str, Any]) -> bool:
        """Whether all certainly fit as they are; what is uncommon is left to the fitters. None fits where no key is."""
        texts = [value for name in self._texts if (value := values[name]) is not None]
        try:
            joined = "".join(texts)
        except TypeError:
            return False
        if not joined.isascii() or "\0" in joined or type(joined) is not str:
            return False
        if len(texts) == len(self._limits):
            if any(map(gt, map(len, texts), self._limits)):
                return False
        elif any(map(gt, map(len, texts), repeat(NAME_AT_LEAST))):
            return False
        for name in self._wholes:
            value = values[name]
            if value is not None and not (type(value) is int and -_MAX32 <= value < _MAX32):
                return False
        for name in self._numbers:
            value = values[name]
            if value is not None and not (type(value) is float and -1e300 < value < 1e300):
                return False
        for name in self._keys:
            if values[name] is None:
                return False
        return all(_good(values[name]) for name in self._plain)


@lru_cache(maxsize=1000)
def _shape(table: Table, names: tuple[str, ...]) -> _Shape:
    return _Shape(table, names)


def fit(column: Column[Any], value: Any, problems: set[str]) -> Any:
    """One value for one column; None where nothing of it fits."""
    return None if value is None else _fitter(column)(value, problems)


@lru_cache(maxsize=100)
def _fitters(table: Table) -> dict[str, tuple[Fitter, bool]]:
    """Each column's fitter, and whether it is a key."""
    return {column.name: (_fitter(column), column.primary_key) for column in table.c}


def _length(column: Column[Any]) -> int:
    return (column.type.length or _ENDLESS) if isinstance(column.type, String) else 0


def _fitter(column: Column[Any]) -> Fitter:
    kind = column.type
    if isinstance(kind, LargeBinary):
        return _bytes
    if isinstance(kind, JSON):
        return partial(_json, column.name)
    if isinstance(kind, Double):
        return partial(_number, column.name)
    if isinstance(kind, BigInteger | Integer):
        return partial(_whole, column.name, _MAX64 if isinstance(kind, BigInteger) else _MAX32)
    assert isinstance(kind, String)
    return partial(_limited, column.name, _length(column))


def _bytes(value: Any, problems: set[str]) -> Any:
    return value


def _whole(name: str, limit: int, value: Any, problems: set[str]) -> int | None:
    if type(value) is int and -limit <= value < limit:
        return value
    if value is not None:
        problems.add(f"{name}: not a whole number of its size")
    return None


def _limited(name: str, length: int, value: Any, problems: set[str]) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        problems.add(f"{name}: not text")
        return None
    cleaned = _text(value, name, problems)
    if len(cleaned) > length:
        problems.add(f"{name}: longer than {length} characters")
        return cleaned[:length]
    return cleaned


def _text(value: str, name: str, problems: set[str]) -> str:
    cleaned = _UNFIT.sub("\ufffd", value)
    if cleaned != value:
        problems.add(f"{name}: NUL or half a character")
    return cleaned


def _number(name: str, value: Any, problems: set[str]) -> float | None:
    if type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value):
        return float(value)
    if value is not None:
        problems.add(f"{name}: not a finite number")
    return None


def _json(name: str, value: Any, problems: set[str]) -> Any:
    return value if _good(value) else _plain(value, name, problems)


def _good(value: Any, depth: int = 0) -> bool:
    """Whether a value certainly fits as it is; what is only uncommon is left to `_plain`."""
    kind = type(value)
    if kind is str:
        return "\0" not in value and bool(value.isascii())
    if kind is int:
        return bool(-_MAX64 <= value < _MAX64)
    if kind is list and depth < MAX_DEPTH:
        return _all_good(value, depth + 1)
    if kind is dict and depth < MAX_DEPTH:
        return all(type(key) is str for key in value) and _all_good(value, 0) and _all_good(value.values(), depth + 1)
    return value is None or kind is bool or (kind is float and -1e300 < value < 1e300)


def _all_good(values: Iterable[Any], depth: int) -> bool:
    for value in values:
        kind = type(value)
        if kind is str:
            if not value.isascii() or "\0" in value:
                return False
        elif not _good(value, depth):
            return False
    return True


def _plain(value: Any, name: str, problems: set[str], depth: int = 0) -> Any:
    """A value that json can write and JSONB can take."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, name, problems)
    if isinstance(value, int | float):
        whole = type(value) is int and -_MAX64 <= value < _MAX64
        return value if whole else _number(name, value, problems)
    if depth < MAX_DEPTH and isinstance(value, Mapping):
        return {_text(str(key), name, problems): _plain(item, name, problems, depth + 1) for key, item in value.items()}
    if depth < MAX_DEPTH and isinstance(value, list | tuple):
        return [_plain(item, name, problems, depth + 1) for item in value]
    problems.add(f"{name}: a value that is no plain one")
    return None
