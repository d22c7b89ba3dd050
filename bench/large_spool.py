"""A spool with as many images as one likes, made in bulk: one small series goes the real way, its rows are multiplied.
It must not be used on a spool that anybody works with: it holds the write lock for seconds and skips every check.

The files have their names (that is what a start looks at), but those of a day share one content.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from protocol.header.scan import scan
from protocol.spool import open_spool
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.images import Incoming
from protocol.spool.places import folder_of_day, series_key
from protocol.spool.spool import Spool
from protocol.testing.images import TestImage

SERIES_IMAGES = 100
DAYS = 5
PARKED_EVERY = 100  # of the series; all others are delivered
_DAY_S = 86400.0
_LINKS = 50_000  # to one inode; ext4 allows 65,000
_CHUNK = 200  # series in one transaction

Row = dict[str, Any]


def make(home: Path, count: int) -> int:
    """Fill a fresh spool below `home` with `count` images of delivered (and some parked) series; returns how many there are."""
    files = Files(home)

    def delivery(number: int) -> Row:
        return {"state": "parked" if number % PARKED_EVERY == 0 else "delivered", "sent": SERIES_IMAGES}

    return _fill(home, max(1, round(count / SERIES_IMAGES)), SERIES_IMAGES, delivery, files.add)


def make_waiting(home: Path, count: int, targets: Sequence[str]) -> int:
    """Fill a fresh spool with `count` series of one image each that wait for one of `targets`; there are no files."""

    def delivery(number: int) -> Row:
        return {
            "state": "waiting",
            "sent": 0,
            "progress": 0,
            "finished": None,
            "target": targets[number % len(targets)],
        }

    return _fill(home, count, 1, delivery, lambda file: None)


def _original(spool: Spool) -> None:
    """One image as receiver and router would treat it."""
    association = uuid.uuid4().bytes
    image = TestImage()
    header = scan(image.dataset(), image.transfer_syntax_uid)
    spool.images.association_opened(association, "bench", "SCANNER", "SCANPOST", "127.0.0.1", None)
    incoming = Incoming(
        association, "SCANNER", "SCANPOST", "127.0.0.1", None, image.sop_class_uid, image.sop_uid,
        image.transfer_syntax_uid, image.dataset(), header,
    )  # fmt: skip
    (receipt,) = spool.images.commit([spool.images.save(incoming)])
    spool.images.association_closed(association, "released")
    (arrival,) = spool.arrivals.open_ones()
    spool.arrivals.close(receipt.arrival, "released", images=arrival.images)
    spool.arrivals.decide(receipt.arrival, Verdict("route", 1, [TargetChoice("pacs")]))


def _row(spool: Spool, table: str) -> Row:
    with spool.database.read() as connection:
        return dict(connection.execute(f"SELECT * FROM {table}").fetchone())


def _fill(home: Path, series: int, images: int, delivery: Callable[[int], Row], add: Callable[[str], None]) -> int:
    """So many series; `delivery` says how each one's delivery differs from a delivered one, `add` makes a file."""
    spool = open_spool(home, create=True, durability="relaxed")
    try:
        _original(spool)
        rows = {
            table: _row(spool, table)
            for table in ("association", "arrival", "arrival_association", "image", "decision", "delivery")
        }
        for first in range(1, series + 1, _CHUNK):
            made: dict[str, list[Row]] = {table: [] for table in rows}
            for number in range(first, min(first + _CHUNK, series + 1)):
                for table, row in _series(rows, number, number / series, images, delivery(number), add):
                    made[table].append(row)
            with spool.database.write() as tx:
                for table, new in made.items():
                    names = ", ".join(new[0])
                    marks = ", ".join("?" * len(new[0]))
                    tx.many(f"INSERT INTO {table} ({names}) VALUES ({marks})", [tuple(row.values()) for row in new])
                tx.add("received", len(made["image"]))
        return int(spool.accounting.figures().received)
    finally:
        spool.close()


def _series(
    rows: dict[str, Row], number: int, part: float, images: int, delivery: Row, add: Callable[[str], None]
) -> Iterator[tuple[str, Row]]:
    """Rows of one more series; `part` (0 to 1) is how late it came within the DAYS."""
    study, one = f"1.2.826.0.1.3680043.8.498.9.{number}", f"1.2.826.0.1.3680043.8.498.9.{number}.1"
    key, association = series_key(study, one, "SCANNER"), uuid.uuid4().bytes
    when = time.time() - DAYS * _DAY_S * (1 - part)
    arrival, decision = rows["arrival"]["id"] + number, rows["decision"]["id"] + number
    yield "association", rows["association"] | {"id": association, "opened": when, "closed": when, "images": images}
    yield "arrival", rows["arrival"] | {
        "id": arrival, "series_key": key, "study_uid": study, "series_uid": one, "images": images,
        "positions": images, "opened": when, "last_image": when, "closed": when, "since": when,
        "state": "delivered" if delivery["state"] == "delivered" else "in_delivery",
    }  # fmt: skip
    yield "arrival_association", {"arrival": arrival, "association": association}
    yield "decision", rows["decision"] | {"id": decision, "arrival": arrival, "time": when}
    yield "delivery", rows["delivery"] | {
        "id": rows["delivery"]["id"] + number, "arrival": arrival, "decision": decision, "images": images,
        "progress": images, "created": when, "finished": when, "due": when, **delivery,
    }  # fmt: skip
    folder = folder_of_day(when, key)
    for position, receipt in enumerate(sorted(uuid.uuid4().bytes for _ in range(images)), 1):
        file = f"{folder}/{receipt.hex()}.dcm"
        add(file)
        yield "image", rows["image"] | {
            "receipt": receipt, "arrival": arrival, "position": position, "association": association, "file": file,
            "sop_uid": f"{one}.{position}", "stored": when,
        }  # fmt: skip


class Files:
    """Names in the images folder, most of them links."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "spool" / "images"
        self._base: Path | None = None
        self._links = 0
        self._made: set[str] = set()

    def add(self, file: str) -> None:
        """One more image file."""
        path = self._folder / file
        if str(path.parent) not in self._made:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made = {str(path.parent)}
        if self._base is None or self._links == _LINKS:
            path.write_bytes(bytes(1024))
            self._base, self._links = path, 0
        else:
            os.link(self._base, path)
            self._links += 1
