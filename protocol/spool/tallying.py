"""How many arrivals and deliveries there are of each state: the rows that the database keeps itself (schema.py, tally), and the
same counted. It only reads, but for `recount`; pages must not count tables, which may hold a million rows.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import field
from typing import Any

from protocol.records import record
from protocol.spool.schema import COUNTED
from protocol.spool.transaction import Transaction
from protocol.states import DELIVERY_FINISHED, DeliveryState, Priority

UNFINISHED = tuple(str(state) for state in DeliveryState if state not in DELIVERY_FINISHED)


@record
class Amount:
    """So many arrivals with so many images; of these so many were replaced by newer ones. Of open arrivals images are unknown."""

    count: int = 0
    images: int = 0
    superseded: int = 0


@record
class Tally:
    """Arrivals by state, deliveries by (state, target, group or ""); what there is none of is left out."""

    arrivals: dict[str, Amount] = field(default_factory=dict)
    deliveries: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def by_state(self, target: str | None = None) -> dict[str, int]:
        """Deliveries, of one target or of all."""
        found: Counter[str] = Counter()
        for (state, name, _), count in self.deliveries.items():
            if target in (None, name):
                found[state] += count
        return dict(found)


def kept(connection: sqlite3.Connection) -> Tally:
    """As the database kept it."""
    return _tally(connection.execute("SELECT kind, state, target, target_group, count, images, superseded FROM tally"))


def counted(connection: sqlite3.Connection) -> Tally:
    """As it is: reads whole tables, so never for a page."""
    return _tally(connection.execute(COUNTED))


def open_images(connection: sqlite3.Connection) -> Amount:
    """Images of the arrivals that are open now."""
    row = connection.execute(
        "SELECT count(*), total(images), total(superseded) FROM arrival INDEXED BY arrival_state WHERE state = 'open'"
    ).fetchone()
    return Amount(int(row[0]), int(row[1]), int(row[2]))


def oldest(connection: sqlite3.Connection, state: str, target: str) -> float | None:
    """When the delivery that was made first of these was made (seconds UTC): one look into the index of states."""
    row = connection.execute(
        "SELECT created FROM delivery INDEXED BY delivery_state WHERE state = ? AND target = ? ORDER BY id LIMIT 1", (state, target)
    ).fetchone()  # fmt: skip
    return None if row is None else float(row[0])


def queues(connection: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """Unfinished deliveries per target: {target: {state: count, "oldest": seconds UTC, "oldest_waiting": ... or None}}."""
    found: dict[str, dict[str, Any]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for (state, target, _), count in kept(connection).deliveries.items():
        if state in UNFINISHED:
            counts[state, target] += count
    for (state, target), count in counts.items():
        first = oldest(connection, state, target)
        if first is None:
            continue
        queue = found.setdefault(target, {"oldest": first, "oldest_waiting": None})
        queue[state] = count
        queue["oldest"] = min(queue["oldest"], first)
        if state in ("waiting", "retrying", "sending"):
            queue["oldest_waiting"] = min(queue["oldest_waiting"] or first, first)
    return found


def by_priority(connection: sqlite3.Connection) -> dict[tuple[str, str], int]:
    """Deliveries that wait or are tried again, by (target, priority): one walk along the index of what is ready, 5 ms for 100,000
    of them; for /metrics, not for pages.
    """
    names = {priority.rank: str(priority) for priority in Priority}
    rows = connection.execute(
        "SELECT target, priority, count(*) FROM delivery INDEXED BY delivery_ready WHERE state IN ('waiting', 'retrying')"
        " GROUP BY target, priority"
    )
    return {(target, names.get(rank, str(rank))): int(count) for target, rank, count in rows}


def needed(connection: sqlite3.Connection) -> dict[str, int]:
    """How many unfinished deliveries there are to each target, and to each group."""
    counts: Counter[str] = Counter()
    for (state, target, group), count in kept(connection).deliveries.items():
        if state in UNFINISHED:
            for name in {target, group} - {""}:
                counts[name] += count
    return dict(counts)


def recount(tx: Transaction) -> None:
    """Begin the tally anew. For repairs: it holds the write lock as long as counting takes."""
    tx.execute("DELETE FROM tally")
    tx.execute(f"INSERT INTO tally {COUNTED}")


def _tally(rows: Any) -> Tally:
    found = Tally()
    for kind, state, target, group, count, images, superseded in rows:
        if not (count or images or superseded):
            continue
        if kind == "arrival":
            found.arrivals[state] = Amount(int(count), int(images), int(superseded))
        else:
            found.deliveries[state, target, group] = int(count)
    return found
