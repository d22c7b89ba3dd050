"""What is known about targets at run time: paused by whom and why, failures, back-off. Their settings are configuration.
It must not judge whether a target is down; the dispatcher does and says until when to leave it alone.
"""

from __future__ import annotations

from typing import Any

from protocol.records import record
from protocol.spool import breaker, tallying
from protocol.spool.acts import act_of
from protocol.spool.commands import done
from protocol.spool.database import Database
from protocol.wire.events import TargetPaused, TargetResumed

AT_ONCE = 500  # rows; the write lock is to be held for about 10 ms at most
LATELY_DELIVERIES, LATELY_IMAGES, LATELY_CONTEXTS = 20, 200, 40
"""How much is looked at for what a target got lately: it takes some milliseconds."""


@record
class TargetState:
    """One target; times are seconds since 1970 UTC, None where it never happened."""

    name: str
    paused: bool = False
    reason: str = ""
    until: float | None = None
    by: str = ""
    fails: int = 0
    not_before: float = 0.0
    last_success: float | None = None
    last_error: str = ""
    last_error_time: float | None = None
    opened: float | None = None
    half_open: bool = False
    probes: int = 0

    @property
    def breaker(self) -> str:
        """closed, open (nothing goes there, probes excepted) or half-open (one delivery may go); see breaker.py."""
        return "closed" if self.not_before <= 0 else "half-open" if self.half_open else "open"

    def pause(self, now: float) -> str:
        """Who paused it and why, in words; "" where nobody did, or it is over at `now` (seconds UTC)."""
        if not self.paused or (self.until is not None and self.until <= now):
            return ""
        return f"paused by {self.by or 'somebody'}{': ' if self.reason else ''}{self.reason}"

    def next_try(self, due: float) -> float:
        """When what is due then is tried at the earliest: while nobody is there, probes go in its place."""
        return max(due, self.not_before) if self.breaker == "open" else due


class Targets:
    """The table of target states; a target without a row is simply up."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def all(self) -> dict[str, TargetState]:
        """Every target that something happened to."""
        with self._db.read() as connection:
            rows = connection.execute("SELECT * FROM target_state").fetchall()
        return {row["name"]: _state(row) for row in rows}

    def queue(self) -> dict[str, dict[str, Any]]:
        """Unfinished deliveries per target: {target: {waiting, sending, retrying, parked, held, confirming, oldest,
        oldest_waiting}}; the last two in seconds UTC.
        """
        with self._db.read() as connection:
            return tallying.queues(connection)

    def lately(self, name: str) -> list[tuple[str, str]]:
        """(SOP class UID, transfer syntax UID) as stored, of what was last meant for a target: some of each of its last
        deliveries, among the last of the node."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT DISTINCT i.sop_class_uid, i.transfer_syntax_uid FROM"
                " (SELECT arrival FROM (SELECT arrival, target FROM delivery ORDER BY id DESC LIMIT ?)"
                " WHERE target = ? LIMIT ?) d"
                " CROSS JOIN image i ON i.arrival = d.arrival AND i.position < ?",
                (AT_ONCE, name, LATELY_DELIVERIES, LATELY_IMAGES),
            ).fetchall()
        return [(row[0], row[1]) for row in rows][:LATELY_CONTEXTS]

    def by_priority(self) -> dict[tuple[str, str], int]:
        """Deliveries that wait or are tried again, by (target, priority)."""
        with self._db.read() as connection:
            return tallying.by_priority(connection)

    def pause(self, name: str, reason: str, by: str, until: float | None, command: int) -> None:
        """No delivery to it is claimed until it is resumed, or `until` has passed."""
        with self._db.write() as tx:
            tx.execute(
                "INSERT INTO target_state (name, paused, reason, until, by) VALUES (?,1,?,?,?) ON CONFLICT (name)"
                " DO UPDATE SET paused = 1, reason = excluded.reason, until = excluded.until, by = excluded.by",
                (name, reason, until, by),
            )
            tx.emit(TargetPaused(name, reason, until or 0.0, by))
            done(tx, command, f"target {name} is paused")

    def resume(self, name: str, by: str, command: int) -> None:
        """Deliveries go on, at once: a back-off ends as well."""
        with self._db.write() as tx:
            tx.execute(
                "INSERT INTO target_state (name) VALUES (?) ON CONFLICT (name)"
                " DO UPDATE SET paused = 0, reason = '', until = NULL, by = ''",
                (name,),
            )
            breaker.close_breaker(tx, name, "resumed by a person")
            tx.emit(TargetResumed(name, by, act_of(tx, command).reason))
            done(tx, command, f"target {name} is resumed")

    def leave_alone(self, name: str, not_before: float, error: str = "") -> None:
        """Claim nothing for this target before that time (seconds UTC): it just failed, the next try may find it up."""
        with self._db.write() as tx:
            breaker.open_breaker(tx, name, not_before, error)

    def answers(self, name: str) -> None:
        """It does: deliveries may go there in numbers again."""
        with self._db.write() as tx:
            breaker.close_breaker(tx, name, "it answers")

    def begin_probe(self, name: str, seen: float, until: float) -> bool:
        """Whether the caller may ask a target that is left alone whether it is there; nobody else may before `until`.

        `seen` is the `not_before` that it found.
        """
        with self._db.write() as tx:
            return breaker.begin_probe(tx, name, seen, until)

    def half_open(self, name: str, mine: float) -> bool:
        """It is there, says the probe that was begun until `mine`. False: that does not matter any more."""
        with self._db.write() as tx:
            return breaker.half_open(tx, name, mine)

    def stay_open(self, name: str, mine: float, until: float, error: str) -> bool:
        """Nobody is there, says the probe that was begun until `mine`; the next one may go after `until`."""
        with self._db.write() as tx:
            return breaker.stay_open(tx, name, mine, until, error)

    def wake(self, name: str, after: int = 0, limit: int = AT_ONCE) -> int:
        """It answers again: up to `limit` deliveries behind id `after` that wait for their next try are due now, in the
        order of their age. The id to go on behind; 0 when there are no more.
        """
        with self._db.write() as tx:
            ids = [row[0] for row in tx.all(
                "SELECT id FROM delivery INDEXED BY delivery_state WHERE state = 'retrying' AND target = ? AND id > ?"
                " ORDER BY id LIMIT ?", (name, after, limit))]  # fmt: skip
            # Not `now`: what is due is taken in the order in which it fell due.
            tx.many("UPDATE delivery SET due = created WHERE id = ? AND due > created", [(id,) for id in ids])
        return ids[-1] if len(ids) == limit else 0


def _state(row: Any) -> TargetState:
    return TargetState(
        row["name"], bool(row["paused"]), row["reason"], row["until"], row["by"], row["fails"], row["not_before"],
        row["last_success"], row["last_error"], row["last_error_time"], row["opened"], bool(row["half_open"]),
        row["probes"],
    )  # fmt: skip
