"""Steps of deliveries inside a transaction: what their owner, the reaper of dead owners and people do to one.
Called by deliveries.py only; it never begins or commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from protocol.causes import Cause
from protocol.errors import NotFound, NotOwner, StepRefused
from protocol.records import record
from protocol.spool.acts import Act, touch, was_before
from protocol.spool.breaker import close_breaker
from protocol.spool.objects import ImageFile
from protocol.spool.replacing import keep_newer
from protocol.spool.settling import (
    TargetChoice,
    hold_with_arrival,
    overtake,
    refill,
    reopen,
    retried,
    settle,
    take_back,
)
from protocol.spool.transaction import Transaction
from protocol.states import DELIVERY_FINISHED, DeliveryState, Priority, check_delivery_step
from protocol.wire.events import (
    AttemptInterrupted,
    DeliveryCancelled,
    DeliveryCompleted,
    DeliveryHeld,
    DeliveryPrioritised,
    DeliveryRedirected,
)

DEATHS_ALONE = 3  # without progress: the delivery itself is the likely killer, a person must look


@record
class ImageToSend:
    """One image of a claim; `position` is its place in the arrival."""

    position: int
    file: ImageFile


@record
class Claim:
    """A delivery that this owner holds. `images` are those the target has not confirmed, in order."""

    delivery: int
    arrival: int
    target: str
    group: str
    attempt: int
    owner: str
    images: Sequence[ImageToSend]
    total: int
    created: float
    first_tried: float
    failed_before: int
    claimed: float
    place: str = ""  # where what is sent is kept in mind, see repeats.py; empty: nowhere
    where: str = ""  # stands for where its images go


@record
class ImageResult:
    """The target's answer for one image: DIMSE status (PS3.7 Annex C), and whether it has the image now.

    `transcoded`: it was sent in another transfer syntax than it is stored in. `bytes` of its data set, as stored.
    """

    position: int
    receipt: bytes
    status: int
    ok: bool
    comment: str = ""
    transcoded: bool = False
    bytes: int = 0


def mine(tx: Transaction, claim: Claim) -> Any:
    row = tx.one("SELECT * FROM delivery WHERE id = ? AND owner = ? AND state = 'sending' AND attempts = ?",
                 (claim.delivery, claim.owner, claim.attempt))  # fmt: skip
    if row is None:
        raise NotOwner(f"delivery {claim.delivery} was given back meanwhile")
    return row


def leave(
    tx: Transaction,
    claim: Claim,
    after: DeliveryState,
    *,
    error: str = "",
    cause: str = "",
    due: float | None = None,
    finished: float | None = None,
) -> None:
    check_delivery_step(DeliveryState.SENDING, after)
    tx.execute(
        "UPDATE delivery SET state = ?, owner = NULL, error = ?, cause = ?, due = coalesce(?, due), finished = ?, deaths = 0"
        " WHERE id = ?",
        (after, error, cause, due, finished, claim.delivery),
    )


def delivered(tx: Transaction, row: Any) -> None:
    """What goes with a delivery that has just become delivered; `row` as it was before."""
    seconds = round(tx.now - row["created"], 3)
    took = round(max(0.0, (row["moved"] or tx.now) - (row["claimed"] or tx.now)), 3)
    event = DeliveryCompleted(
        row["id"],
        row["arrival"],
        row["target"],
        row["sent"],
        row["bytes"],
        seconds,
        row["warnings"],
        took,
        _since(tx, row),
    )
    tx.emit(event, correlation=row["arrival"])
    tx.execute(
        "INSERT INTO target_state (name, last_success) VALUES (:name, :now) ON CONFLICT (name)"
        " DO UPDATE SET last_success = :now, fails = 0, last_error = ''",
        {"name": row["target"], "now": tx.now},
    )
    if row["sent"] > row["skipped"]:
        close_breaker(tx, row["target"], "it answers")
    reopen(tx, row)
    settle(tx, row["arrival"])


def _since(tx: Transaction, row: Any) -> float:
    """When the last image of a delivery's arrival was stored; 0 if a person had it sent, who may have waited for days."""
    found = tx.one(
        "SELECT a.last_image FROM arrival a, decision d WHERE a.id = ? AND d.id = ? AND d.command = 0",
        (row["arrival"], row["decision"]),
    )
    return float(found[0]) if found else 0.0


def target_failed(tx: Transaction, target: str, error: str) -> None:
    tx.execute(
        "INSERT INTO target_state (name, fails, last_error, last_error_time) VALUES (:name, 1, :error, :now)"
        " ON CONFLICT (name) DO UPDATE SET fails = fails + 1, last_error = :error, last_error_time = :now",
        {"name": target, "error": error, "now": tx.now},
    )


def interrupt(tx: Transaction, id: int, *, counted: bool) -> None:
    row = tx.one("SELECT * FROM delivery WHERE id = ?", (id,))
    if row["state"] != "sending":
        return
    moved = (row["moved"] or 0) > (row["claimed"] or 0)
    deaths = row["deaths"] + 1 if counted and not moved else row["deaths"]
    after = DeliveryState.HELD if deaths >= DEATHS_ALONE else DeliveryState.WAITING
    check_delivery_step(DeliveryState.SENDING, after)
    reason = f"its process died {deaths} times without progress" if after is DeliveryState.HELD else ""
    cause = Cause.PROCESS_DIED if reason else ""
    tx.execute(
        "UPDATE delivery SET state = ?, owner = NULL, due = ?, deaths = ?, attempts = attempts - 1, error = ?, cause = ?"
        " WHERE id = ?",
        (after, tx.now, deaths, reason, cause, id),
    )
    tx.emit(AttemptInterrupted(id, row["arrival"], row["target"], row["owner"], deaths), correlation=row["arrival"])
    if after is DeliveryState.HELD:
        tx.emit(DeliveryHeld(id, row["arrival"], row["target"], reason, cause), correlation=row["arrival"])
    hold_with_arrival(tx, id)


def begin_anew(tx: Transaction, row: Any, target: str, group: str) -> None:
    """Let a delivery that nobody sends go to another target or group, from its first image on."""
    keep_newer(tx, row)
    send_all(tx, row, target)
    tx.execute(
        "UPDATE delivery SET target = :target, target_group = :group, state = 'waiting', due = :now WHERE id = :id",
        {"id": row["id"], "target": target, "group": group, "now": tx.now},
    )
    take_back(tx, row["arrival"], row["target"])


def send_all(tx: Transaction, row: Any, target: str) -> None:
    """Let a delivery begin with its first image again: what it has settled is not where it goes now."""
    if row["singles"]:
        tx.execute("UPDATE delivery_image SET state = 'again' WHERE delivery = ? AND state <> 'left'", (row["id"],))
    else:
        refill(tx, row, target)
    tx.execute(
        "UPDATE delivery SET sent = 0, refused = 0, warnings = 0, skipped = 0, transcoded = 0, place = '' WHERE id = ?",
        (row["id"],),
    )
    overtake(tx, row["id"])


def _redirect(tx: Transaction, row: Any, act: Act, to: TargetChoice) -> None:
    id, before = row["id"], DeliveryState(row["state"])
    if before not in (DeliveryState.WAITING, DeliveryState.RETRYING, DeliveryState.PARKED, DeliveryState.HELD):
        raise StepRefused(f"delivery {id} is {before}; only one that waits, is parked or held can go elsewhere")
    if to.name in (row["target"], row["target_group"]):
        raise StepRefused(f"delivery {id} is for {to.name} already")
    there = tx.one(
        "SELECT id FROM delivery WHERE arrival = :arrival AND (target = :name OR target_group = :name) AND state <> 'cancelled'"
        " AND singles = :singles",
        {"arrival": row["arrival"], "name": to.name, "singles": row["singles"]},
    )
    if there is not None:  # the arrival goes or went there: one of them is enough
        _cancel(tx, row, replace(act, reason=f"its arrival has delivery {there['id']} to {to.name}"))
        return
    begin_anew(tx, row, to.name, to.name if to.is_group else "")
    tx.execute(
        "UPDATE delivery SET attempts = 0, deaths = 0, first_tried = NULL, error = '', cause = '' WHERE id = ?", (id,)
    )
    event = DeliveryRedirected(id, row["arrival"], to.name, row["target"], act.command, act.by, act.reason)
    tx.emit(event, correlation=row["arrival"])


def _again(tx: Transaction, row: Any, act: Act) -> None:
    """A fresh start: attempts and age count anew, and only what the target refused or never saw is sent."""
    id = row["id"]
    tx.execute("UPDATE delivery_image SET state = 'again' WHERE delivery = ? AND state = 'refused'", (id,))
    tx.execute(
        "UPDATE delivery SET state = 'waiting', due = ?, attempts = 0, deaths = 0, first_tried = NULL, refused = 0, error = '',"
        " cause = '' WHERE id = ?", (tx.now, id))  # fmt: skip
    close_breaker(tx, row["target"], "a person had a delivery tried")
    retried(tx, row, act, act.reason)


def _hold(tx: Transaction, row: Any, act: Act, cause: Cause) -> None:
    """One being sent is taken from its owner, whose next step finds that out (NotOwner)."""
    tx.execute(
        "UPDATE delivery SET state = 'held', owner = NULL, error = ?, cause = ? WHERE id = ?",
        (act.reason or f"held by {act.by or 'a person'}", cause, row["id"]),
    )
    event = DeliveryHeld(row["id"], row["arrival"], row["target"], act.reason, cause, act.command, act.by)
    tx.emit(event, correlation=row["arrival"])


def _cancel(tx: Transaction, row: Any, act: Act) -> None:
    tx.execute(
        "UPDATE delivery SET state = 'cancelled', finished = ?, error = ?, cause = '' WHERE id = ?",
        (tx.now, act.reason or f"cancelled by {act.by or 'a person'}", row["id"]),
    )
    event = DeliveryCancelled(row["id"], row["arrival"], row["target"], act.command, act.by, act.reason)
    tx.emit(event, correlation=row["arrival"])
    take_back(tx, row["arrival"], row["target"])


def _prioritise(tx: Transaction, row: Any, act: Act, priority: Priority) -> None:
    if DeliveryState(row["state"]) in DELIVERY_FINISHED:
        raise StepRefused(f"delivery {row['id']} is {row['state']}; its priority does not matter any more")
    tx.execute("UPDATE delivery SET priority = ? WHERE id = ?", (priority.rank, row["id"]))
    event = DeliveryPrioritised(row["id"], row["arrival"], row["target"], priority, act.command, act.by, act.reason)
    tx.emit(event, correlation=row["arrival"])


_ACTS = {"retry": DeliveryState.WAITING, "hold": DeliveryState.HELD, "release": DeliveryState.WAITING,
         "cancel": DeliveryState.CANCELLED}  # fmt: skip


@record
class Wish:
    """What a person wants done to deliveries: retry, hold, release, cancel, priority or redirect.

    `to` is where redirected ones go, `priority` what priority sets; `restore`: the priority that it had before this act.
    """

    what: str
    priority: Priority | None = None
    to: TargetChoice | None = None
    restore: int = 0


def carry_out(
    tx: Transaction, id: int, wish: Wish, act: Act, cause: Cause = Cause.HELD_BY_PERSON
) -> None:  # fmt: skip
    """Do to a delivery what somebody wants, with its events. Raises NotFound, StepRefused."""
    row = tx.one("SELECT * FROM delivery WHERE id = ?", (id,))
    if row is None:
        raise NotFound(f"there is no delivery {id}")
    if wish.what == "redirect":
        assert wish.to is not None
        _redirect(tx, row, act, wish.to)
    elif wish.what == "priority":
        _prioritise(tx, row, act, _wanted(tx, row, wish))
    else:
        after = _check(row, wish.what)
        if after is DeliveryState.WAITING:
            _again(tx, row, act)
        elif after is DeliveryState.HELD:
            _hold(tx, row, act, cause)
        else:
            _cancel(tx, row, act)
    before = str(row["priority"]) if wish.what == "priority" else ""
    touch(tx, act, row["arrival"], id, before=before)
    if wish.what != "priority":
        settle(tx, row["arrival"])


def _wanted(tx: Transaction, row: Any, wish: Wish) -> Priority:
    """The priority to set. Raises StepRefused if the act to undo set none here."""
    if not wish.restore:
        assert wish.priority is not None
        return wish.priority
    before = was_before(tx, wish.restore, row["arrival"], row["id"])
    for priority in Priority:
        if str(priority.rank) == before:
            return priority
    raise StepRefused(f"delivery {row['id']}: nobody knows its priority before act {wish.restore}")


def _check(row: Any, what: str) -> DeliveryState:
    """The state that follows. Raises StepRefused."""
    id, before, after = row["id"], DeliveryState(row["state"]), _ACTS[what]
    if what == "release" and before is not DeliveryState.HELD:
        raise StepRefused(f"delivery {id} is {before}, not held")
    if what == "retry" and before in (DeliveryState.SENDING, DeliveryState.DELIVERED):
        raise StepRefused(f"delivery {id} is {'being sent' if before is DeliveryState.SENDING else 'delivered'}")
    try:
        check_delivery_step(before, after)
    except StepRefused as exc:
        raise StepRefused(f"delivery {id}: {exc}") from exc
    return after
