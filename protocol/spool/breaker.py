"""The circuit breaker of a target, inside a transaction: opened when nobody is there, closed by the first answer.
It must not judge whether a target is down, or when it is tried again: that is handed in.

closed: `not_before` is 0. open: nothing is claimed for the target, and after `not_before` one probe may go, over all
dispatchers. half open: a probe found the target; one delivery may go, and its answers decide.
"""

from __future__ import annotations

from protocol.spool.transaction import Transaction
from protocol.wire.events import TargetBreakerClosed, TargetBreakerOpened


def open_breaker(tx: Transaction, name: str, until: float, error: str) -> None:
    """Nothing goes to this target before `until` (seconds UTC)."""
    row = tx.one("SELECT not_before FROM target_state WHERE name = ?", (name,))
    was_open = row is not None and row["not_before"] > 0
    tx.execute(
        "INSERT INTO target_state (name, not_before, opened) VALUES (:name, :until, :now) ON CONFLICT (name) DO UPDATE SET"
        " not_before = :until, half_open = 0, probes = 0, opened = CASE WHEN :was_open THEN coalesce(opened, :now) ELSE :now END",
        {"name": name, "until": until, "now": tx.now, "was_open": was_open},
    )
    if not was_open:
        tx.emit(TargetBreakerOpened(name, error, until))


def close_breaker(tx: Transaction, name: str, why: str) -> None:
    """Deliveries go there in numbers again, unless they do already."""
    row = tx.one("SELECT opened FROM target_state WHERE name = ? AND not_before > 0", (name,))
    if row is None:
        return
    tx.execute(
        "UPDATE target_state SET not_before = 0, half_open = 0, probes = 0, opened = NULL WHERE name = ?", (name,)
    )
    seconds = 0.0 if row["opened"] is None else max(0.0, tx.now - row["opened"])
    tx.emit(TargetBreakerClosed(name, round(seconds, 3), why))


def begin_probe(tx: Transaction, name: str, seen: float, until: float) -> bool:
    """Whether the caller is the one that probes: `not_before` still is what it saw. Nobody else does before `until`."""
    row = tx.one(
        "UPDATE target_state SET not_before = ? WHERE name = ? AND not_before = ? AND half_open = 0 RETURNING name",
        (until, name, seen),
    )
    return row is not None


def half_open(tx: Transaction, name: str, mine: float) -> bool:
    """The probe that was begun until `mine` found the target; False if a person or an answer was quicker.

    What waits because probes had found nobody need not wait longer: some of it now, so that there is one to go, the rest
    once that is answered (targets.wake). What failed although the target was there must:
    a series that it breaks off at, each time, would be tried every minute.
    """
    row = tx.one(
        "UPDATE target_state SET not_before = min(?, not_before), half_open = 1 WHERE name = ? AND not_before = ?"
        " RETURNING probes",
        (tx.now, name, mine),
    )
    if row is not None and row["probes"]:
        tx.execute(
            "UPDATE delivery SET due = created WHERE id IN (SELECT id FROM delivery INDEXED BY delivery_state"
            " WHERE state = 'retrying' AND target = ? ORDER BY id LIMIT 100)",
            (name,),
        )
    return row is not None


def stay_open(tx: Transaction, name: str, mine: float, until: float, error: str) -> bool:
    """The probe that was begun until `mine` found nobody; the next one may go after `until`.

    A target that was left alone before schema 5 has no moment since when: an alert needs one, and this is the first known.
    """
    row = tx.one(
        "UPDATE target_state SET not_before = :until, probes = probes + 1, opened = coalesce(opened, :now), fails = fails + 1,"
        " last_error = :error, last_error_time = :now WHERE name = :name AND not_before = :mine RETURNING name",
        {"name": name, "mine": mine, "until": until, "error": error, "now": tx.now},
    )
    return row is not None
