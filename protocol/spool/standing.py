"""How images stand that somebody asks about by their UIDs: where they are here, and how far on their way to each target.
It only reads, and judges nothing (the router does).
"""

from __future__ import annotations

import sqlite3
from typing import Any

from protocol.records import record

AT_ONCE = 400  # names in one look


@record
class Way:
    """One delivery of an image's arrival: is it delivered, was this image sent with success, does it go on?"""

    target: str
    group: str
    delivered: bool
    sent: bool
    ended: bool


@record
class Standing:
    """The newest version of an image here: its class, its arrival and that one's state, and its ways."""

    sop_class_uid: str
    arrival: int
    state: str
    ways: tuple[Way, ...] = ()


def look(
    connection: sqlite3.Connection, calling_ae: str, sop_uids: list[str]
) -> tuple[dict[str, Standing], set[str]]:  # fmt: skip
    """At most AT_ONCE images: how each that is known stands, and which of the others are in quarantine.

    Of several versions the newest counts, one that `calling_ae` sent before others' (a device may ask under another AE
    title than the one it sends with).
    """
    rows = connection.execute(
        "SELECT i.sop_uid, i.sop_class_uid, i.arrival, i.position, a.state FROM image i INDEXED BY image_sop"
        " JOIN arrival a ON a.id = i.arrival WHERE i.superseded IS NULL"
        f" AND i.sop_uid IN ({','.join('?' * len(sop_uids))}) ORDER BY a.calling_ae = ?, i.arrival, i.position",
        (*sop_uids, calling_ae),
    ).fetchall()
    newest = {row["sop_uid"]: row for row in rows}  # the last one counts
    ways = {arrival: _deliveries(connection, arrival) for arrival in {row["arrival"] for row in newest.values()}}
    found = {
        uid: Standing(row["sop_class_uid"], row["arrival"], row["state"],
                      tuple(way for one, marks in ways[row["arrival"]] if (way := _way(one, marks, row["position"]))))
        for uid, row in newest.items()
    }  # fmt: skip
    missing = [uid for uid in sop_uids if uid not in found]
    apart = connection.execute(
        f"SELECT sop_uid FROM quarantine WHERE state = 'kept' AND sop_uid IN ({','.join('?' * len(missing))})", missing
    ).fetchall()
    return found, {row["sop_uid"] for row in apart}


def _deliveries(connection: sqlite3.Connection, arrival: int) -> list[tuple[Any, dict[int, str]]]:
    """Each delivery of an arrival, with the marks of its images by position."""
    deliveries = connection.execute("SELECT * FROM delivery WHERE arrival = ?", (arrival,)).fetchall()
    statement = "SELECT position, state FROM delivery_image WHERE delivery = ?"
    return [(one, dict(connection.execute(statement, (one["id"],)).fetchall())) for one in deliveries]


def _way(delivery: Any, marks: dict[int, str], position: int) -> Way | None:
    """How the image at this position stands with one delivery; None if that one is not about it: one of single images
    may be, and one of a series leaves some to such a delivery.
    """
    mark = marks.get(position)
    if mark == "left" or (delivery["singles"] and mark is None):
        return None
    sent = mark == "skipped" or (mark in (None, "warning", "sent") and position <= delivery["progress"])
    ended = delivery["state"] in ("delivered", "cancelled")
    return Way(delivery["target"], delivery["target_group"], delivery["state"] == "delivered", sent, ended)
