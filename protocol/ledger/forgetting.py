"""Forgets the header values of old arrivals, a chunk per call, so that the ledger's writer is never kept waiting.
It must not touch what people search by (patient's id and name, accession number), nor any row's existence.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, null, select, text, update

from protocol.ledger.tables import PRIVATE, arrival, event, header

CHUNK = 500  # rows of each table; a few milliseconds


def forget_headers(connection: Connection, node: str, before: float, limit: int = CHUNK) -> int:
    """Remove at most `limit` header values each of arrivals, of events and of their table, older than `before` (seconds
    since 1970). Returns how many of the largest pile went: fewer than `limit` means that nothing old is left.
    """
    old = select(header.c.arrival).where(header.c.node == node, header.c.received < before)
    described = select(arrival.c.arrival).where(
        arrival.c.node == node, arrival.c.completed < before, text("headers IS NOT NULL")
    )
    private = select(event.c.id).where(event.c.node == node, event.c.time < before, text(f"({PRIVATE})"))
    statements: tuple[Any, ...] = (
        delete(header).where(header.c.node == node, header.c.arrival.in_(old.limit(limit))),
        update(arrival)
        .where(arrival.c.node == node, arrival.c.arrival.in_(described.limit(limit)))
        .values(headers=null()),
        update(event).where(event.c.id.in_(private.limit(limit))).values(phi=null(), raw=null()),
    )
    return max(connection.execute(statement).rowcount for statement in statements)
