"""What happens to arrivals inside a transaction: their state, the deliveries of a decision, what comes back to one.
Called by arrivals.py and steps.py only; it never begins or commits.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from protocol.causes import Cause
from protocol.errors import NotFound, StepRefused
from protocol.records import record
from protocol.spool.acts import NOBODY, Act
from protocol.spool.replacing import IMAGES_TO_SEND, replaced_at, returned
from protocol.spool.sent_singly import SENT_AT_ONCE, any_unsent, only_singles, sent_singly
from protocol.spool.transaction import Transaction
from protocol.states import (
    ARRIVAL_DELETABLE,
    ARRIVAL_STEPS,
    DELIVERY_FINISHED,
    ArrivalState,
    DeliveryState,
    Priority,
    arrival_state_from,
    check_arrival_step,
    check_delivery_step,
)
from protocol.wire.events import (
    ArrivalDelivered,
    ArrivalDiscarded,
    ArrivalHeld,
    DeliveryCreated,
    DeliveryHeld,
    DeliveryRetried,
)

UNSENT = "image rules want images of it that were not sent: a quota was used up, or they came into force too late"
PROMISED = "its scanner was promised by storage commitment that it is kept, and no target has it: route it to one"
RETURNED = "the newer version of images that it left out does not go there after all"


@record
class TargetChoice:
    """One delivery to be made: a target (or a group), with its priority. `group`: it is one of the members of.

    `rules` are those that named it; none if a person did, or an earlier arrival of the series.
    """

    name: str
    is_group: bool = False
    priority: Priority = Priority.NORMAL
    group: str = ""
    rules: tuple[str, ...] = ()


@record
class Verdict:
    """A decision on one arrival; `outcome` is route, hold, discard or wait (for its study), `explanation` plain values."""

    outcome: str
    revision: int
    targets: Sequence[TargetChoice] = ()
    rules: Sequence[str] = ()
    reason: str = ""
    explanation: Any = None
    failed_rules: Mapping[str, str] = field(default_factory=dict)  # rule name -> error
    command: int = 0
    waits: Sequence[tuple[str, bool]] = ()  # study rules to wait for, and whether the arrival has to
    counted: Mapping[str, str] = field(default_factory=dict)  # rule name -> result, for the counters
    quotas: Sequence[tuple[str, str]] = ()  # (rule name, period) in which its quota counts this decision
    seconds: float = 0.0  # that the rules took
    singles: Sequence[int] = ()  # images that image rules want, counted from 0 (headers.ArrivalHeaders, the last `own`)


def arrival_row(connection: sqlite3.Connection | Transaction, id: int) -> Any:
    row = connection.execute("SELECT * FROM arrival WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise NotFound(f"there is no arrival {id}")
    return row


def plain(row: Any) -> dict[str, Any]:
    """A row without its key and header blob (patient data stay where they are asked for)."""
    return {name: row[name] for name in row.keys() if name not in ("series_key", "header", "files", "positions")}  # noqa: SIM118


def is_promised(tx: Transaction, id: int) -> bool:
    """Does a storage commitment stand on this arrival being kept here (PS3.4 Annex J, policy `spool`)?"""
    return tx.one("SELECT 1 FROM promise WHERE arrival = ?", (id,)) is not None


def hold_promised(tx: Transaction, arrival: Any) -> None:
    """It was promised just now; if nobody wanted it, or not all of it, it waits for a person from now on."""
    if arrival["state"] == ArrivalState.DISCARDED or (
        arrival["state"] == ArrivalState.DELIVERED and only_singles(tx, arrival["id"])
    ):
        set_state(tx, arrival, ArrivalState.HELD, PROMISED)


def set_state(tx: Transaction, arrival: Any, after: ArrivalState, reason: str, act: Act = NOBODY) -> None:
    """Let an arrival go to a state, with its event. Raises StepRefused."""
    before = ArrivalState(arrival["state"])
    if after is ArrivalState.DISCARDED and is_promised(tx, arrival["id"]):
        if before is ArrivalState.HELD:
            raise StepRefused(f"arrival {arrival['id']} cannot be discarded: {PROMISED}")
        after, reason = ArrivalState.HELD, PROMISED
    check_arrival_step(before, after)
    tx.execute(
        "UPDATE arrival SET state = ?, since = ?, reason = ? WHERE id = ?", (after, tx.now, reason, arrival["id"])
    )
    if after in ARRIVAL_DELETABLE:
        tx.execute(_REACHED, {"arrival": arrival["id"]})
    event: Any = None
    if after is ArrivalState.HELD:
        event = ArrivalHeld(arrival["id"], arrival["calling_ae"], reason, act.command, act.by)
    elif after is ArrivalState.DISCARDED:
        event = ArrivalDiscarded(arrival["id"], arrival["calling_ae"], reason, act.command, act.by)
    elif after is ArrivalState.DELIVERED:
        event = ArrivalDelivered(arrival["id"], arrival["calling_ae"])
    if event is not None:
        tx.emit(event, correlation=arrival["id"])


def state_against(tx: Transaction, arrival: Any, verdict: Verdict) -> str:
    """The state that an arrival has after a decision where its outcome does not say it, else empty."""
    if verdict.outcome == "route" and verdict.command and arrival["state"] == ArrivalState.WAITING:
        # A person's act adds a delivery, and takes nothing from the rules that are still to come.
        return ArrivalState.WAITING
    if verdict.outcome == "discard" and tx.one(  # image rules sent of it, or a person while it waited
        "SELECT 1 FROM delivery INDEXED BY delivery_arrival WHERE arrival = ? AND state <> 'cancelled'"
        " AND (singles = 1 OR state <> 'delivered' OR ?)",
        (arrival["id"], arrival["state"] == ArrivalState.WAITING),
    ):
        return ArrivalState.IN_DELIVERY
    return ""


def settle_decided(tx: Transaction, arrival: Any, verdict: Verdict, against: str) -> None:
    """`against`: what `state_against` said."""
    if against == ArrivalState.WAITING:
        return
    if verdict.outcome == "route" and not verdict.targets and any_unsent(tx, arrival["id"], verdict.singles):
        set_state(tx, arrival, ArrivalState.HELD, UNSENT)  # wanted, so not to be discarded, nor called delivered
    elif verdict.outcome == "route" or against == ArrivalState.IN_DELIVERY:
        settle(tx, arrival["id"], decided=True)
    elif verdict.outcome == "hold":
        hold_deliveries(tx, arrival["id"], verdict.reason)
        set_state(tx, arrival, ArrivalState.HELD, verdict.reason)
    elif verdict.outcome == "discard":
        set_state(tx, arrival, ArrivalState.DISCARDED, verdict.reason)
    elif arrival["state"] != ArrivalState.WAITING:
        set_state(tx, arrival, ArrivalState.WAITING, verdict.reason)


def hold_deliveries(tx: Transaction, id: int, reason: str, act: Act = NOBODY) -> None:
    """Hold what of an arrival could be claimed; what is being sent ends its attempt first."""
    cause = Cause.HELD_BY_PERSON if act.command else Cause.HELD_BY_RULE
    held = tx.all(
        "UPDATE delivery SET state = 'held', error = ?, cause = ? WHERE arrival = ?"
        " AND state IN ('waiting', 'retrying', 'parked') RETURNING id, target",
        (reason, cause, id),
    )
    for row in held:
        tx.emit(DeliveryHeld(row["id"], id, row["target"], reason, cause, act.command, act.by), correlation=id)


def hold_with_arrival(tx: Transaction, id: int) -> None:
    """A delivery whose attempt has ended must not be claimed again if its arrival was held meanwhile; release frees it."""
    row = tx.one(
        "SELECT d.arrival, d.target, a.reason FROM delivery d JOIN arrival a ON a.id = d.arrival WHERE d.id = ?"
        " AND d.state IN ('waiting', 'retrying') AND a.state = 'held'",
        (id,),
    )
    if row is None:
        return
    cause = Cause.HELD_BY_RULE  # of the whole series, whoever held that
    tx.execute("UPDATE delivery SET state = 'held', error = ?, cause = ? WHERE id = ?", (row["reason"], cause, id))
    tx.emit(DeliveryHeld(id, row["arrival"], row["target"], row["reason"], cause), correlation=row["arrival"])


def settle(tx: Transaction, id: int, *, decided: bool = False) -> None:
    """Bring an arrival's state in line with its deliveries, after one of them changed or a decision.

    A held arrival stays held until it is decided or one of its deliveries is let go. One that is not decided has at most
    deliveries of single images; they say nothing of the series.
    """
    arrival = arrival_row(tx, id)
    before = ArrivalState(arrival["state"])
    if before in _UNDECIDED and not decided:
        return
    rows = tx.all(
        "SELECT state, singles, count(*) AS count FROM delivery WHERE arrival = ? GROUP BY state, singles", (id,)
    )
    counts: Counter[DeliveryState] = Counter()
    for row in rows:
        counts[DeliveryState(row["state"])] += row["count"]
    after = arrival_state_from(counts)
    going = {DeliveryState(row["state"]) for row in rows if not row["singles"]} - DELIVERY_FINISHED
    freed = bool(going - {DeliveryState.HELD})
    if after is ArrivalState.DELIVERED and is_promised(tx, id) and only_singles(tx, id):
        set_state(tx, arrival, ArrivalState.HELD, PROMISED)
        return
    if before == after or (before is ArrivalState.HELD and not freed and not decided):
        return
    if after not in ARRIVAL_STEPS[before] and ArrivalState.IN_DELIVERY in ARRIVAL_STEPS[before]:
        arrival = {**dict(arrival), "state": ArrivalState.IN_DELIVERY}  # through its own state, in one transaction
    set_state(tx, arrival, after, "all deliveries were cancelled" if after is ArrivalState.DISCARDED else "")


# What a finished arrival reached decides how long it is kept (retention.py).
_REACHED = (
    "UPDATE arrival SET reached = coalesce((SELECT group_concat(target, ' ') FROM (SELECT DISTINCT target FROM delivery"
    " WHERE arrival = :arrival AND state = 'delivered' ORDER BY target)), '') WHERE id = :arrival"
)
_UNDECIDED = (ArrivalState.OPEN, ArrivalState.CLOSED, ArrivalState.WAITING)


def create_delivery(
    tx: Transaction, arrival: Any, decision: int, target: TargetChoice, *, whole: bool = False, anew: bool = True
) -> None:
    """Unless one to this target is unfinished or, without `anew`, has reached it.

    `whole`: with the images that image rules have sent there already; to a group all go in any case, since they may have
    gone to another member.
    """
    unfinished = tx.one(
        "SELECT 1 FROM delivery WHERE arrival = :arrival AND (target = :target OR target_group = :target)"
        " AND state <> 'cancelled' AND (state <> 'delivered' OR NOT :anew) AND singles = 0",
        {"arrival": arrival["id"], "target": target.name, "anew": anew},
    )
    if unfinished:
        return
    images, size = _size(tx, arrival)
    singles = [] if whole or target.is_group or target.group else sent_singly(tx, arrival["id"], target.name)
    if singles and len(singles) == images:
        return  # each of them is on its way or there
    row = tx.one(
        "INSERT INTO delivery (arrival, decision, target, target_group, priority, due, state, images, bytes, created)"
        " VALUES (?,?,?,?,?,?,'waiting',?,?,?) RETURNING id",
        (arrival["id"], decision, target.name, target.name if target.is_group else target.group, target.priority.rank, tx.now,
         images, size, tx.now),
    )  # fmt: skip
    left, left_size = _leave(tx, row["id"], replaced_at(tx, arrival, target.name), singles)
    tx.emit(
        DeliveryCreated(row["id"], arrival["id"], target.name, target.priority, images - left, size - left_size),
        correlation=arrival["id"],
    )


def refill(tx: Transaction, row: Any, target: str) -> None:
    """Let a delivery of a series begin anew at another target: all images but those whose newer version goes there."""
    arrival = arrival_row(tx, row["arrival"])
    images, size = _size(tx, arrival)
    tx.execute("DELETE FROM delivery_image WHERE delivery = ?", (row["id"],))
    tx.execute("UPDATE delivery SET progress = 0, images = ?, bytes = ? WHERE id = ?", (images, size, row["id"]))
    _leave(tx, row["id"], replaced_at(tx, arrival, target), [])


def take_back(tx: Transaction, arrival: int, target: str) -> None:
    """A delivery of this arrival does not go to this target any more: what earlier ones left to it is theirs again.

    Looked at here for those that are delivered; the others look when they are claimed or have been sent.
    """
    rows = tx.all(
        "SELECT d.* FROM arrival a CROSS JOIN arrival e ON e.series_key = a.series_key AND e.id < a.id AND e.superseded > 0"
        " AND e.state NOT IN ('discarded', 'deleted') CROSS JOIN delivery d INDEXED BY delivery_arrival ON d.arrival = e.id"
        " AND d.target = :target AND d.state = 'delivered' WHERE a.id = :arrival ORDER BY d.id",
        {"arrival": arrival, "target": target},
    )
    for row in rows:
        if reopen(tx, row):
            settle(tx, row["arrival"])


def reopen(tx: Transaction, row: Any) -> bool:
    """A delivered delivery whose target gets neither version of an image goes on with the older one; does it?"""
    if not returned(tx, row):
        return False
    check_delivery_step(DeliveryState.DELIVERED, DeliveryState.WAITING)
    tx.execute(
        "UPDATE delivery SET state = 'waiting', due = ?, finished = NULL, attempts = 0, deaths = 0, first_tried = NULL,"
        " error = '', cause = '' WHERE id = ?",
        (tx.now, row["id"]),
    )
    overtake(tx, row["id"])
    retried(tx, row, NOBODY, RETURNED)
    hold_with_arrival(tx, row["id"])
    return True


def overtake(tx: Transaction, delivery: int) -> None:
    """It sends more, or elsewhere: what its target was asked to commit to before says nothing of that, nor does the answer."""
    tx.execute("UPDATE confirmation SET state = 'overtaken' WHERE delivery = ?", (delivery,))


def retried(tx: Transaction, row: Any, act: Act, reason: str) -> None:
    """Tell that a delivery goes on; whether its arrival does, too, or still waits for the word of rules."""
    state = tx.one("SELECT state FROM arrival WHERE id = ?", (row["arrival"],))["state"]
    event = DeliveryRetried(
        row["id"], row["arrival"], row["target"], act.command, act.by, reason, undecided=state in _UNDECIDED
    )
    tx.emit(event, correlation=row["arrival"])


def _leave(tx: Transaction, delivery: int, replaced: Sequence[Any], singles: Sequence[Any]) -> tuple[int, int]:
    """Leave images out of a new delivery; how many, and their bytes: those whose newer version goes or went to the same
    target, or the older would come last (an arrival that is routed again or released late), and those sent at once.
    """
    left = {row["position"]: (row, SENT_AT_ONCE) for row in singles}
    left |= {row["position"]: (row, "superseded") for row in replaced}
    tx.many(
        "INSERT INTO delivery_image (delivery, position, receipt, state, comment) VALUES (?, ?, ?, 'left', ?)",
        [(delivery, position, row["receipt"], comment) for position, (row, comment) in left.items()],
    )
    size = sum(row["bytes"] for row, _ in left.values())
    if left:
        tx.execute(
            "UPDATE delivery SET images = images - ?, bytes = bytes - ? WHERE id = ?", (len(left), size, delivery)
        )
    return len(left), size


def _size(tx: Transaction, arrival: Any) -> tuple[int, int]:
    """How many images a delivery of this arrival sends, and their bytes; counted only where the counters do not say."""
    if not arrival["superseded"]:
        return int(arrival["images"]), int(arrival["bytes"])
    row = tx.one(f"SELECT count(*), coalesce(sum(bytes), 0) FROM ({IMAGES_TO_SEND})", {"arrival": arrival["id"]})
    return int(row[0]), int(row[1])
