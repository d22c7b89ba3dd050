"""Heads of the audit that the ledger remembers, for `scanpost audit verify`. It only reads."""

from __future__ import annotations

from sqlalchemy import select

from protocol.ledger.engine import reader, reading
from protocol.ledger.tables import event
from protocol.wire.events import AuditHead

MOST = 200


def audit_heads(url: str, node: str) -> list[tuple[int, str]]:
    """(number, link) of the newest heads. Raises LedgerUnavailable."""
    wanted = select(event.c.data).where(event.c.node == node, event.c.type == AuditHead.TYPE)
    engine = reader(url)
    try:
        with reading(engine) as connection:
            found = [row[0] for row in connection.execute(wanted.order_by(event.c.time.desc()).limit(MOST))]
    finally:
        engine.dispose()
    return [(int(data["number"]), str(data["link"])) for data in found if {"number", "link"} <= set(data or ())]
