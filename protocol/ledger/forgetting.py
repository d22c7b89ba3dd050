"""Forgets what is old, a chunk per call, so that the ledger's writer is never kept waiting: header values, who the patient
was, and in the end the rows themselves. It must not let go of a row whose object the spool still has.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Connection, delete, exists, literal, null, select, text, update

from protocol.ledger.tables import (
    NAMED,
    PRIVATE,
    alert,
    alert_episode,
    arrival,
    arrival_rule,
    association,
    delivery,
    delivery_image,
    dose_event,
    dose_report,
    event,
    header,
    image,
    quarantine,
    series,
)
from protocol.records import record

CHUNK = 200  # rows of each table: a tenth of a second on PostgreSQL with ten million images, where each row is in ten indexes
LOOKED = 10_000  # old events that are looked at for some that belong to nothing any more


@record
class Ages:
    """What is older than these times (seconds since 1970 UTC) goes; None keeps it for ever."""

    headers: float | None = None
    patients: float | None = None
    rows: float | None = None


def forget(connection: Connection, node: str, ages: Ages, limit: int = CHUNK) -> int:
    """A chunk of each kind; how many rows of the largest pile went: 0 means that nothing old is left."""
    gone = [0]
    old = [age for age in (ages.headers, ages.patients) if age is not None]
    if old:  # header values say who the patient was, too
        gone.append(forget_headers(connection, node, max(old), limit))
    if ages.patients is not None:
        gone.append(forget_patients(connection, node, ages.patients, limit))
    if ages.rows is not None:
        gone.append(forget_rows(connection, node, ages.rows, limit))
    return max(gone)


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


def forget_patients(connection: Connection, node: str, before: float, limit: int = CHUNK) -> int:
    """Remove what people search a patient by from at most `limit` arrivals completed before then, and the values of extra
    tags, which may be anything; the rows stay.
    """
    named = select(arrival.c.arrival).where(arrival.c.node == node, arrival.c.completed < before, text(NAMED))
    tagged = select(series.c.arrival).where(
        series.c.node == node, series.c.completed < before, text("extra IS NOT NULL")
    )
    statements: tuple[Any, ...] = (
        update(arrival)
        .where(arrival.c.node == node, arrival.c.arrival.in_(named.limit(limit)))
        .values(patient_id=None, patient_folded=None, accession=None),
        update(series).where(series.c.node == node, series.c.arrival.in_(tagged.limit(limit))).values(extra=null()),
    )
    return max(connection.execute(statement).rowcount for statement in statements)


def forget_rows(connection: Connection, node: str, before: float, limit: int = CHUNK) -> int:
    """Remove at most `limit` rows about arrivals that the spool deleted before then; when none is left, of the rest."""
    gone = _arrivals(connection, node, before, limit)
    if gone:
        return gone
    for key, conditions in _others(before):
        old = select(key).where(key.table.c.node == node, *conditions).limit(limit)
        statement = delete(key.table).where(key.table.c.node == node, key.in_(old), *conditions)
        gone = connection.execute(statement).rowcount
        if gone:  # one kind after the other: each may ask what the next one still knows
            return gone
    return connection.execute(delete(event).where(event.c.id.in_(_orphans(node, before, limit)))).rowcount


def _arrivals(connection: Connection, node: str, before: float, limit: int) -> int:
    """Images first, the arrival itself last: by it the rest is found again."""
    wanted = select(arrival.c.arrival).where(arrival.c.node == node, arrival.c.deleted < before)
    gone = 0
    for number in connection.execute(wanted.order_by(arrival.c.deleted).limit(20)).scalars().all():
        left = limit - gone
        if left <= 0:
            break
        receipts = select(image.c.receipt).where(image.c.node == node, image.c.arrival == number).limit(left)
        for table in (delivery_image, event):  # the rest of an arrival's events goes with itself
            connection.execute(
                delete(table).where(table.c.node == node, table.c.receipt.in_(receipts), *_older(table, before))
            )
        went = connection.execute(delete(image).where(image.c.node == node, image.c.receipt.in_(receipts))).rowcount
        gone += went
        if went < left:
            of = (event.c.node == node, event.c.arrival == number, event.c.receipt.is_(None), event.c.time < before)
            connection.execute(delete(event).where(*of))
            for table in (header, series, dose_event, dose_report, arrival_rule, delivery, arrival):
                connection.execute(delete(table).where(table.c.node == node, table.c.arrival == number))
            gone += 1
    return gone


def _older(table: Any, before: float) -> tuple[Any, ...]:
    """Of events only those that are old themselves."""
    return (table.c.time < before,) if table is event else ()


def _orphans(node: str, before: float, limit: int) -> Any:
    """Ids of old events that belong to no arrival that is known, among the oldest ones. With a subquery for each: a join could
    read both tables whole.
    """
    oldest = (select(event.c.id, event.c.node, event.c.arrival).where(event.c.node == node, event.c.time < before)
              .order_by(event.c.time).limit(LOOKED).subquery())  # fmt: skip
    known = select(literal(1)).where(arrival.c.node == oldest.c.node, arrival.c.arrival == oldest.c.arrival)
    return select(oldest.c.id).where(known.correlate(oldest).limit(1).scalar_subquery().is_(None)).limit(limit)


def _others(before: float) -> tuple[tuple[Column[Any], tuple[Any, ...]], ...]:
    """Keys of old rows that belong to no arrival, or to none that is known any more, and what makes them old."""
    let_go = exists().where(event.c.node == quarantine.c.node, event.c.receipt == quarantine.c.receipt,
                            event.c.time < before, event.c.type == "quarantine.deleted")  # fmt: skip
    standing = exists().where(alert.c.node == alert_episode.c.node, alert.c.alert == alert_episode.c.alert,
                              alert.c.raised == alert_episode.c.raised)  # fmt: skip
    return (
        (quarantine.c.receipt, (quarantine.c.received < before, let_go)),
        (association.c.association, (association.c.closed < before,)),
        (alert.c.alert, (alert.c.cleared < before,)),
        (alert_episode.c.raised, (alert_episode.c.raised < before, ~standing)),
    )
