"""Header values of a series, of a whole study, or of the newest images of an open arrival, as rules read them.
It only reads; values that images share are handed out once, each image brings its difference.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from protocol.header.diff import difference, overlay
from protocol.records import record
from protocol.spool.replacing import IMAGES_TO_SEND
from protocol.spool.settling import arrival_row, plain
from protocol.wire.codec import unpack_stored

Values = Mapping[str, Any]


@record
class ArrivalHeaders:
    """Header values of every image of a series, in its newest version: of this arrival and the earlier ones it is an addendum of.

    `common` is the header of the first image, `differing` for each image what differs from it (None: it lacks the key);
    the last `own` of them are of this arrival.
    """

    arrival: Mapping[str, Any]
    common: Values
    differing: Sequence[Values]
    earlier_targets: list[tuple[str, str]]  # (target, group) that earlier arrivals of the series went to
    own: int

    @property
    def images(self) -> list[dict[str, Any]]:
        """Each image's values, whole."""
        return [overlay(self.common, changed) for changed in self.differing]


@record
class StudyHeaders:
    """Header values of every image of a study from one sender, as far as its series were decided; see ArrivalHeaders.

    `arrivals` are their rows, the first one first.
    """

    arrivals: Sequence[Mapping[str, Any]]
    common: Values
    differing: Sequence[Values]


@record
class NewImage:
    """An image of an open arrival that the image rules have not seen: its place, its receipt, and its difference."""

    position: int
    receipt: bytes
    bytes: int
    differing: Values


def series_headers(connection: sqlite3.Connection, id: int) -> ArrivalHeaders:
    """Raises NotFound."""
    arrival = arrival_row(connection, id)
    family = connection.execute(
        "SELECT id, series_key, header, state FROM arrival WHERE series_key = ? AND id <= ? ORDER BY id",
        (arrival["series_key"], id),
    ).fetchall()
    common, differing = _together(connection, family)
    earlier = connection.execute(
        "SELECT DISTINCT d.target, d.target_group FROM delivery d JOIN arrival a ON a.id = d.arrival"
        " WHERE a.series_key = ? AND a.id < ? AND d.state <> 'cancelled' AND d.singles = 0",
        (arrival["series_key"], id),
    ).fetchall()
    own = connection.execute("SELECT count(DISTINCT sop_uid) FROM image WHERE arrival = ?", (id,)).fetchone()[0]
    return ArrivalHeaders(plain(arrival), common, differing, [(row[0], row[1]) for row in earlier], own)


def study_headers(connection: sqlite3.Connection, study_uid: str, calling_ae: str) -> StudyHeaders:
    """Of the series that are not open any more and were decided."""
    arrivals = connection.execute(
        "SELECT * FROM arrival INDEXED BY arrival_study WHERE study_uid = ? AND calling_ae = ?"
        " AND state NOT IN ('open', 'closed') ORDER BY id",
        (study_uid, calling_ae),
    ).fetchall()
    common, differing = _together(connection, arrivals)
    return StudyHeaders([plain(row) for row in arrivals], common, differing)


def new_images(connection: sqlite3.Connection, id: int, limit: int) -> tuple[Mapping[str, Any], Values, list[NewImage]]:
    """The row of an arrival, the header of its first image, and the next images that image rules have to see."""
    arrival = arrival_row(connection, id)
    rows = connection.execute(
        "SELECT position, receipt, bytes, header, transfer_syntax_uid FROM image WHERE arrival = ? AND position > ?"
        " ORDER BY position LIMIT ?",
        (id, arrival["judged"], limit),
    ).fetchall()
    return plain(arrival), _first_header(arrival), [_new_image(row) for row in rows]


def images_left(connection: sqlite3.Connection, id: int) -> tuple[Mapping[str, Any], Values, list[NewImage]]:
    """As `new_images`, of those that image rules saw, and that are in no delivery of single images."""
    arrival = arrival_row(connection, id)
    rows = connection.execute(
        f"SELECT * FROM ({IMAGES_TO_SEND}) i WHERE i.position <= :judged AND NOT EXISTS"
        " (SELECT 1 FROM delivery d INDEXED BY delivery_singles CROSS JOIN delivery_image x ON x.delivery = d.id"
        "  AND x.position = i.position WHERE d.arrival = :arrival AND d.singles = 1)"
        " ORDER BY i.position",
        {"arrival": id, "judged": arrival["judged"]},
    ).fetchall()
    return plain(arrival), _first_header(arrival), [_new_image(row) for row in rows]


def chosen_values(connection: sqlite3.Connection, id: int, names: Collection[str]) -> Callable[[int], Values]:
    """Of each image of an arrival, by its position, the values that a layout names; images with equal ones share them.

    Sender, receiver and source are the arrival's own (rules.names.ARRIVAL_NAMES), whatever an object says. Raises NotFound.
    """
    arrival = arrival_row(connection, id)
    origin = {"SenderAET": arrival["calling_ae"], "ReceiverAET": arrival["called_ae"],
              "SenderAddress": arrival["address"], "Source": arrival["source"] or "",
              "StudyInstanceUID": arrival["study_uid"], "SeriesInstanceUID": arrival["series_uid"]}  # fmt: skip
    own = [name for name in names if name not in origin]
    header = unpack_stored(arrival["header"]) if own and arrival["header"] else {}
    base = {name: header[name] for name in own if name in header}
    shared = {**base, **{name: value for name, value in origin.items() if name in names}}
    different: dict[int, Values] = {}
    for row in connection.execute("SELECT position, header FROM image WHERE arrival = ?", (id,)) if own else ():
        values = unpack_stored(row["header"]) if row["header"] else {}
        changed = {name: values[name] for name in own if name in values}
        if changed:
            different[row["position"]] = overlay(shared, changed)
    return lambda position: different.get(position, shared)


def _together(connection: sqlite3.Connection, arrivals: Sequence[Any]) -> tuple[Values, list[Values]]:
    """Every image of these arrivals, over the header of the first of them; without those whose values were forgotten
    (purging.headers): a rule must not take them for images that have none.

    Of an image that came again the newest version among these arrivals counts, and stands among the images of its own.
    Within an arrival `superseded` says which, not its position: the row of the older one may have come last. Between
    arrivals it does not: it is written once the newer one is routed, and by arrivals that came after these.
    """
    common: Values | None = None
    images: dict[tuple[bytes, str], Values] = {}
    for arrival in arrivals:
        if arrival["header"] is None and arrival["state"] == "deleted":
            continue
        own = unpack_stored(arrival["header"]) if arrival["header"] else {}
        base = difference(common, own) if common is not None else {}
        common = own if common is None else common
        rows = connection.execute(
            f"SELECT sop_uid, header, transfer_syntax_uid FROM ({IMAGES_TO_SEND}) ORDER BY position",
            {"arrival": arrival["id"]},
        ).fetchall()
        for row in rows:
            image = arrival["series_key"], row["sop_uid"]
            images.pop(image, None)
            images[image] = {**base, **_differing(row)} if base else _differing(row)
    return common or {}, list(images.values())


def _first_header(arrival: Any) -> Values:
    return unpack_stored(arrival["header"]) if arrival["header"] else {}


def _new_image(row: Any) -> NewImage:
    return NewImage(row["position"], row["receipt"], row["bytes"], _differing(row))


def _differing(row: Any) -> Values:
    values = unpack_stored(row["header"]) if row["header"] else {}
    return {**values, "TransferSyntaxUID": row["transfer_syntax_uid"]}
