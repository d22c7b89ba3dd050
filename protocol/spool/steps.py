"""Steps of deliveries inside a transaction: what their owner, the reaper of dead owners and people do to one.
Called by deliveries.py only; it never begins or commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from protocol.errors import NotFound, NotOwner, StepRefused
from protocol.spool.objects import ImageFile
from protocol.spool.settling import TargetChoice, refill, settle
from protocol.spool.transaction import Transaction
from protocol.states import DeliveryState, Priority, check_delivery_step
from protocol.wire.events import (
    AttemptInterrupted,
    DeliveryCancelled,
    DeliveryCompleted,
    DeliveryHeld,
    DeliveryRedirected,
    DeliveryRetried,
)

DEATHS_ALONE = 3  # without progress: the delivery itself is the likely killer, a person must look


@dataclass(frozen=True)
class ImageToSend:
    """One image of a claim; `position` is its place in the arrival."""

    position: int
    file: ImageFile


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class ImageResult:
    """The target's answer for one image: DIMSE status (PS3.7 Annex C), and whether it has the image now.

    `transcoded`: it was sent in another transfer syntax than it is stored in.
    """

    position: int
    receipt: bytes
    status: int
    ok: bool
    comment: str = ""
    transcoded: bool = False


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
    due: float | None = None,
    finished: float | None = None,
) -> None:
    check_delivery_step(DeliveryState.SENDING, after)
    tx.execute(
        "UPDATE delivery SET state = ?, owner = NULL, error = ?, due = coalesce(?, due), finished = ?, deaths = 0 WHERE id = ?",
        (after, error, due, finished, claim.delivery),
    )


def delivered(tx: Transaction, row: Any) -> None:
    """What goes with a delivery that has just become delivered; `row` as it was before."""
    seconds = round(tx.now - row["created"], 3)
    event = DeliveryCompleted(
        row["id"], row["arrival"], row["target"], row["sent"], row["bytes"], seconds, row["warnings"]
    )
    tx.emit(event, correlation=row["arrival"])
    tx.execute(
        "INSERT INTO target_state (name, last_success) VALUES (:name, :now) ON CONFLICT (name)"
        " DO UPDATE SET last_success = :now, fails = 0, not_before = 0, last_error = ''",
        {"name": row["target"], "now": tx.now},
    )
    settle(tx, row["arrival"])


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
    tx.execute(
        "UPDATE delivery SET state = ?, owner = NULL, due = ?, deaths = ?, attempts = attempts - 1, error = ? WHERE id = ?",
        (after, tx.now, deaths, reason, id),
    )
    tx.emit(AttemptInterrupted(id, row["arrival"], row["target"], row["owner"], deaths), correlation=row["arrival"])
    if after is DeliveryState.HELD:
        tx.emit(DeliveryHeld(id, row["arrival"], row["target"], reason), correlation=row["arrival"])


def begin_anew(tx: Transaction, row: Any, target: str, group: str) -> None:
    """Let a delivery that nobody sends go to another target or group, from its first image on."""
    if row["singles"]:
        tx.execute("UPDATE delivery_image SET state = 'again' WHERE delivery = ? AND state <> 'left'", (row["id"],))
    else:
        refill(tx, row, target)
    tx.execute(
        "UPDATE delivery SET target = :target, target_group = :group, state = 'waiting', due = :now, sent = 0, refused = 0,"
        " warnings = 0, transcoded = 0 WHERE id = :id",
        {"id": row["id"], "target": target, "group": group, "now": tx.now},
    )


def _redirect(tx: Transaction, row: Any, command: int, to: TargetChoice) -> None:
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
        tx.execute(
            "UPDATE delivery SET state = 'cancelled', finished = ?, error = ? WHERE id = ?",
            (tx.now, f"its arrival has delivery {there['id']} to {to.name}", id),
        )
        tx.emit(DeliveryCancelled(id, row["arrival"], row["target"], command), correlation=row["arrival"])
    else:
        begin_anew(tx, row, to.name, to.name if to.is_group else "")
        tx.execute("UPDATE delivery SET attempts = 0, deaths = 0, first_tried = NULL, error = '' WHERE id = ?", (id,))
        event = DeliveryRedirected(id, row["arrival"], to.name, row["target"], command)
        tx.emit(event, correlation=row["arrival"])
    settle(tx, row["arrival"])


_ACTS = {"retry": DeliveryState.WAITING, "hold": DeliveryState.HELD, "release": DeliveryState.WAITING,
         "cancel": DeliveryState.CANCELLED}  # fmt: skip


def carry_out(
    tx: Transaction, id: int, act: str, command: int, reason: str, priority: Priority | None, to: TargetChoice | None = None
) -> None:  # fmt: skip
    row = tx.one("SELECT * FROM delivery WHERE id = ?", (id,))
    if row is None:
        raise NotFound(f"there is no delivery {id}")
    if act == "redirect":
        assert to is not None
        _redirect(tx, row, command, to)
        return
    if act == "priority":
        assert priority is not None
        tx.execute("UPDATE delivery SET priority = ? WHERE id = ?", (priority.rank, id))
        return
    before, after = DeliveryState(row["state"]), _ACTS[act]
    if act == "release" and before is not DeliveryState.HELD:
        raise StepRefused(f"delivery {id} is {before}, not held")
    if act == "retry" and before is DeliveryState.SENDING:
        raise StepRefused(f"delivery {id} is being sent")
    try:
        check_delivery_step(before, after)
    except StepRefused as exc:
        raise StepRefused(f"delivery {id}: {exc}") from exc
    if after is DeliveryState.WAITING:
        # A fresh start: attempts and age count anew, and only what the target refused or never saw is sent.
        tx.execute("UPDATE delivery_image SET state = 'again' WHERE delivery = ? AND state = 'refused'", (id,))
        tx.execute(
            "UPDATE delivery SET state = 'waiting', due = ?, attempts = 0, deaths = 0, first_tried = NULL, refused = 0, error = ''"
            " WHERE id = ?", (tx.now, id))  # fmt: skip
        tx.execute("UPDATE target_state SET not_before = 0 WHERE name = ?", (row["target"],))
        tx.emit(DeliveryRetried(id, row["arrival"], row["target"], command), correlation=row["arrival"])
    elif after is DeliveryState.HELD:
        # One being sent is taken from its owner, whose next step finds that out (NotOwner).
        tx.execute(
            "UPDATE delivery SET state = 'held', owner = NULL, error = ? WHERE id = ?",
            (reason or "held by a person", id),
        )
        tx.emit(DeliveryHeld(id, row["arrival"], row["target"], reason), correlation=row["arrival"])
    else:
        tx.execute(
            "UPDATE delivery SET state = 'cancelled', finished = ?, error = ? WHERE id = ?", (tx.now, reason, id)
        )
        tx.emit(DeliveryCancelled(id, row["arrival"], row["target"], command), correlation=row["arrival"])
    settle(tx, row["arrival"])
