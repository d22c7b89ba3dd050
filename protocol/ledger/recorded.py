"""Reads the recorded arrivals of a time out of the ledger, page by page, for backtests and for trying rules on one of them.
Each page is a short look of its own: it locks nothing and keeps no old state of the database alive.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, case, func, null, or_, select

from protocol.ledger.engine import reading
from protocol.ledger.headers import SHARES
from protocol.ledger.tables import arrival, header
from protocol.routing.backtest.cases import RecordedArrival

PAGE = 5000
_WHOLE = tuple(
    header.c[name]
    for name in (
        "arrival", "received", "calling_ae", "called_ae", "address", "source", "study_uid", "series_uid", "addendum_of",
        "images", "bytes", "dropped", "first", "columns",
    )
)  # fmt: skip
_FIRST = (*_WHOLE[:-1], case((header.c.addendum_of != 0, header.c.columns), else_=null()).label("columns"))
Window = tuple[float, float]
"""Seconds since 1970: from, and up to but not including."""


def recorded(
    engine: Engine, node: str, window: Window, *, each_image: bool, shares: tuple[int, int] = (0, SHARES), page: int = PAGE
) -> Iterator[Sequence[RecordedArrival]]:  # fmt: skip
    """Pages of arrivals in the order of their receipt, those of some shares only. Raises LedgerUnavailable.

    `each_image`: with what differs between their images. An addendum always has that, and the earlier arrivals of its
    series with it, also those before the window.
    """
    after: tuple[float, int] = (window[0], -1)
    while True:
        with reading(engine) as connection:
            rows = connection.execute(_page(node, window, after, each_image, shares, page)).fetchall()
            found = [RecordedArrival(*row) for row in rows]
            if any(one.addendum_of for one in found):
                found = [_with_family(connection, node, one) if one.addendum_of else one for one in found]
        if found:
            yield found
        if len(found) < page:
            return
        after = (found[-1].received, found[-1].arrival)


def recorded_arrival(connection: Connection, node: str, number: int) -> RecordedArrival | None:
    """One arrival with all that is kept of it; None if its header values are not there (any more)."""
    row = connection.execute(select(*_WHOLE).where(header.c.node == node, header.c.arrival == number)).first()
    if row is None:
        return None
    found = RecordedArrival(*row)
    return _with_family(connection, node, found) if found.addendum_of else found


def count_of(connection: Connection, node: str, window: Window) -> int:
    """How many arrivals with header values were received in the window."""
    wanted = select(func.count()).select_from(header).where(header.c.node == node, *_within(header.c.received, window))
    return int(connection.execute(wanted).scalar_one())


def completed_count(connection: Connection, node: str, window: Window) -> int:
    """How many arrivals that opened in the window were completed, whether header values are there or not."""
    wanted = select(func.count()).select_from(arrival).where(
        arrival.c.node == node, *_within(arrival.c.opened, window), arrival.c.completed.is_not(None)
    )  # fmt: skip
    return int(connection.execute(wanted).scalar_one())


def _within(column: Any, window: Window) -> tuple[Any, Any]:
    return column >= window[0], column < window[1]


def _page(
    node: str, window: Window, after: tuple[float, int], each_image: bool, shares: tuple[int, int], page: int
) -> Any:
    received, number = after
    wanted = select(*(_WHOLE if each_image else _FIRST)).where(
        header.c.node == node, header.c.received >= received, header.c.received < window[1],
        or_(header.c.received > received, header.c.arrival > number),
    )  # fmt: skip
    if shares != (0, SHARES):
        wanted = wanted.where(header.c.share >= shares[0], header.c.share < shares[1])
    return wanted.order_by(header.c.received, header.c.arrival).limit(page)


def _with_family(connection: Connection, node: str, one: RecordedArrival) -> RecordedArrival:
    wanted = select(*_WHOLE).where(
        header.c.node == node, header.c.series_uid == one.series_uid, header.c.study_uid == one.study_uid,
        header.c.calling_ae == one.calling_ae, header.c.arrival < one.arrival,
    )  # fmt: skip
    rows = connection.execute(wanted.order_by(header.c.arrival)).fetchall()
    return one._replace(earlier=tuple(RecordedArrival(*row) for row in rows))
