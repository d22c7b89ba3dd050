"""Fetches the rows of one arrival's story and has them told: `timeline`. The words stand in telling.py."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from protocol.ledger.history.asked import Plain
from protocol.ledger.history.events import EVENT_COLUMNS
from protocol.ledger.history.rows import arrivals_of, plain, with_deliveries
from protocol.ledger.history.telling import Entry, Story, tell
from protocol.ledger.tables import association, event, image, quarantine

MAX_EVENTS = 20_000  # of one arrival, without those of single images


def timeline(connection: Connection, node: str, number: int) -> list[Entry]:
    """What became of an arrival, in order; [] if the ledger does not know it."""
    found = story(connection, node, number)
    return [] if found is None else tell(found)


def story(connection: Connection, node: str, number: int) -> Story | None:
    """The rows that a timeline is made of; None if the ledger does not know the arrival."""
    row = arrivals_of(connection, [(node, number)]).get((node, number))
    if row is None:
        return None
    (whole,) = with_deliveries(connection, [row])
    images = _images(connection, node, number)
    names = [one["association"] for one in images if one["association"]]
    wanted = select(association).where(association.c.node == node, association.c.association.in_(names))
    # Events of single images have a receipt; their sum stands in `images`.
    told = select(*EVENT_COLUMNS).where(event.c.node == node, event.c.arrival == number, event.c.receipt.is_(None))
    return Story(
        arrival=whole,
        associations=plain(connection, wanted.order_by(association.c.opened)) if names else [],
        images=images,
        quarantined=plain(connection, select(quarantine).where(
            quarantine.c.node == node, quarantine.c.association.in_(names))) if names else [],
        events=plain(connection, told.order_by(event.c.epoch, event.c.seq).limit(MAX_EVENTS)),
    )  # fmt: skip


def _images(connection: Connection, node: str, number: int) -> list[Plain]:
    """What each association brought: how many images, superseded ones, duplicates, bytes, the first and the last time."""
    mark = func.coalesce(image.c.mark, "")
    wanted = select(
        image.c.association, mark.label("mark"), func.count().label("images"), func.sum(image.c.bytes).label("bytes"),
        func.min(image.c.received).label("first"), func.max(image.c.received).label("last"),
    ).where(image.c.node == node, image.c.arrival == number)  # fmt: skip
    return plain(connection, wanted.group_by(image.c.association, mark).order_by(func.min(image.c.received)))
