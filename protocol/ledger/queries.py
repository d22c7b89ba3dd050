"""What pages and commands ask the ledger: one image's history, one arrival's story, the latest arrivals, counts for doctor.
Read only, on a connection from `engine.reading`; every function takes the node, since many nodes may share one ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, Table, func, select

from protocol.ledger.record import CONSUMER
from protocol.ledger.tables import (
    alert,
    alert_episode,
    arrival,
    association,
    cursor,
    delivery,
    delivery_image,
    event,
    image,
    quarantine,
)
from protocol.states import ArrivalState, DeliveryState

MAX_ROWS = 5000  # of one answer
Plain = dict[str, Any]
Statement = Any  # SQLAlchemy's types of a select differ between 2.0 and 2.1


def image_history(connection: Connection, node: str, *, receipt: str = "", sop_uid: str = "") -> list[Plain]:
    """Everything about one image, or about every image with a SOP instance UID, oldest first.

    Each has its `image` row (None if quarantined), `quarantine` row or None, the `association` that brought it, its
    `arrival` without header values, `deleted` (when its file went, or None), `events` and `deliveries` (one per target,
    with the target's answer and when). [] if the ledger knows nothing.
    """
    receipts = [receipt] if receipt else _receipts_of(connection, node, sop_uid)
    return [found for one in receipts if (found := _one_image(connection, node, one))]


def arrival_story(connection: Connection, node: str, number: int) -> Plain | None:
    """An arrival's row with its `images`, `deliveries`, `associations` and `events` in their order; None if unknown."""
    found = _one(connection, _of(arrival, node).where(arrival.c.arrival == number))
    if found is None:
        return None
    images = _all(connection, _of(image, node).where(image.c.arrival == number).order_by(image.c.received))
    names = {row["association"] for row in images if row["association"]}
    receipts = [row["receipt"] for row in images]
    return {
        **found,
        "image_rows": images,
        "deliveries": _all(connection, _of(delivery, node).where(delivery.c.arrival == number)
                           .order_by(delivery.c.delivery)),
        "associations": _all(connection, _of(association, node).where(association.c.association.in_(names))
                             .order_by(association.c.opened)),
        "events": _events(connection, node, _about(number), event.c.receipt.in_(receipts)),
    }  # fmt: skip


def delivery_images(connection: Connection, node: str, number: int) -> list[Plain]:
    """The target's answer to each image of a delivery."""
    wanted = _of(delivery_image, node).where(delivery_image.c.delivery == number)
    return _all(connection, wanted.order_by(delivery_image.c.time, delivery_image.c.receipt))


def recent_arrivals(
    connection: Connection, node: str, *, state: str = "", calling_ae: str = "", limit: int = 50
) -> list[Plain]:
    """The arrivals that opened last, newest first, without their header values."""
    columns = [column for column in arrival.c if column.name != "headers"]
    wanted = select(*columns).where(arrival.c.node == node)
    if state:
        wanted = wanted.where(arrival.c.state == state)
    if calling_ae:
        wanted = wanted.where(arrival.c.calling_ae == calling_ae)
    return _all(connection, wanted.order_by(arrival.c.opened.desc(), arrival.c.arrival.desc()), limit)


def flagged(connection: Connection, node: str, limit: int = 50) -> list[Plain]:
    """Events that could not be stored as they are, newest first, with why and their bytes."""
    wanted = _of(event, node).where(event.c.flag.is_not(None))
    return _all(connection, wanted.order_by(event.c.epoch.desc(), event.c.seq.desc()), limit)


def open_alerts(connection: Connection, node: str) -> list[Plain]:
    """What was raised and not cleared."""
    return _all(connection, _of(alert, node).where(alert.c.cleared.is_(None)).order_by(alert.c.raised))


def alert_episodes(
    connection: Connection, node: str, *, alert_key: str = "", since: float = 0.0, limit: int = 200
) -> list[Plain]:
    """Each time that an alert (or one of all) was raised since then (seconds UTC), newest first; `cleared` None: it stands."""
    wanted = _of(alert_episode, node).where(alert_episode.c.raised >= since)
    if alert_key:
        wanted = wanted.where(alert_episode.c.alert == alert_key)
    return _all(connection, wanted.order_by(alert_episode.c.raised.desc(), alert_episode.c.alert), limit)


def position(connection: Connection, node: str) -> tuple[int, int] | None:
    """How far (epoch, seq) the bookkeeper of this node is; None before its first start."""
    found = _one(connection, _of(cursor, node).where(cursor.c.consumer == CONSUMER))
    return None if found is None else (int(found["epoch"]), int(found["seq"]))


def counts(connection: Connection, node: str) -> Plain:
    """What `scanpost doctor` holds against the spool; reads whole tables, so never for a page.

    `arrivals` and `deliveries` by state; `images` by the state of their arrival, without superseded ones and
    duplicates, which have figures of their own, like `quarantined`, `flagged` events and all `events`.
    """
    mark = func.coalesce(image.c.mark, "")
    joined = image.outerjoin(arrival, (arrival.c.node == image.c.node) & (arrival.c.arrival == image.c.arrival))
    images = select(arrival.c.state, func.count()).select_from(joined).where(image.c.node == node, mark == "")
    marks = _groups(connection, select(mark, func.count()).where(image.c.node == node).group_by(mark))
    return {
        "arrivals": _states(ArrivalState, _by_state(connection, arrival, node)),
        "deliveries": _states(DeliveryState, _by_state(connection, delivery, node)),
        "images": _states(ArrivalState, _groups(connection, images.group_by(arrival.c.state))),
        "superseded": marks.get("superseded", 0),
        "duplicates": marks.get("duplicate", 0),
        "quarantined": _count(connection, quarantine, node),
        "events": _count(connection, event, node),
        "flagged": _number(connection, select(func.count()).where(event.c.node == node, event.c.flag.is_not(None))),
    }


# ---- parts ------------------------------------------------------------------------------------------------------
def _receipts_of(connection: Connection, node: str, sop_uid: str) -> list[str]:
    wanted = select(image.c.receipt).where(image.c.node == node, image.c.sop_uid == sop_uid)
    return list(connection.execute(wanted.order_by(image.c.received, image.c.receipt).limit(MAX_ROWS)).scalars())


def _one_image(connection: Connection, node: str, receipt: str) -> Plain | None:
    row = _one(connection, _of(image, node).where(image.c.receipt == receipt))
    aside = _one(connection, _of(quarantine, node).where(quarantine.c.receipt == receipt))
    if row is None and aside is None:
        return None
    sent = (
        select(delivery_image, delivery.c.state, delivery.c.attempts, delivery.c.created, delivery.c.finished)
        .select_from(delivery_image.outerjoin(delivery, (delivery.c.node == delivery_image.c.node)
                                              & (delivery.c.delivery == delivery_image.c.delivery)))
        .where(delivery_image.c.node == node, delivery_image.c.receipt == receipt)
        .order_by(delivery_image.c.time, delivery_image.c.delivery)
    )  # fmt: skip
    number = None if row is None else row["arrival"]
    whole = _by(connection, arrival, node, number)
    about = [event.c.receipt == receipt, *([] if number is None else [_about(number)])]
    return {
        "receipt": receipt,
        "image": row,
        "quarantine": aside,
        "association": _by(connection, association, node, (row or aside or {}).get("association")),
        "arrival": whole,
        "deleted": None if whole is None else whole["deleted"],
        "deliveries": _all(connection, sent),
        "events": _events(connection, node, *about),
    }


def _about(number: int) -> Any:
    """Events of an arrival as a whole, in the words of their index."""
    return (event.c.arrival == number) & event.c.receipt.is_(None)


def _events(connection: Connection, node: str, *conditions: Any) -> list[Plain]:
    """Events for which one of the conditions holds, each along an index, in their order."""
    columns = [column for column in event.c if column.name not in ("phi", "raw")]
    found: dict[str, Plain] = {}
    for condition in conditions:
        wanted = select(*columns).where(event.c.node == node, condition).order_by(event.c.epoch, event.c.seq)
        found |= {row["id"]: row for row in _all(connection, wanted)}
    return sorted(found.values(), key=lambda row: (row["epoch"], row["seq"]))[:MAX_ROWS]


def _by(connection: Connection, table: Table, node: str, value: Any) -> Plain | None:
    """The row of an association or arrival, without header values."""
    if value is None:
        return None
    columns = [column for column in table.c if column.name != "headers"]
    return _one(connection, select(*columns).where(table.c.node == node, table.c[table.name] == value))


def _of(table: Table, node: str) -> Statement:
    return select(table).where(table.c.node == node)


def _all(connection: Connection, wanted: Statement, limit: int = MAX_ROWS) -> list[Plain]:
    return [_plain(row) for row in connection.execute(wanted.limit(min(limit, MAX_ROWS)))]


def _one(connection: Connection, wanted: Statement) -> Plain | None:
    row = connection.execute(wanted).first()
    return None if row is None else _plain(row)


def _plain(row: Row[Any]) -> Plain:
    return dict(row._mapping)


def _by_state(connection: Connection, table: Table, node: str) -> Mapping[str, int]:
    wanted = select(table.c.state, func.count()).where(table.c.node == node)
    return _groups(connection, wanted.group_by(table.c.state))


def _groups(connection: Connection, wanted: Statement) -> dict[str, int]:
    return {row[0]: int(row[1]) for row in connection.execute(wanted)}


def _states(states: Any, found: Mapping[str, int]) -> dict[str, int]:
    """Every state, 0 where none is; `unknown` for objects whose beginning the ledger never saw."""
    known = {state.value: found.get(state.value, 0) for state in states}
    rest = sum(found.values()) - sum(known.values())
    return {**known, "unknown": rest} if rest else known


def _count(connection: Connection, table: Table, node: str) -> int:
    return _number(connection, select(func.count()).select_from(table).where(table.c.node == node))


def _number(connection: Connection, wanted: Statement) -> int:
    return int(connection.execute(wanted).scalar_one())
