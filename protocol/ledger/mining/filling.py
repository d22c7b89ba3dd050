"""Mining rows of series that came before their table was there: made of the header values that were kept, a chunk per call.
It must not touch a row that is there, and makes none of a patient who was erased.

How far it is stands in the table `cursor` (consumer "mining": `seq` the last series looked at, `epoch` 1 at the end), in the same
transaction as the rows: killed anywhere, it goes on there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from protocol.errors import DecodeError
from protocol.header.packed import unpack_header
from protocol.ledger.bulk import add, put
from protocol.ledger.mining.columns import series_values
from protocol.ledger.tables import arrival, cursor, header, series
from protocol.wire.messages import Envelope

FILLER = "mining"
CHUNK = 500  # series looked at in one transaction; some 50 ms
GOING, DONE = 0, 1
_WHOLE = (
    "arrival", "calling_ae", "study_uid", "series_uid", "addendum_of", "modality", "opened", "completed", "images", "bytes",
    "headers", "erased",
)  # fmt: skip


class Filled(NamedTuple):
    """What a call came to: `upto` is the last series looked at."""

    done: bool
    upto: int
    made: int


def fill(connection: Connection, node: str, zone: str, now: float, limit: int = CHUNK) -> Filled:
    """Look at the next series of this node. `zone`: in which its scanners tell time; `now` in seconds since 1970 UTC."""
    place = connection.execute(
        select(cursor.c.epoch, cursor.c.seq).where(cursor.c.node == node, cursor.c.consumer == FILLER)
    ).first()
    at = 0 if place is None else int(place.seq)
    if place is not None and place.epoch == DONE:
        return Filled(True, at, 0)
    wanted = select(*(arrival.c[name] for name in _WHOLE)).where(arrival.c.node == node, arrival.c.arrival > at)
    rows = connection.execute(wanted.order_by(arrival.c.arrival).limit(limit)).fetchall()
    made = _make(connection, node, zone, rows)
    done, upto = len(rows) < limit, rows[-1].arrival if rows else at
    put(connection, cursor, [{"node": node, "consumer": FILLER, "epoch": int(done), "seq": upto, "time": now}])
    return Filled(done, upto, made)


def _make(connection: Connection, node: str, zone: str, rows: Any) -> int:
    numbers = [row.arrival for row in rows]
    there = set(connection.execute(
        select(series.c.arrival).where(series.c.node == node, series.c.arrival.in_(numbers))
    ).scalars())  # fmt: skip
    lacking = [row for row in rows if row.arrival not in there and row.completed is not None and row.erased is None]
    if not lacking:
        return 0
    kept = connection.execute(
        select(header.c.arrival, header.c.source, header.c.images, header.c.first)
        .where(header.c.node == node, header.c.arrival.in_([row.arrival for row in lacking]))
    ).fetchall()  # fmt: skip
    headers = {one.arrival: one for one in kept}
    made = [{"node": node, "arrival": row.arrival, **_values(row, headers.get(row.arrival), zone)} for row in lacking]
    add(connection, series, made)
    return len(made)


def _values(row: Any, kept: Any, zone: str) -> dict[str, Any]:
    """As if the event of its completion had told it; without what only the object itself tells (docs/mining.md)."""
    values = {"Modality": row.modality, **(row.headers if isinstance(row.headers, dict) else {}), **_first(kept)}
    origin = {"opened": row.opened, "addendum_of": row.addendum_of, "source": kept.source if kept is not None else None}
    phi: dict[str, Any] = {"header": values, "first": {}, "origin": origin, "mining": {"zone": zone}}
    if kept is not None and kept.images is not None:
        phi["count"] = kept.images
    data = {name: getattr(row, name) for name in ("calling_ae", "study_uid", "series_uid", "images", "bytes")}
    return series_values(Envelope("", "", "arrival.completed", "", "", row.completed, data=data, phi=phi))


def _first(kept: Any) -> dict[str, Any]:
    """The header of the first image; nothing where it is not kept (any more)."""
    if kept is None or kept.first is None:
        return {}
    try:
        return unpack_header(bytes(kept.first))
    except DecodeError:
        return {}
