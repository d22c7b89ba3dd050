"""Writes many rows of one table in one statement, as each database does it fastest: `put`, `add`.
It must not know what the rows mean; values must fit already (fit.py).

SQLite: one prepared statement, run for each row. PostgreSQL: the rows travel as one JSON document that the server takes
apart, which costs Python a tenth of writing values into SQL and is one round trip.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import JSON, Connection, LargeBinary, Table
from sqlalchemy.dialects import postgresql

Rows = Sequence[dict[str, Any]]
to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
UNFIT = (TypeError, ValueError, OverflowError, RecursionError)
"""What values that do not fit raise before a database has seen them."""
_POSTGRES = postgresql.dialect()  # type: ignore[no-untyped-call]


def add(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert rows that are not there; all have the same columns. Raises UNFIT, or SQLAlchemy's errors."""
    _run(connection, table, rows, "")


def put(connection: Connection, table: Table, rows: Rows, first: Sequence[str] = ()) -> None:
    """Insert rows, or set just these columns, except those in `first`, in rows that are there.

    All rows have the same columns, and no two the same key. Raises UNFIT, or SQLAlchemy's errors.
    """
    keys = [column.name for column in table.primary_key]
    names = [name for name in rows[0] if name not in keys and name not in first]
    change = f"UPDATE SET {', '.join(f'{_quoted(name)} = excluded.{_quoted(name)}' for name in names)}"
    _run(connection, table, rows, f" ON CONFLICT ({', '.join(keys)}) DO {change if names else 'NOTHING'}")


def _run(connection: Connection, table: Table, rows: Rows, conflict: str) -> None:
    names = tuple(rows[0])
    if connection.dialect.name == "postgresql":
        statement, binary = _postgres(table, names, conflict)
        for name in binary:
            rows = [{**row, name: _hex(row[name])} for row in rows]
        connection.exec_driver_sql(statement, (to_json(rows),))
    else:
        statement, plain = _sqlite(table, names, conflict)
        for name in plain:
            rows = [{**row, name: None if row[name] is None else to_json(row[name])} for row in rows]
        connection.exec_driver_sql(statement, [tuple(row.values()) for row in rows])


@lru_cache(maxsize=500)
def _sqlite(table: Table, names: tuple[str, ...], conflict: str) -> tuple[str, tuple[str, ...]]:
    """The statement, and the columns that hold JSON."""
    marks = ", ".join("?" * len(names))
    plain = tuple(name for name in names if isinstance(table.c[name].type, JSON))
    return f"INSERT INTO {table.name} ({_listed(names)}) VALUES ({marks}){conflict}", plain


@lru_cache(maxsize=500)
def _postgres(table: Table, names: tuple[str, ...], conflict: str) -> tuple[str, tuple[str, ...]]:
    """The statement, and the columns that hold bytes."""
    types = ", ".join(f"{_quoted(name)} {table.c[name].type.compile(_POSTGRES)}" for name in names)
    binary = tuple(name for name in names if isinstance(table.c[name].type, LargeBinary))
    return (
        f"INSERT INTO {table.name} ({_listed(names)}) SELECT {_listed(names)}"
        f" FROM json_to_recordset(CAST(%s AS json)) AS given({types}){conflict}"
    ), binary


def _hex(value: bytes | None) -> str | None:
    """As PostgreSQL reads bytes out of text."""
    return None if value is None else "\\x" + value.hex()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(_quoted, names))


def _quoted(name: str) -> str:
    return f'"{name}"'
