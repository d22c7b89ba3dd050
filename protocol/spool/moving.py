"""Deliveries whose target has other settings since they began, and names another place: what begins anew there.
Called by deliveries.py only; it never commits, and must not know what a place is: whoever claims hands in what stands for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from protocol.spool.acts import NOBODY
from protocol.spool.replacing import replaced_elsewhere
from protocol.spool.sent_singly import left_elsewhere
from protocol.spool.settling import hold_with_arrival, retried, settle
from protocol.spool.steps import Claim, mine, send_all
from protocol.spool.transaction import Transaction
from protocol.states import DeliveryState, check_delivery_step
from protocol.wire.events import DeliveryBegunAnew

FOLLOWS = "an earlier part of its series goes to another place of its target"


def strays(connection: sqlite3.Connection, claim: Claim, where: str) -> tuple[bool, Sequence[int]]:
    """(whether what this claim has settled is at another place than `where`, deliveries of newer versions that are)."""
    anew = claim.where not in ("", where) or left_elsewhere(
        connection, claim.delivery, claim.arrival, claim.target, where
    )
    return anew, replaced_elsewhere(connection, claim.delivery, claim.arrival, claim.target, where)


def begin_there(tx: Transaction, claim: Claim) -> None:
    """All images of the claim go. Raises NotOwner."""
    send_all(tx, mine(tx, claim), claim.target)
    tx.emit(DeliveryBegunAnew(claim.delivery, claim.arrival, claim.target), correlation=claim.arrival)


def follow(tx: Transaction, id: int) -> None:
    """Let a delivery that has ended at another place of its target begin anew, where an earlier part of its series goes now."""
    row = tx.one("SELECT * FROM delivery WHERE id = ? AND state IN ('delivered', 'confirming')", (id,))
    if row is None:
        return
    before = DeliveryState(row["state"])
    if before is DeliveryState.CONFIRMING:  # as if that had failed
        check_delivery_step(before, DeliveryState.RETRYING)
        before = DeliveryState.RETRYING
    check_delivery_step(before, DeliveryState.WAITING)
    send_all(tx, row, row["target"])
    tx.execute(
        "UPDATE delivery SET state = 'waiting', due = ?, finished = NULL, attempts = 0, deaths = 0, first_tried = NULL,"
        " error = '', cause = '' WHERE id = ?",
        (tx.now, id),
    )
    tx.emit(DeliveryBegunAnew(id, row["arrival"], row["target"]), correlation=row["arrival"])
    retried(tx, row, NOBODY, FOLLOWS)
    hold_with_arrival(tx, id)
    settle(tx, row["arrival"])
