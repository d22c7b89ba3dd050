"""What people do to whole arrivals, inside a transaction: hold, release, let the rules decide again, discard.
Called by arrivals.py only; it never begins or commits, and never asks a rule.
"""

from __future__ import annotations

from protocol.errors import StepRefused
from protocol.spool.acts import Act, Progress, note, touch
from protocol.spool.commands import done
from protocol.spool.deciding import unlink
from protocol.spool.last_word import last_word_to_come
from protocol.spool.settling import arrival_row, hold_deliveries, set_state, take_back
from protocol.spool.transaction import Transaction
from protocol.states import ArrivalState, check_arrival_step
from protocol.wire.events import ArrivalKept, ArrivalReleased, DeliveryCancelled, DeliveryRetried

GONE = "is deleted: its files are gone, so it can only come from its sender again"


def acted(tx: Transaction, id: int, act: Act, words: str, part: Progress | None, before: str = "") -> None:
    """Remember whose act it was and answer its command. `part`: of a long act, whose progress is kept instead.

    `before`: what it changed, as it was.
    """
    if not act.command:
        return
    touch(tx, act, id, before=before)
    if part is None:
        done(tx, act.command, words)
    else:
        note(tx, act.command, part)


def hold(tx: Transaction, id: int, reason: str, act: Act) -> str:
    """See Arrivals.hold; returns the state before. Raises NotFound, StepRefused."""
    arrival = arrival_row(tx, id)
    _refuse_deleted(id, arrival["state"])
    check_arrival_step(ArrivalState(arrival["state"]), ArrivalState.HELD)
    if arrival["state"] == "in_delivery" and tx.one(
        "SELECT 1 FROM delivery WHERE arrival = ? AND state IN ('sending', 'confirming')", (id,)
    ):
        raise StepRefused(f"arrival {id} is being sent; hold its deliveries (scanpost queue hold) instead")
    if arrival["state"] == ArrivalState.WAITING:
        # The rules decide it anew; what was sent on already goes on when it is released, and gets its answers then.
        unlink(tx, id)
    hold_deliveries(tx, id, reason, act)
    set_state(tx, arrival, ArrivalState.HELD, reason, act)
    return str(arrival["state"])


def release(tx: Transaction, id: int, act: Act) -> None:
    """See Arrivals.release. Raises NotFound, StepRefused."""
    arrival = arrival_row(tx, id)
    if arrival["state"] != "held":
        raise StepRefused(f"arrival {id} is {arrival['state']}, not held")
    freed = tx.all(
        "UPDATE delivery SET state = 'waiting', due = ?, error = '', cause = '' WHERE arrival = ? AND state = 'held'"
        " RETURNING id, target", (tx.now, id))  # fmt: skip
    tx.emit(ArrivalReleased(id, arrival["calling_ae"], act.command, act.by, act.reason), correlation=id)
    if not freed:
        unlink(tx, id)
    goes_on = bool(freed) and not last_word_to_come(tx, id)
    set_state(
        tx, arrival, ArrivalState.IN_DELIVERY if goes_on else ArrivalState.CLOSED, "", act
    )  # closed: decided anew
    for row in freed:
        event = DeliveryRetried(row["id"], id, row["target"], act.command, act.by, act.reason, undecided=not goes_on)
        tx.emit(event, correlation=id)


def reroute(tx: Transaction, id: int, act: Act) -> None:
    """See Arrivals.reroute. What is parked or held of it is cancelled: the new decision counts. Raises NotFound, StepRefused."""
    arrival = arrival_row(tx, id)
    _refuse_deleted(id, arrival["state"])
    going = tx.one(
        "SELECT id, target, state FROM delivery WHERE arrival = ?"
        " AND state IN ('waiting', 'sending', 'retrying', 'confirming') LIMIT 1",
        (id,),
    )
    if arrival["state"] == ArrivalState.IN_DELIVERY and going is not None:
        raise StepRefused(
            f"arrival {id} is on its way (delivery {going['id']} to {going['target']} is {going['state']});"
            " hold or cancel what is under way first"
        )
    set_state(tx, arrival, ArrivalState.CLOSED, "", act)
    unlink(tx, id)
    _cancel_rest(tx, id, act)  # else what they were held for would outlive a new decision to send nothing
    tx.emit(ArrivalReleased(id, arrival["calling_ae"], act.command, act.by, act.reason), correlation=id)


def discard(tx: Transaction, id: int, reason: str, act: Act) -> None:
    """See Arrivals.discard. Raises NotFound, StepRefused."""
    arrival = arrival_row(tx, id)
    _refuse_deleted(id, arrival["state"])
    if arrival["state"] not in ("held", "closed", "waiting"):
        raise StepRefused(f"arrival {id} is {arrival['state']}; only a held or waiting one can be discarded")
    if tx.one(
        "SELECT 1 FROM delivery WHERE arrival = ? AND singles = 0 AND state IN ('sending', 'confirming')", (id,)
    ):  # a person routed it while it waited
        raise StepRefused(f"arrival {id} is being sent; hold its deliveries (scanpost queue hold) first")
    unlink(tx, id)
    _cancel_rest(tx, id, act)
    set_state(tx, arrival, ArrivalState.DISCARDED, reason, act)


def keep(tx: Transaction, id: int, until: float | None, act: Act) -> str:
    """See Arrivals.keep; returns the time before, "" if there was none. Raises NotFound, StepRefused."""
    arrival = arrival_row(tx, id)
    _refuse_deleted(id, arrival["state"])
    tx.execute("UPDATE arrival SET keep_until = ? WHERE id = ?", (until, id))
    tx.emit(ArrivalKept(id, arrival["calling_ae"], until or 0.0, act.command, act.by, act.reason), correlation=id)
    return "" if arrival["keep_until"] is None else repr(float(arrival["keep_until"]))


def free_held(tx: Transaction, id: int, act: Act) -> None:
    """Let go on what was held with an arrival about which a decision follows: single images, what a person had sent."""
    freed = tx.all(
        "UPDATE delivery SET state = 'waiting', due = ?, error = '', cause = '' WHERE arrival = ? AND state = 'held'"
        " RETURNING id, target",
        (tx.now, id),
    )
    for row in freed:
        event = DeliveryRetried(row["id"], id, row["target"], act.command, act.by, act.reason, undecided=True)
        tx.emit(event, correlation=id)


def _cancel_rest(tx: Transaction, id: int, act: Act) -> None:
    cancelled = tx.all(
        "UPDATE delivery SET state = 'cancelled', finished = ?, cause = '' WHERE arrival = ?"
        " AND state IN ('held', 'waiting', 'retrying', 'parked') RETURNING id, target",
        (tx.now, id),
    )
    for row in cancelled:
        tx.emit(DeliveryCancelled(row["id"], id, row["target"], act.command, act.by, act.reason), correlation=id)
        take_back(tx, id, row["target"])


def _refuse_deleted(id: int, state: str) -> None:
    if state == ArrivalState.DELETED:
        raise StepRefused(f"arrival {id} {GONE}")
