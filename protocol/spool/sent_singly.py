"""Which images of an arrival image rules sent by themselves, and whether that leaves any. Called inside transactions.
It only reads, and never judges an image: the router does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from protocol.spool.replacing import IMAGES_TO_SEND
from protocol.spool.transaction import Transaction

SENT_AT_ONCE = "sent at once"  # the comment of an image that the delivery of its series leaves out for that


def only_singles(tx: Transaction, id: int) -> bool:
    """Was no delivery of the whole arrival made, and is there an image that none of its single images is?"""
    if tx.one("SELECT 1 FROM delivery WHERE arrival = ? AND singles = 0 AND state = 'delivered'", (id,)):
        return False
    row = tx.one(
        f"SELECT 1 FROM ({IMAGES_TO_SEND}) i WHERE NOT EXISTS (SELECT 1 FROM delivery d INDEXED BY delivery_singles"
        " CROSS JOIN delivery_image x ON x.delivery = d.id AND x.position = i.position WHERE d.arrival = :arrival"
        " AND d.singles = 1 AND d.state = 'delivered' AND x.state <> 'left') LIMIT 1",
        {"arrival": id},
    )
    return row is not None


def any_unsent(tx: Transaction, id: int, wanted: Sequence[int]) -> bool:
    """Is there, of an arrival that goes nowhere as a whole, an image that image rules want and that went nowhere?"""
    if not wanted:
        return not tx.one("SELECT 1 FROM delivery WHERE arrival = ?", (id,))
    positions = [row[0] for row in tx.all(f"SELECT position FROM ({IMAGES_TO_SEND}) ORDER BY 1", {"arrival": id})]
    sent = {
        row[0]
        for row in tx.all(
            "SELECT x.position FROM delivery d INDEXED BY delivery_singles CROSS JOIN delivery_image x ON x.delivery = d.id"
            " WHERE d.arrival = ? AND d.singles = 1",  # also what a person cancelled: that is settled
            (id,),
        )
    }
    return any(at < len(positions) and positions[at] not in sent for at in wanted)


def sent_singly(tx: Transaction, arrival: int, target: str) -> list[Any]:
    """Images of an arrival that image rules sent to this target, or are about to."""
    return tx.all(
        # CROSS JOIN keeps this order: most arrivals have no such delivery, and then nothing is looked at.
        "SELECT DISTINCT i.position, i.receipt, i.bytes FROM delivery d INDEXED BY delivery_singles"
        " CROSS JOIN delivery_image x ON x.delivery = d.id CROSS JOIN image i ON i.arrival = d.arrival AND i.position = x.position"
        " WHERE d.arrival = :arrival AND d.target = :target AND d.singles = 1 AND d.state <> 'cancelled' AND x.state <> 'left'"
        " AND (i.superseded IS NULL OR i.superseded NOT IN (SELECT n.receipt FROM image n WHERE n.arrival = d.arrival))",
        {"arrival": arrival, "target": target},
    )


def left_elsewhere(connection: sqlite3.Connection, delivery: int, arrival: int, target: str, where: str) -> bool:
    """Does a delivery leave out images that were sent to its target at once, while that was another place than `where`?"""
    row = connection.execute(
        "SELECT 1 FROM delivery d INDEXED BY delivery_singles CROSS JOIN delivery_image x ON x.delivery = :delivery"
        " WHERE d.arrival = :arrival AND d.target = :target AND d.singles = 1 AND d.place NOT IN ('', :where)"
        " AND x.state = 'left' AND x.comment = :comment LIMIT 1",
        {"delivery": delivery, "arrival": arrival, "target": target, "where": where, "comment": SENT_AT_ONCE},
    ).fetchone()
    return row is not None
