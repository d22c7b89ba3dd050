"""Which delivery is claimed next, and the one statement that claims it. Called by deliveries.py only.
It never commits, and must not know what a slot or a target is: what may be taken is handed in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from protocol.records import record
from protocol.spool.binding import Binding, choose
from protocol.spool.transaction import Transaction
from protocol.states import Priority

Groups = Mapping[str, Binding]
NO_GROUPS: Groups = {}


@record
class Order:
    """In which order deliveries are taken, and which are not taken now.

    Attributes:
        aging_s: after so many seconds in the queue a delivery counts one priority higher, after twice as many two; None:
            never.
        offpeak: whether off-peak deliveries may go now; else they wait, at most `offpeak_after_s` seconds from when they
            were made.
        only_urgent: nothing but urgent ones: the lane that stays free for them.
        urgent_more: how many more than its limit a target may have under way if the next one is urgent.
    """

    aging_s: float | None = None
    offpeak: bool = True
    offpeak_after_s: float = float("inf")
    only_urgent: bool = False
    urgent_more: Mapping[str, int] | None = None

    def rank(self, rank: int, age_s: float) -> int:
        """The priority that a delivery of this age has, 0 the highest."""
        return rank if not self.aging_s else max(0, rank - int(max(0.0, age_s) // self.aging_s))

    def takes(self, rank: int, age_s: float) -> bool:
        """Whether one of this priority and age may be taken now."""
        if self.only_urgent:
            return rank == Priority.URGENT.rank
        return rank != Priority.OFFPEAK.rank or self.offpeak or age_s >= self.offpeak_after_s


ANY_ORDER = Order()


@record
class Candidate:
    """The first delivery of one priority in the queue of a target or group."""

    name: str
    rank: int


def rotated(names: Collection[str], start_after: str) -> list[str]:
    """In order, beginning behind one of them."""
    ordered = sorted(names)
    return [name for name in ordered if name > start_after] + [name for name in ordered if name <= start_after]


def best_first(connection: sqlite3.Connection, names: Sequence[str], order: Order, now: float) -> list[Candidate]:
    """What could be taken now, the best first: by the priority it has at its age, then in the order of `names`."""
    found: list[tuple[int, int, Candidate]] = []
    for at, name in enumerate(names):
        for rank in range(len(Priority)):
            row = connection.execute(READY, {"target": name, "rank": rank, "now": now}).fetchone()
            if row is not None and order.takes(rank, now - row["created"]):
                found.append((order.rank(rank, now - row["created"]), at, Candidate(name, rank)))
    return [candidate for _, _, candidate in sorted(found, key=lambda one: one[:2])]


def take(
    tx: Transaction, owner: str, candidate: Candidate, limits: Mapping[str, int], groups: Groups, order: Order, now: float
) -> Any:  # fmt: skip
    """The row of what is claimed now; None if others were faster, or its target has enough under way."""
    more = (order.urgent_more or {}) if candidate.rank == Priority.URGENT.rank else {}
    limits = {name: limit + more.get(name, 0) for name, limit in limits.items()}
    name, rank = candidate.name, candidate.rank
    for _ in range(OVERTAKING):
        if name in groups:
            chosen = choose(tx, name, rank, groups[name], limits, now)
        else:
            row = tx.one(READY_ID, {"target": name, "queue": name, "rank": rank, "now": now})
            chosen = None if row is None else (int(row[0]), name)
        if chosen is None:
            return None
        id, target = chosen
        if tx.one(_OVERTAKES, {"id": id, "target": target}) is None:
            return tx.one(_CLAIM, {"id": id, "owner": owner, "target": target, "now": now, "limit": limits[target]})
        tx.execute("UPDATE delivery SET due = ? WHERE id = ?", (now + LATER_S, id))
    return None


OVERTAKING = 20  # deliveries in a row that have to wait for an older one; behind them may be others
LATER_S = 1.0
# A slot keeps the images that it has in hand: one that is replaced meanwhile is sent all the same, and the version that
# replaces it must come after it. So while an earlier part of a series with replaced images is sent to a target, no later
# part of that series is. Nor the other way round: whether a newer version goes where the target is now, or still to the place
# that it had before, shows when it is there (moving.py). The same goes for single images of a series of which none is there yet.
_OVERTAKES = (
    "SELECT 1 FROM delivery d JOIN arrival a ON a.id = d.arrival CROSS JOIN arrival e ON e.series_key = a.series_key"
    " AND iif(e.id <= a.id, e.superseded, a.superseded) > 0 CROSS JOIN delivery o INDEXED BY delivery_arrival"
    " ON o.arrival = e.id AND o.target = :target AND o.state = 'sending' WHERE d.id = :id"
    " UNION ALL SELECT 1 FROM delivery d JOIN delivery o INDEXED BY delivery_singles ON o.arrival = d.arrival"
    " AND o.target = :target AND o.singles = 1 AND o.state = 'sending' AND o.place = '' WHERE d.id = :id AND d.singles = 0"
)
READY = (
    "SELECT id, created FROM delivery WHERE target = :target AND priority = :rank AND state IN ('waiting', 'retrying')"
    " AND due <= :now ORDER BY due, id LIMIT 1"
)
READY_ID = READY.replace("SELECT id, created", "SELECT id").replace(":target", ":queue")
_CLAIM = (
    "UPDATE delivery SET state = 'sending', target = :target, owner = :owner, attempts = attempts + 1, claimed = :now,"
    " moved = :now, first_tried = coalesce(first_tried, :now) WHERE id = :id"
    " AND (SELECT count(*) FROM delivery WHERE target = :target AND state = 'sending') < :limit"
    " AND NOT EXISTS (SELECT 1 FROM target_state WHERE name = :target"
    "   AND ((paused = 1 AND coalesce(until, 9e99) > :now) OR not_before > :now)) RETURNING *"
)
