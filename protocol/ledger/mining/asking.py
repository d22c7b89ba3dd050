"""Asks the ledger a query, ready or somebody's own: read only, with a time limit and a limit of rows, on both databases.
It must not change anything, whatever the query says, nor format the answer for people.
"""

from __future__ import annotations

import math
import sqlite3
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from protocol.errors import LedgerError
from protocol.ledger.engine import brief, reader, reading
from protocol.ledger.mining.ready import Query
from protocol.ledger.mining.single import single_statement
from protocol.ledger.mining.spelling import Selection, spelled
from protocol.records import record

TIMEOUT_S = 60.0
MOST_ROWS = 10_000
MOST_BYTES = 256_000_000
"""Of one answer, which is in memory as a whole; and of SQLite's own memory."""
_VALUE_BYTES = 32_000_000
"""Of one value in SQLite, whose own limit is a gigabyte: a few times what the header values of a huge series need."""
_CELL_BYTES = 8  # that a value takes at least
_STEPS = 20_000  # of SQLite's machine between two looks at the clock; about a millisecond
_READS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})


@record
class Answer:
    """Rows in the order of `columns`; `cut` if there were more than the limit."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    cut: bool


def ask_ready(
    url: str, query: Query, selection: Selection, zone: str, *, limit: int = MOST_ROWS, timeout_s: float = TIMEOUT_S
) -> Answer:  # fmt: skip
    """The answer to a ready query. Raises LedgerUnavailable, LedgerError if it took too long."""
    with _looking(url, timeout_s) as connection:
        statement = text(spelled(query.sql, connection.dialect.name, zone, selection))
        return _answer(connection.execute(statement, selection.parameters()), limit)


def ask_own(url: str, sql: str, *, limit: int = MOST_ROWS, timeout_s: float = TIMEOUT_S) -> Answer:
    """The answer to one SELECT that somebody wrote. Raises LedgerError (what the database says about it, two statements,
    too long), LedgerUnavailable.
    """
    statement = single_statement(sql)
    with _looking(url, timeout_s) as connection:
        found = connection.execution_options(stream_results=True, max_row_buffer=100).exec_driver_sql(
            statement.replace("%", "%%") if connection.dialect.name == "postgresql" else statement
        )
        return _answer(found, limit)


def _answer(found: Any, limit: int) -> Answer:
    columns, rows, left = tuple(found.keys()), list[tuple[Any, ...]](), MOST_BYTES
    for row in found:
        if len(rows) == limit:
            found.close()
            return Answer(columns, tuple(rows), True)
        rows.append(tuple(_plain(value) for value in row))
        left -= sum(len(value) if isinstance(value, str) else _CELL_BYTES for value in rows[-1])
        if left < 0:
            raise LedgerError(f"the answer is larger than {MOST_BYTES // 1_000_000} MB; ask for less of it")
    return Answer(columns, tuple(rows), False)


def _plain(value: Any) -> Any:
    """Numbers of the database's own exact kind as floats, whole ones to the last digit (what PostgreSQL's sum() gives of
    counts); times as ISO 8601; and so within lists.
    """
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | float | str | dict):
        return value
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, Decimal) and value.is_finite() and value.as_tuple().exponent == 0:
        return int(value)
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


@contextmanager
def _looking(url: str, timeout_s: float) -> Iterator[Connection]:
    engine = reader(url)
    try:
        with reading(engine) as connection:
            timer = _limit(connection, timeout_s)
            try:
                yield connection
            except MemoryError as exc:
                raise LedgerError("the query needs too much memory; ask for less at once") from exc
            except DBAPIError as exc:
                if exc.connection_invalidated:
                    raise
                raise LedgerError(_words(exc, timeout_s)) from exc
            except SQLAlchemyError as exc:
                raise LedgerError(f"the ledger cannot answer this: {brief(exc)}") from exc
            finally:
                timer.cancel()
                _unlimit(connection)
    finally:
        engine.dispose()


def _limit(connection: Connection, timeout_s: float) -> threading.Timer:
    """Nothing but reading, not for ever, and not with all memory that there is. The timer is to be cancelled."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET statement_timeout = {int(timeout_s * 1000)}")
        return threading.Timer(timeout_s, lambda: None)
    raw: Any = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    deadline = time.monotonic() + timeout_s
    raw.create_function("local_time", 3, _local_time, deterministic=True)
    raw.create_aggregate("median", 1, _Median)  # type: ignore[arg-type]  # typeshed wants more than sqlite3 does
    raw.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _VALUE_BYTES)
    # For this whole process, and it can only be lowered; an older SQLite does not know it.
    connection.exec_driver_sql(f"PRAGMA hard_heap_limit = {MOST_BYTES}")
    connection.exec_driver_sql("SELECT 1")  # the transaction begins before the door is shut
    raw.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY)
    # A step that makes megabytes takes far longer than others, and the handler comes after many; this is seen after the next.
    timer = threading.Timer(timeout_s, _interrupt, (raw,))
    timer.daemon = True
    timer.start()
    return timer


def _interrupt(raw: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):  # it is closed already
        raw.interrupt()


def _unlimit(connection: Connection) -> None:
    """So that the transaction can be ended; nobody asks on this connection again."""
    if connection.dialect.name == "sqlite" and not connection.invalidated:
        raw: Any = connection.connection.driver_connection
        raw.set_authorizer(None)
        raw.set_progress_handler(None, 0)


def _words(exc: DBAPIError, timeout_s: float) -> str:
    said = brief(exc)
    if "57014" in said or said.endswith("interrupted"):
        return f"the query took longer than {timeout_s:g} s; ask for fewer days, or give it more time with --timeout"
    return f"the ledger cannot answer this: {said}" + (
        ": only reading is allowed" if said.endswith("not authorized") else ""
    )


# ---- what SQLite lacks --------------------------------------------------------------------------------------------
def _local_time(seconds: float | None, zone: str, form: str) -> str | None:
    if seconds is None:
        return None
    # Zones change at full quarters of an hour, so all but the finest form is found again for each of these.
    return _formatted(seconds if "%S" in form else seconds // 900 * 900, zone, form)


@lru_cache(maxsize=65_536)
def _formatted(seconds: float, zone: str, form: str) -> str:
    return datetime.fromtimestamp(seconds, ZoneInfo(zone)).strftime(form)


class _Median:
    def __init__(self) -> None:
        self._seen: list[float] = []

    def step(self, value: Any) -> None:
        if isinstance(value, int | float):
            self._seen.append(value)

    def finalize(self) -> float | None:
        return statistics.median(self._seen) if self._seen else None


def document(answer: Answer) -> list[Mapping[str, Any]]:
    """The rows as maps, for JSON: it has no infinite numbers (null), and a second column of a name gets a number behind it."""
    names = list[str]()
    for column in answer.columns:
        free = (f"{column}_{number}" for number in count(2) if f"{column}_{number}" not in {*names, *answer.columns})
        names.append(next(free) if column in names else column)
    return [{name: _finite(value) for name, value in zip(names, row, strict=True)} for row in answer.rows]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
