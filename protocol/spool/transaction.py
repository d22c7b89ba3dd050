"""A transaction as the rooms of the spool see it: statements, plus `emit`, which records an event in the outbox.
It never begins or commits; database.py does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from protocol.clock import Clock
from protocol.spool.places import new_receipts
from protocol.wire.codec import pack
from protocol.wire.messages import Event

Values = Sequence[Any] | Mapping[str, Any]
_MOST_TOGETHER = (
    5  # 32 rows: SQLite takes 32,766 values a statement (since 3.32), and this is what a group of images has
)
_EVENT = "event (epoch, id, type, version, subject, shard, severity, time, source, correlation, causation, body, phi)"


class Transaction:
    """Valid only inside `with database.write()`. `now` is one moment for everything that it changes."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock, source: str) -> None:
        self._connection = connection
        self._source = source
        self._epoch: int | None = None
        self.now = clock.now()
        self.recorded = 0  # events so far

    def execute(self, statement: str, values: Values = ()) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    def many(self, statement: str, rows: Iterable[Values]) -> None:
        self._connection.executemany(statement, rows)

    def one(self, statement: str, values: Values = ()) -> Any:
        """First row or None."""
        return self._connection.execute(statement, values).fetchone()

    def all(self, statement: str, values: Values = ()) -> list[Any]:
        """Every row, fetched whole."""
        return self._connection.execute(statement, values).fetchall()

    def changed(self, statement: str, values: Values = ()) -> int:
        """Run a statement and say how many rows it changed."""
        return self._connection.execute(statement, values).rowcount

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What happens inside is undone alone if it fails."""
        self._connection.execute("SAVEPOINT step")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:  # a full or broken disk makes SQLite undo the whole transaction itself
                self._connection.execute("ROLLBACK TO step")
                self._connection.execute("RELEASE step")
            raise
        self._connection.execute("RELEASE step")

    def add(self, total: str, count: int = 1) -> None:
        """Add to one of the stored totals."""
        self._connection.execute("UPDATE total SET value = value + ? WHERE name = ?", (count, total))

    def insert(self, into: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows, many with one statement: each statement lets other threads in between, and ours then waits for them.

        `into` is the table with its columns. The rows go in one after the other; a fault of one undoes those with it.
        """
        done = 0
        while done < len(rows):
            # Few different statements, so that they are kept: so many at a time as the largest power of two that fits.
            some = rows[done : done + (1 << min(_MOST_TOGETHER, (len(rows) - done).bit_length() - 1))]
            one = f"({','.join('?' * len(some[0]))})"
            self._connection.execute(
                f"INSERT INTO {into} VALUES {','.join([one] * len(some))}", [value for row in some for value in row]
            )
            done += len(some)

    def emit(
        self, event: Event, *, correlation: str | int = "", cause: str = "", phi: Mapping[str, Any] | None = None
    ) -> str:
        """Record an event; it becomes visible with the change of state that it tells, or not at all. Returns its id."""
        row = self._row(_event_ids(self.now, 1)[0], event, correlation, cause, phi)
        self.insert(_EVENT, [row])
        self.recorded += 1
        return str(row[1])

    def emit_many(self, events: Sequence[tuple[Event, str | int]]) -> None:
        """Record events, each with what it belongs to, in this order."""
        ids = _event_ids(self.now, len(events))
        self.insert(
            _EVENT,
            [self._row(id, event, correlation, "", None) for id, (event, correlation) in zip(ids, events, strict=True)],
        )
        self.recorded += len(events)

    def _row(
        self, id: str, event: Event, correlation: str | int, cause: str, phi: Mapping[str, Any] | None
    ) -> tuple[Any, ...]:
        if self._epoch is None:
            self._epoch = int(self.one("SELECT value FROM meta WHERE key = 'epoch'")[0])
        return (
            self._epoch, id, event.TYPE, event.VERSION, event.subject(), event.shard(), event.SEVERITY,
            self.now, self._source, str(correlation), cause, pack(event.data()), None if phi is None else pack(dict(phi)),
        )  # fmt: skip


def _event_ids(now: float, count: int) -> list[str]:
    """UUIDs of version 7 as text (RFC 9562 section 5.7): by time, so that the ledger's index of millions grows at its end."""
    written = [receipt.hex() for receipt in new_receipts(now, count)]
    return [f"{one[:8]}-{one[8:12]}-{one[12:16]}-{one[16:20]}-{one[20:]}" for one in written]
