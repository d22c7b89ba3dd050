"""Which version of an image goes to a target: what leaves a delivery since a newer one goes there, and what comes back.
Called inside a transaction by those who decide, claim and settle; it never begins or commits, and changes no state but marks.

A newer version of an image is in a later arrival of its series. `image.superseded` leads from each version to the next one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from protocol.spool import joining
from protocol.spool.transaction import Transaction

# Images of an arrival that a delivery sends: those that no other image of the same arrival replaces.
IMAGES_TO_SEND = (
    "SELECT i.* FROM image i WHERE i.arrival = :arrival AND (i.superseded IS NULL OR i.superseded NOT IN"
    " (SELECT n.receipt FROM image n WHERE n.arrival = :arrival))"
)


def replaced_at(tx: Transaction, arrival: Any, target: str, group: str = "") -> list[Any]:
    """Images (position, receipt, bytes) of an arrival whose newer version goes or went to this target in a later one, or to
    any member of this group.
    """
    if not arrival["superseded"]:
        return []
    return tx.all(
        f"{_NEWER} SELECT DISTINCT w.position, w.receipt, w.bytes FROM newer w CROSS JOIN image n ON n.receipt = w.version"
        " CROSS JOIN delivery d INDEXED BY delivery_arrival ON d.arrival = n.arrival AND d.state <> 'cancelled'"
        "   AND (d.target = :target OR (:group <> '' AND d.target_group = :group)) WHERE n.arrival > :arrival",
        {"arrival": arrival["id"], "target": target, "group": group},
    )


# One newer version after the other: that a still newer one goes elsewhere does not take this one from the target.
_NEWER = (
    "WITH RECURSIVE newer (position, receipt, bytes, version) AS ("
    " SELECT o.position, o.receipt, o.bytes, o.superseded FROM image o WHERE o.arrival = :arrival"
    "   AND o.superseded IS NOT NULL AND o.superseded NOT IN (SELECT s.receipt FROM image s WHERE s.arrival = :arrival)"
    " UNION SELECT w.position, w.receipt, w.bytes, n.superseded FROM newer w CROSS JOIN image n ON n.receipt = w.version"
    "   WHERE n.superseded IS NOT NULL)"
)


def replaced_elsewhere(
    connection: sqlite3.Connection, delivery: int, arrival: int, target: str, where: str
) -> list[int]:  # fmt: skip
    """Deliveries that brought newer versions of the images of this one to its target while that was another place than `where`:
    there nobody has any version of them. What has been deleted here meanwhile cannot be sent any more.
    """
    found = connection.execute("SELECT superseded FROM arrival WHERE id = ?", (arrival,)).fetchone()
    if not found["superseded"]:
        return []
    rows = connection.execute(
        f"{_NEWER} SELECT DISTINCT d.id FROM newer w CROSS JOIN image n ON n.receipt = w.version"
        " CROSS JOIN arrival a ON a.id = n.arrival AND a.state NOT IN ('discarded', 'deleted')"
        " CROSS JOIN delivery d INDEXED BY delivery_arrival ON d.arrival = a.id AND d.target = :target"
        "   AND d.state IN ('delivered', 'confirming') AND d.place NOT IN ('', :where)"
        " LEFT JOIN delivery_image x ON x.delivery = d.id AND x.position = n.position"
        " WHERE a.id > :arrival AND coalesce(x.state, iif(d.singles, 'left', '')) <> 'left'"
        " AND (NOT (SELECT singles FROM delivery WHERE id = :delivery) OR EXISTS (SELECT 1 FROM delivery_image y"
        "   WHERE y.delivery = :delivery AND y.position = w.position)) ORDER BY d.id",
        {"delivery": delivery, "arrival": arrival, "target": target, "where": where},
    )
    return [row["id"] for row in rows.fetchall()]


def leave_replaced(tx: Transaction, row: Any) -> None:
    """A delivery is about to be sent: what it has not sent yet, and whose newer version goes or went to its target, leaves it.

    Looked at now, as much may have happened since its images were chosen: the newer one was decided while this one was
    cancelled, refused or for another target.
    """
    for old in replaced_at(tx, _arrival(tx, row), row["target"]):
        at = {"id": row["id"], "position": old["position"], "receipt": old["receipt"]}
        tx.execute(
            "UPDATE delivery_image SET state = 'left', comment = 'superseded'"
            " WHERE delivery = :id AND position = :position AND state = 'again'",
            at,
        )
        if old["position"] > row["progress"]:
            tx.execute(
                "INSERT INTO delivery_image (delivery, position, receipt, state, comment)"
                " VALUES (:id, :position, :receipt, 'left', 'superseded') ON CONFLICT (delivery, position) DO NOTHING",
                at,
            )


def returned(tx: Transaction, row: Any) -> bool:
    """Mark as to be sent what a delivery left to newer versions that do not go to its target (or group) after all; is there any?

    They were cancelled or sent elsewhere since, and the target must not be left with no version at all.
    """
    arrival = _arrival(tx, row)
    if not arrival["superseded"]:
        return False
    left = tx.all(
        f"SELECT i.position FROM ({IMAGES_TO_SEND}) i JOIN delivery_image x ON x.delivery = :delivery AND x.position = i.position"
        " WHERE x.state = 'left' AND x.comment = 'superseded'",
        {"arrival": arrival["id"], "delivery": row["id"]},
    )
    gone = {one["position"] for one in replaced_at(tx, arrival, row["target"], row["target_group"])} if left else set()
    back = [(row["id"], one["position"]) for one in left if one["position"] not in gone]
    tx.many(
        "UPDATE delivery_image SET state = 'again', status = NULL, comment = '' WHERE delivery = ? AND position = ?",
        back,
    )
    if back and not row["singles"]:
        counted = (
            f"SELECT count(*), coalesce(sum(i.bytes), 0) FROM ({IMAGES_TO_SEND}) i WHERE NOT EXISTS (SELECT 1 FROM delivery_image x"
            " WHERE x.delivery = :delivery AND x.position = i.position AND x.state = 'left')"
        )
        images, size = tx.one(counted, {"arrival": arrival["id"], "delivery": row["id"]})
        tx.execute("UPDATE delivery SET images = ?, bytes = ? WHERE id = ?", (images, size, row["id"]))
    return bool(back)


def keep_newer(tx: Transaction, row: Any) -> None:
    """A delivery that leaves its target has sent some of its images there: older versions of those do not follow any more."""
    arrival = _arrival(tx, row)
    if not row["sent"] or not arrival["addendum_of"]:
        return
    for old in tx.all(
        f"WITH RECURSIVE sent (receipt) AS (SELECT i.receipt FROM ({IMAGES_TO_SEND}) i LEFT JOIN delivery_image x"
        "   ON x.delivery = :delivery AND x.position = i.position WHERE i.position <= :progress"
        "   AND coalesce(x.state, iif(:singles, 'left', '')) NOT IN ('left', 'again', 'refused')),"
        " older (arrival, position, receipt, version) AS (SELECT o.arrival, o.position, o.receipt, o.superseded FROM arrival e"
        "   CROSS JOIN image o ON o.arrival = e.id AND o.superseded IS NOT NULL"
        "   WHERE e.series_key = :key AND e.id < :arrival AND e.superseded > 0"
        " UNION SELECT w.arrival, w.position, w.receipt, n.superseded FROM older w CROSS JOIN image n ON n.receipt = w.version"
        "   WHERE n.superseded IS NOT NULL)"
        " SELECT DISTINCT w.arrival, w.position, w.receipt FROM older w JOIN sent s ON s.receipt = w.version",
        {"arrival": arrival["id"], "key": arrival["series_key"], "delivery": row["id"], "progress": row["progress"],
         "singles": row["singles"]},
    ):  # fmt: skip
        tx.execute(
            "INSERT INTO delivery_image (delivery, position, receipt, state, comment)"
            " SELECT d.id, :position, :receipt, 'left', 'overtaken' FROM delivery d INDEXED BY delivery_arrival"
            " LEFT JOIN delivery_image x ON x.delivery = d.id AND x.position = :position"
            " WHERE d.arrival = :arrival AND d.target = :target AND d.state <> 'cancelled' AND (x.state = 'again'"
            "   OR (x.state = 'left' AND x.comment = 'superseded') OR (x.state IS NULL AND d.singles = 0 AND d.progress < :position))"
            " ON CONFLICT (delivery, position) DO UPDATE SET state = 'left', comment = 'overtaken'",
            {**dict(old), "target": row["target"]},
        )


def _arrival(tx: Transaction, row: Any) -> Any:
    return tx.one("SELECT * FROM arrival WHERE id = ?", (row["arrival"],))


def supersede_earlier(tx: Transaction, arrival: Any, targets: Sequence[str]) -> None:
    """Images of earlier arrivals that this one replaces leave unfinished deliveries to the same targets, and only those."""
    if not arrival["addendum_of"]:
        return
    pairs = tx.all(
        # CROSS JOIN keeps this order: the other one compares each image with each earlier one of its series.
        "SELECT o.receipt AS older, o.position, o.arrival, o.sop_uid, n.receipt AS newer FROM image n"
        " CROSS JOIN arrival a CROSS JOIN image o INDEXED BY image_sop ON o.sop_uid = n.sop_uid AND o.arrival = a.id"
        " WHERE n.arrival = ? AND n.superseded IS NULL AND o.superseded IS NULL AND a.series_key = ? AND a.id < ?"
        " AND a.state <> 'deleted'",
        (arrival["id"], arrival["series_key"], arrival["id"]),
    )
    for pair in pairs:
        joining.supersede(tx, pair["older"], pair["newer"], pair["arrival"], arrival["calling_ae"], pair["sop_uid"])
        for target in targets:
            tx.execute(
                "INSERT INTO delivery_image (delivery, position, receipt, state, comment)"
                " SELECT id, ?, ?, 'left', 'superseded' FROM delivery WHERE arrival = ? AND target = ?"
                " AND state IN ('waiting', 'retrying', 'parked', 'held', 'sending') AND (progress < ? OR EXISTS"
                "   (SELECT 1 FROM delivery_image x WHERE x.delivery = delivery.id AND x.position = ?"
                "    AND x.state IN ('refused', 'again')))"
                " ON CONFLICT (delivery, position) DO UPDATE SET state = 'left', comment = 'superseded'",
                (pair["position"], pair["older"], pair["arrival"], target, pair["position"], pair["position"]),
            )
