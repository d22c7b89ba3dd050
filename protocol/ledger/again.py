"""Series that came into the spool a second time, out of their files, after its database was restored or made again: the
arrival that the ledger knew ends, and what is known of it goes on under the new number, so that nothing is counted twice.
It must not end an arrival of which an image was not found again: that one is missing, and has to be seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, func, or_, select, update

from protocol.causes import Cause
from protocol.ledger.entries import Entry
from protocol.ledger.tables import arrival, delivery, dose_event, dose_report, header, image, series
from protocol.states import DELIVERY_FINISHED, ArrivalState, DeliveryState
from protocol.wire.events import DeliveryHeld, ImageDuplicate, ImageReceived

FROM_FILES = frozenset({"adopted", "rebuilt"})
"""Why an image got its row without having been received just now."""
_PART = 500


@dataclass
class Moved:
    """How many images left an arrival, where to, and when."""

    now: int = 0
    since: float = 0.0
    images: int = 0


def end_moved(connection: Connection, node: str, entries: Iterable[Entry]) -> None:
    """End the arrivals whose last images these events take away. Before the events are written: the new one's own
    completion may be among them, and goes on with what is handed over here.
    """
    for former, to in _moved(connection, node, entries).items():
        kept = and_(image.c.node == node, image.c.arrival == former, _NO_DUPLICATE)
        if connection.execute(select(func.count()).select_from(image).where(kept)).scalar_one() == to.images:
            _end(connection, node, former, to.now, to.since)


def _moved(connection: Connection, node: str, entries: Iterable[Entry]) -> dict[int, Moved]:
    found: dict[str, tuple[int, float]] = {}
    for entry in entries:
        again = entry.envelope.type == ImageDuplicate.TYPE  # of an image that is known: it was sent twice on purpose
        for change in entry.changes if again or entry.envelope.type == ImageReceived.TYPE else ():
            if (again or change.values.get("why") in FROM_FILES) and change.values.get("arrival") is not None:
                found[change.key["receipt"]] = change.values["arrival"], entry.row["time"]
    before: dict[int, Moved] = {}
    receipts = list(found)
    for start in range(0, len(receipts), _PART):
        some = receipts[start : start + _PART]
        # No test of the arrival here: by its index SQLite would walk all images of the node.
        wanted = select(image.c.receipt, image.c.arrival, image.c.mark).where(
            image.c.node == node, image.c.receipt.in_(some)
        )
        for receipt, former, mark in connection.execute(wanted):
            now, since = found[receipt]
            if former not in (None, now) and mark != "duplicate":
                to = before.setdefault(former, Moved())
                to.now, to.since, to.images = now, since, to.images + 1
    return before


def stand_again(connection: Connection, node: str, entries: Iterable[Entry]) -> None:
    """What had ended after the backup was made that the spool was restored from is under way again, and held. Before the
    events are written: what was released since then may have ended once more among them.
    """
    for entry in entries:
        data = entry.envelope.data if isinstance(entry.envelope.data, Mapping) else {}
        if entry.envelope.type == DeliveryHeld.TYPE and data.get("cause") == Cause.REBUILT:
            ended = and_(arrival.c.node == node, arrival.c.arrival == data.get("arrival"), arrival.c.state.in_(_ENDED))
            values = {"state": ArrivalState.IN_DELIVERY.value, "since": entry.row["time"], "deleted": None}
            connection.execute(update(arrival).where(ended).values(**values, reason=data.get("reason")))


_ENDED = tuple(str(one) for one in (ArrivalState.DELIVERED, ArrivalState.DISCARDED, ArrivalState.DELETED))
_NO_DUPLICATE = or_(image.c.mark.is_(None), image.c.mark != "duplicate")


def _end(connection: Connection, node: str, former: int, now: int, since: float) -> None:
    why = f"the spool was made again from its files: it goes on as series {now}"
    connection.execute(
        update(arrival).where(arrival.c.node == node, arrival.c.arrival == former)
        .values(state=ArrivalState.DELETED.value, since=since, reason=why, deleted=since)
    )  # fmt: skip
    sent = and_(delivery.c.node == node, delivery.c.arrival == former)
    finished = [state.value for state in DELIVERY_FINISHED]
    connection.execute(
        update(delivery).where(sent, or_(delivery.c.state.is_(None), delivery.c.state.not_in(finished)))
        .values(state=DeliveryState.CANCELLED.value, finished=since, owner=None, retry_at=None, error=why,
                cause=Cause.REBUILT.value)
    )  # fmt: skip
    connection.execute(update(delivery).where(sent).values(arrival=now))
    for table in (series, header, dose_report, dose_event):
        there = select(table.c.arrival).where(table.c.node == node, table.c.arrival == now).limit(1)
        own = and_(table.c.node == node, table.c.arrival == former)
        if connection.execute(there).first() is None:
            connection.execute(update(table).where(own).values(arrival=now))
        else:  # two of its arrivals became one
            connection.execute(delete(table).where(own))
