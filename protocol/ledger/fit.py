"""Makes values fit the columns: what a database would refuse (NUL, half surrogates, NaN, numbers too big, text too long)
is replaced and named, so that SQLite and PostgreSQL behave alike. Pure; it never touches a database.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Double, Integer, LargeBinary, String, Table

_UNFIT = re.compile("[\x00\ud800-\udfff]")
_INT64, _INT32 = range(-(2**63), 2**63), range(-(2**31), 2**31)
MAX_DEPTH = 32  # of nested values; PostgreSQL and json both end much later


class Unfit(Exception):
    """A key cannot be made to fit, so there is no row to write."""


def fit_row(table: Table, values: Mapping[str, Any], problems: set[str]) -> dict[str, Any]:
    """The row as both databases take it; what had to be changed is added to `problems` as ``column: why``.

    Raises Unfit if a key column has no usable value.
    """
    row = {}
    for name, value in values.items():
        column = table.c[name]
        found: set[str] = set()
        row[name] = fit(column, value, found)
        if column.primary_key and (found or row[name] is None):
            raise Unfit(f"{table.name}.{name}: {'; '.join(found) or 'missing'}")
        problems |= found
    return row


def fit(column: Column[Any], value: Any, problems: set[str]) -> Any:
    """One value for one column; None where nothing of it fits."""
    if value is None or isinstance(column.type, LargeBinary):
        return value
    if isinstance(column.type, JSON):
        return _plain(value, column.name, problems)
    if isinstance(column.type, Double):
        return _number(value, column.name, problems)
    if isinstance(column.type, BigInteger | Integer):
        limits = _INT64 if isinstance(column.type, BigInteger) else _INT32
        if type(value) is int and value in limits:
            return value
        problems.add(f"{column.name}: not a whole number of its size")
        return None
    assert isinstance(column.type, String)
    if not isinstance(value, str):
        problems.add(f"{column.name}: not text")
        return None
    cleaned = _text(value, column.name, problems)
    if column.type.length is not None and len(cleaned) > column.type.length:
        problems.add(f"{column.name}: longer than {column.type.length} characters")
        return cleaned[: column.type.length]
    return cleaned


def _text(value: str, name: str, problems: set[str]) -> str:
    cleaned = _UNFIT.sub("\ufffd", value)
    if cleaned != value:
        problems.add(f"{name}: NUL or half a character")
    return cleaned


def _number(value: Any, name: str, problems: set[str]) -> float | None:
    if type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value):
        return float(value)
    problems.add(f"{name}: not a finite number")
    return None


def _plain(value: Any, name: str, problems: set[str], depth: int = 0) -> Any:
    """A value that json can write and JSONB can take."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, name, problems)
    if isinstance(value, int | float):
        whole = type(value) is int and value in _INT64
        return value if whole else _number(value, name, problems)
    if depth < MAX_DEPTH and isinstance(value, Mapping):
        return {_text(str(key), name, problems): _plain(item, name, problems, depth + 1) for key, item in value.items()}
    if depth < MAX_DEPTH and isinstance(value, list | tuple):
        return [_plain(item, name, problems, depth + 1) for item in value]
    problems.add(f"{name}: a value that is no plain one")
    return None
