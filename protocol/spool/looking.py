"""Looking at the queue of deliveries: what is due, one of them, lists, what targets are needed for. It changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from protocol.errors import NotFound
from protocol.spool.claiming import ANY_ORDER, Order, best_first
from protocol.spool.database import Database
from protocol.states import DELIVERY_FINISHED, DeliveryState

COUNTED = 1000  # deliveries; nobody needs to know of more
UNFINISHED = tuple(
    str(state) for state in DeliveryState if state not in DELIVERY_FINISHED
)  # IN uses the index, NOT IN not


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

    def list(
        self, *, states: Sequence[str] = (), target: str | None = None, before: int | None = None, limit: int = 50
    ) -> list[dict[str, Any]]:
        """Deliveries with their arrival's source and modality, newest first."""
        tests: list[str] = []
        values: list[Any] = []
        if states:
            tests.append(f"d.state IN ({','.join('?' * len(states))})")
            values.extend(states)
        if target is not None:
            tests.append("d.target = ?")
            values.append(target)
        if before is not None:
            tests.append("d.id < ?")
            values.append(before)
        where = f" WHERE {' AND '.join(tests)}" if tests else ""
        with self._db.read() as connection:
            rows = connection.execute(
                # The page first, out of an index alone: a queue of 100,000 is not to be read for its first 50.
                "SELECT d.*, a.calling_ae, a.modality FROM delivery d JOIN arrival a ON a.id = d.arrival"
                f" WHERE d.id IN (SELECT d.id FROM delivery d{where} ORDER BY d.id DESC LIMIT ?) ORDER BY d.id DESC",
                (*values, limit),
            ).fetchall()
        return [dict(row) for row in rows]

    def targets_in_use(self) -> dict[str, str]:
        """Targets that unfinished deliveries need, with why; they cannot be removed from the configuration."""
        with self._db.read() as connection:
            rows = connection.execute(
                f"SELECT target, target_group, count(*) AS count FROM delivery WHERE state IN {UNFINISHED!r}"
                " GROUP BY target, target_group"
            ).fetchall()
        counts: Counter[str] = Counter()
        for row in rows:
            for name in {row["target"], row["target_group"]} - {""}:
                counts[name] += row["count"]
        return {name: f"{count} unfinished deliveries" for name, count in counts.items()}
