"""Looking at the queue of deliveries: what is due, one of them, lists, what targets are needed for. It changes nothing."""

from __future__ import annotations

import builtins
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

from protocol.errors import NotFound
from protocol.records import record
from protocol.selection import Selection
from protocol.spool import tallying
from protocol.spool.claiming import ANY_ORDER, Order, best_first
from protocol.spool.database import Database
from protocol.spool.selecting import DELIVERIES, page, part
from protocol.spool.tallying import UNFINISHED  # IN uses the index, NOT IN not

AT_ONCE = 500  # ids in one statement
COUNTED = 1000  # deliveries; nobody needs to know of more


@record
class Trouble:
    """Deliveries to one target in one state for one cause (protocol/causes.py): how many, when the oldest was made (seconds
    UTC), and one of them.
    """

    target: str
    cause: str
    state: str
    count: int
    oldest: float
    example: int


class Looking:
    """The part of the queue that only looks."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def ready(self, names: Collection[str], now: float, order: Order = ANY_ORDER) -> bool:
        """Is anything due for these targets and groups that may go now?"""
        with self._db.read() as connection:
            return bool(best_first(connection, sorted(names), order, now))

    def awaited(self, names: Collection[str]) -> bool:
        """Does any delivery wait for one of these targets and groups, due or not?"""
        with self._db.read() as connection:
            sql = "SELECT 1 FROM delivery INDEXED BY delivery_ready WHERE target = ? AND state IN ('waiting', 'retrying') LIMIT 1"
            return any(connection.execute(sql, (name,)).fetchone() for name in names)

    def count_ready(self, now: float) -> int:
        """How many deliveries are due, whatever their target allows; COUNTED stands for that many or more."""
        with self._db.read() as connection:
            sql = "SELECT 1 FROM delivery INDEXED BY delivery_due WHERE state IN ('waiting', 'retrying') AND due <= ? LIMIT ?"
            return len(connection.execute(sql, (now, COUNTED)).fetchall())

    def next_due(self) -> float | None:
        """When the next retry is due, seconds UTC."""
        with self._db.read() as connection:
            row = connection.execute(
                "SELECT min(due) FROM delivery INDEXED BY delivery_due WHERE state IN ('waiting', 'retrying')"
            ).fetchone()
        return None if row is None or row[0] is None else float(row[0])

    def get(self, id: int) -> dict[str, Any]:
        """One delivery. Raises NotFound."""
        with self._db.read() as connection:
            row = connection.execute("SELECT * FROM delivery WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise NotFound(f"there is no delivery {id}")
        return dict(row)

    def of_arrival(self, arrival: int) -> builtins.list[dict[str, Any]]:
        """All deliveries of one arrival, oldest first."""
        with self._db.read() as connection:
            rows = connection.execute("SELECT * FROM delivery WHERE arrival = ? ORDER BY id", (arrival,)).fetchall()
        return [dict(row) for row in rows]

    def list(
        self, *, states: Sequence[str] = (), target: str | None = None, before: int | None = None, limit: int = 50
    ) -> builtins.list[dict[str, Any]]:
        """See `select`, by state and target alone."""
        return self.select(Selection(states=tuple(states), target=target), before=before, limit=limit)

    def select(
        self, selection: Selection, *, before: int | None = None, limit: int = 50
    ) -> builtins.list[dict[str, Any]]:  # fmt: skip
        """Deliveries with their arrival's source and modality, newest first; pass the last id as `before` for the next page."""
        with self._db.read() as connection:
            # The page first, out of an index alone: a queue of 100,000 is not to be read for its first 50.
            return _rows(connection, page(connection, DELIVERIES, selection, before, limit))

    def part(
        self, selection: Selection, *, before: int | None = None, limit: int = 50
    ) -> tuple[builtins.list[dict[str, Any]], int | None]:
        """As `select`, for a page that must come at once: with filters that have no index it may have few rows, or none.
        The second is the `before` of the next page; None: that was all.
        """
        with self._db.read() as connection:
            ids, further = part(connection, selection, before, limit)
            return _rows(connection, ids), further

    def causes(self, target: str | None = None) -> builtins.list[Trouble]:
        """What does not get on, by target and cause, the most first."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT target, cause, state, count(*) AS count, min(created) AS oldest, min(id) AS example FROM delivery"
                f" INDEXED BY delivery_cause WHERE cause <> '' AND state IN {UNFINISHED!r}"
                " AND (:target IS NULL OR target = :target) GROUP BY state, cause, target",
                {"target": target},
            ).fetchall()
        return sorted((Trouble(**dict(row)) for row in rows), key=lambda one: (-one.count, one.target, one.cause))

    def targets_in_use(self) -> dict[str, str]:
        """Targets that unfinished deliveries need, with why; they cannot be removed from the configuration."""
        with self._db.read() as connection:
            counts = tallying.needed(connection)
        return {name: f"{count} unfinished deliveries" for name, count in counts.items()}


def _rows(connection: sqlite3.Connection, ids: Sequence[int]) -> list[dict[str, Any]]:
    rows: list[Any] = []
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        rows += connection.execute(
            "SELECT d.*, a.calling_ae, a.modality FROM delivery d JOIN arrival a ON a.id = d.arrival"
            f" WHERE d.id IN ({','.join('?' * len(some))}) ORDER BY d.id DESC",
            some,
        ).fetchall()
    return [dict(row) for row in rows]
