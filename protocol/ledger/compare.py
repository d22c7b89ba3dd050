"""Holds the ledger against the spool, for `scanpost doctor`: every image of the spool must be known, with the same state.
It only reads, page by page, and is meant for a ledger that has caught up.
"""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Connection, select

from protocol.ledger.engine import reader, reading
from protocol.ledger.tables import arrival, image

MAX_PROBLEMS = 20


class Accounts(Protocol):
    """The pages of the spool that are compared (protocol.spool.accounting.Accounting)."""

    def receipts(self, after: str = "", limit: int = 500) -> list[str]: ...

    def states(self, after: int = 0, limit: int = 500) -> dict[int, str]: ...


def compare(url: str, node: str, spool: Accounts) -> list[str]:
    """What the ledger does not know or knows otherwise, in words; [] means they agree. Raises LedgerUnavailable."""
    engine = reader(url)
    try:
        with reading(engine) as connection:
            return [*_images(connection, node, spool), *_arrivals(connection, node, spool)][:MAX_PROBLEMS]
    finally:
        engine.dispose()


def reach(url: str) -> None:
    """Raises LedgerUnavailable unless the ledger can be read now."""
    engine = reader(url)
    try:
        with reading(engine) as connection:
            connection.execute(select(arrival.c.arrival).limit(1)).first()
    finally:
        engine.dispose()


def _images(connection: Connection, node: str, spool: Accounts) -> list[str]:
    problems: list[str] = []
    page = spool.receipts()
    while page and len(problems) < MAX_PROBLEMS:
        wanted = select(image.c.receipt).where(image.c.node == node, image.c.receipt.in_(page))
        known = {row[0] for row in connection.execute(wanted)}
        problems += [f"image {receipt} is not in the ledger" for receipt in page if receipt not in known]
        page = spool.receipts(page[-1])
    return problems


def _arrivals(connection: Connection, node: str, spool: Accounts) -> list[str]:
    problems: list[str] = []
    page = spool.states()
    while page and len(problems) < MAX_PROBLEMS:
        wanted = select(arrival.c.arrival, arrival.c.state).where(
            arrival.c.node == node, arrival.c.arrival.in_(list(page))
        )
        known = {row[0]: row[1] for row in connection.execute(wanted)}
        for id, state in page.items():
            if known.get(id) != state:
                problems.append(f"arrival {id} is {state} in the spool, {known.get(id, 'unknown')} in the ledger")
        page = spool.states(max(page))
    return problems
