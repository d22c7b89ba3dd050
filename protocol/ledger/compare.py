"""Holds the ledger against the spool: every image and arrival of one must be known to the other, with the same state,
and each delivery of the spool must stand in the ledger as it does there.
It only reads, page by page. What differs while events are still under way is no fault: ask again when the ledger has
caught up (`again`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol

from sqlalchemy import Connection, func, or_, select

from protocol.ledger.engine import reader, reading
from protocol.ledger.tables import arrival, delivery, image
from protocol.records import record

MAX_PROBLEMS = 20
PAGE = 500


class ArrivalFigures(Protocol):
    """An arrival as the spool has it."""

    @property
    def id(self) -> int: ...

    @property
    def state(self) -> str: ...

    @property
    def images(self) -> int: ...


class DeliveryFigures(Protocol):
    """A delivery as the spool has it."""

    @property
    def id(self) -> int: ...

    @property
    def state(self) -> str: ...


class Accounts(Protocol):
    """The pages of the spool that are compared (protocol.spool.accounting.Accounting)."""

    def receipts(self, after: str = "", limit: int = PAGE) -> list[str]: ...

    def arrivals(self, after: int = 0, limit: int = PAGE) -> Sequence[ArrivalFigures]: ...

    def deliveries(self, after: int = 0, limit: int = PAGE) -> Sequence[DeliveryFigures]: ...

    def known(self, ids: Sequence[int]) -> set[int]: ...

    def here(self, receipts: Sequence[str]) -> set[str]: ...


@record
class Difference:
    """Where they differ, in words; of one image (`receipt`, hexadecimal), of an arrival or of a delivery."""

    text: str
    arrival: int = 0
    receipt: str = ""
    delivery: int = 0


def compare(url: str, node: str, spool: Accounts, limit: int = MAX_PROBLEMS) -> list[Difference]:
    """All differences, at most `limit`; [] means they agree. Raises LedgerUnavailable."""
    engine = reader(url)
    try:
        with reading(engine) as connection:
            return list(islice(_differences(connection, node, spool), limit))
    finally:
        engine.dispose()


def again(url: str, node: str, spool: Accounts, found: Sequence[Difference]) -> list[Difference]:
    """Those differences that are still there. Raises LedgerUnavailable."""
    engine = reader(url)
    try:
        with reading(engine) as connection:
            here = spool.here([one.receipt for one in found if one.receipt])
            still = {one.text for one in _unknown(connection, node, sorted(here))}
            for id in {one.arrival for one in found if one.arrival}:
                page = [one for one in spool.arrivals(id - 1, 1) if one.id == id]
                still |= {one.text for one in _arrivals(connection, node, spool, page)}
                if not page:
                    still |= {one.text for one in _lost(connection, node, spool, [id])}
            for id in {one.delivery for one in found if one.delivery}:
                still |= {one.text for one in _deliveries(connection, node, spool.deliveries(id - 1, 1))}
            return [one for one in found if one.text in still]
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


def _differences(connection: Connection, node: str, spool: Accounts) -> Iterator[Difference]:
    receipts = spool.receipts()
    while receipts:
        yield from _unknown(connection, node, receipts)
        receipts = spool.receipts(receipts[-1])
    page = spool.arrivals()
    while page:
        yield from _arrivals(connection, node, spool, page)
        page = spool.arrivals(page[-1].id)
    yield from _gone(connection, node, spool)
    sent = spool.deliveries()
    while sent:
        yield from _deliveries(connection, node, sent)
        sent = spool.deliveries(sent[-1].id)


def _unknown(connection: Connection, node: str, receipts: Sequence[str]) -> Iterator[Difference]:
    """Images that the ledger does not know."""
    wanted = select(image.c.receipt).where(image.c.node == node, image.c.receipt.in_(receipts))
    known = {row[0] for row in connection.execute(wanted)}
    for receipt in receipts:
        if receipt not in known:
            yield Difference(f"image {receipt} is not in the ledger", receipt=receipt)


def _arrivals(
    connection: Connection, node: str, spool: Accounts, page: Sequence[ArrivalFigures]
) -> Iterator[Difference]:
    """Arrivals in another state, and images that the ledger knows of them and the spool does not."""
    ids = [one.id for one in page]
    wanted = select(arrival.c.arrival, arrival.c.state).where(arrival.c.node == node, arrival.c.arrival.in_(ids))
    known = {row[0]: row[1] for row in connection.execute(wanted)}
    counts = _counts(connection, node, ids)
    for one in page:
        if known.get(one.id) != one.state:
            text = f"arrival {one.id} is {one.state} in the spool, {known.get(one.id, 'unknown')} in the ledger"
            yield Difference(text, one.id)
        if counts.get(one.id, 0) != one.images and one.state != "deleted":
            yield from _lost(connection, node, spool, [one.id])


def _deliveries(connection: Connection, node: str, page: Sequence[DeliveryFigures]) -> Iterator[Difference]:
    """Deliveries in another state. Those that the spool does not have any more are the ledger's to keep."""
    ids = [one.id for one in page]
    wanted = select(delivery.c.delivery, delivery.c.state).where(delivery.c.node == node, delivery.c.delivery.in_(ids))
    known = {row[0]: row[1] for row in connection.execute(wanted)}
    for one in page:
        if known.get(one.id) != one.state:
            text = f"delivery {one.id} is {one.state} in the spool, {known.get(one.id, 'unknown')} in the ledger"
            yield Difference(text, delivery=one.id)


def _gone(connection: Connection, node: str, spool: Accounts) -> Iterator[Difference]:
    """Images of arrivals that are not deleted and that the spool does not know any more."""
    after = 0
    while True:
        wanted = select(arrival.c.arrival).where(
            arrival.c.node == node, arrival.c.arrival > after, or_(arrival.c.state.is_(None), arrival.c.state != "deleted")
        )  # fmt: skip
        ids = [row[0] for row in connection.execute(wanted.order_by(arrival.c.arrival).limit(PAGE))]
        if not ids:
            return
        here = spool.known(ids)
        yield from _lost(connection, node, spool, [id for id in ids if id not in here])
        after = ids[-1]


def _counts(connection: Connection, node: str, ids: Sequence[int]) -> dict[int, int]:
    counted = select(image.c.arrival, func.count()).where(image.c.node == node, image.c.arrival.in_(ids), _KEPT)
    return {row[0]: int(row[1]) for row in connection.execute(counted.group_by(image.c.arrival))}


def _lost(connection: Connection, node: str, spool: Accounts, ids: Sequence[int]) -> Iterator[Difference]:
    """Images of these arrivals that the spool does not have."""
    wanted = select(image.c.receipt, image.c.arrival).where(image.c.node == node, image.c.arrival.in_(ids), _KEPT)
    of = {row[0]: row[1] for row in connection.execute(wanted)}
    here = spool.here(list(of))
    for receipt, id in of.items():
        if receipt not in here:
            yield Difference(f"image {receipt} of arrival {id} is in the ledger, not in the spool", id, receipt)


_KEPT = or_(image.c.mark.is_(None), image.c.mark != "duplicate")
