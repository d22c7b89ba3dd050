"""Deliveries to groups: which member a delivery goes to, and when one that was bound goes back to its group.
Which members can be used now is handed in; it must not judge a target, and never claims by itself (deliveries.py does).

A delivery is bound when it is claimed: `target` becomes the member, `target_group` stays. Its progress belongs to the member.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from protocol.records import record
from protocol.spool.settling import hold_with_arrival
from protocol.spool.steps import Claim, begin_anew, leave, mine, target_failed
from protocol.spool.tallying import kept
from protocol.spool.transaction import Transaction
from protocol.states import DeliveryState
from protocol.wire.codec import unpack_stored
from protocol.wire.events import AttemptFailed, DeliveryUnbound

LOOKED_AT = 20  # deliveries of a sticky group: behind one whose member is busy may be others whose is not
_LOAD = frozenset((DeliveryState.WAITING, DeliveryState.RETRYING, DeliveryState.SENDING))


@record
class Binding:
    """A group as the claim needs it; see `protocol/routing/groups`. `by` is patient or study, for mode sticky."""

    mode: str
    members: Sequence[str]
    by: str = "patient"


def ordered(binding: Binding, key: str, load: Mapping[str, int], limits: Mapping[str, int]) -> list[str]:
    """Members that can be used, the best first. Pure.

    `limits` has the members that can be used; `key` tells what belongs together in a sticky group.
    """
    usable = [name for name in binding.members if limits.get(name, 0) > 0]
    if binding.mode == "balance":
        usable.sort(key=lambda name: load.get(name, 0) / limits[name])
    elif binding.mode == "sticky":
        usable.sort(key=lambda name: _score(key, name), reverse=True)
    return usable


def candidates(binding: Binding, key: str, sending: Mapping[str, int], limits: Mapping[str, int]) -> list[str]:
    """Members that a delivery may go to now, the best first; [] means: not now. Pure. See `ordered`."""
    usable = ordered(binding, key, sending, limits)
    if binding.mode != "balance":
        usable = usable[:1]
    return [name for name in usable if sending.get(name, 0) < limits[name]]


def _score(key: str, member: str) -> bytes:
    """Rendezvous hashing: a member that goes or comes changes the place of its own keys only."""
    return hashlib.sha256(f"{key}\0{member}".encode()).digest()


def choose(
    tx: Transaction, group: str, rank: int, binding: Binding, limits: Mapping[str, int], now: float
) -> tuple[int, str] | None:
    """(delivery, member) of the best delivery of a group and priority that a member has room for."""
    rows = tx.all(
        "SELECT d.id, a.study_uid, a.header FROM delivery d JOIN arrival a ON a.id = d.arrival WHERE d.target = ?"
        " AND d.priority = ? AND d.state IN ('waiting', 'retrying') AND d.due <= ? ORDER BY d.due, d.id LIMIT ?",
        (group, rank, now, LOOKED_AT if binding.mode == "sticky" else 1),
    )
    if not rows:
        return None
    counts = {
        name: tx.one("SELECT count(*) FROM delivery WHERE target = ? AND state = 'sending'", (name,))[0]
        for name in binding.members
        if name in limits
    }
    for row in rows:
        key = _key(row, binding.by) if binding.mode == "sticky" else ""
        for member in candidates(binding, key, counts, limits):
            return int(row["id"]), member
    return None


def standing_in(
    connection: sqlite3.Connection, arrival: int, binding: Binding, limits: Mapping[str, int]
) -> list[str]:  # fmt: skip
    """Members that can be used, the best first, for a delivery that is bound without a claim: no other one moves it, so what
    waits for a member counts as its load, too.
    """
    key = ""
    if binding.mode == "sticky":
        row = connection.execute("SELECT study_uid, header FROM arrival WHERE id = ?", (arrival,)).fetchone()
        key = _key(row, binding.by)
    load: Counter[str] = Counter()
    for (state, target, _), count in kept(connection).deliveries.items():
        if state in _LOAD:
            load[target] += count
    return ordered(binding, key, load, limits)


def _key(row: Any, by: str) -> str:
    """The patient, with who gave the number; without one the study."""
    if by == "patient" and row["header"]:
        header = unpack_stored(row["header"])
        if header.get("PatientID"):
            return f"{header.get('IssuerOfPatientID', '')}\0{header['PatientID']}"
    return str(row["study_uid"])


def unbind(
    tx: Transaction, group: str, binding: Binding, usable: Collection[str], patience_s: float, limit: int = 100
) -> int:  # fmt: skip
    """Give deliveries back to their group whose member cannot be used while another one can; how many.

    One that has sent nothing goes at once, one that has begun `patience_s` seconds after the last answer: then all of it
    is sent to whoever takes it next. An answer that is still to come by the clock, since that was ahead, is long past.
    """
    if not any(name in usable for name in binding.members):
        return 0
    rows = tx.all(
        "SELECT * FROM delivery INDEXED BY delivery_bound WHERE target_group = ?"
        " AND target_group <> '' AND target <> target_group AND state IN ('waiting', 'retrying')"
        f" AND target NOT IN ({','.join('?' * len(usable))}) AND (sent = 0 OR coalesce(confirmed, 0) NOT BETWEEN ? AND ?)"
        " ORDER BY id LIMIT ?",
        (group, *usable, tx.now - patience_s, tx.now + patience_s, limit),
    )
    for row in rows:
        begin_anew(tx, row, group, group)
        tx.emit(DeliveryUnbound(row["id"], row["arrival"], group, row["target"]), correlation=row["arrival"])
    return len(rows)


def hand_on(tx: Transaction, claim: Claim, error: str, cause: str, used: int, to: str) -> None:
    """A member's attempt failed, and it is to have no other one: all of the delivery is sent to the member `to`. So many tries
    of it count as `used`.
    """
    row = mine(tx, claim)
    leave(tx, claim, DeliveryState.RETRYING, error=error, cause=cause)
    tx.emit(
        AttemptFailed(claim.delivery, claim.arrival, claim.target, claim.attempt, error, tx.now, cause),
        correlation=claim.arrival,
    )
    begin_anew(tx, row, to, claim.group)
    tx.execute("UPDATE delivery SET attempts = ? WHERE id = ?", (used, claim.delivery))
    tx.emit(DeliveryUnbound(claim.delivery, claim.arrival, claim.group, claim.target), correlation=claim.arrival)
    hold_with_arrival(tx, claim.delivery)
    target_failed(tx, claim.target, error)
