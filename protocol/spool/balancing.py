"""Whether the rows of arrivals, images and deliveries fit together, a page of arrivals at a time, and which images are
concerned if they do not. It only reads, each page in one consistent look.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from protocol.errors import DecodeError
from protocol.fsops import FsOps
from protocol.records import record
from protocol.spool.database import Database
from protocol.spool.outbox import Cursor, Outbox
from protocol.spool.places import Places, is_day
from protocol.wire.codec import unpack_stored
from protocol.wire.events import ImageReceived

PAGE = 100  # arrivals in one look
NAMED = 20  # images that a problem names at most
_BEYOND = 1 << 62


@record
class Problem:
    """Something that does not add up: in words, with the arrival (0: none) and the images concerned (hexadecimal)."""

    text: str
    arrival: int = 0
    receipts: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """All of it in one line."""
        more = f": {', '.join(self.receipts)}" if self.receipts else ""
        return self.text + more


class Balancing:
    """See the module."""

    def __init__(self, database: Database, places: Places, fs: FsOps) -> None:
        self._db, self._places, self._fs = database, places, fs
        self._outbox = Outbox(database)

    def page(self, after: int = 0, limit: int = PAGE) -> tuple[list[Problem], int]:
        """What is wrong with the next arrivals behind this id, and the last id looked at; 0: there are no more."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT * FROM arrival WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
            ).fetchall()
            last = rows[-1]["id"] if len(rows) == limit else 0
            span = (after, last or _BEYOND)
            images = connection.execute(
                "SELECT arrival, count(*) AS n, sum(superseded IS NOT NULL) AS superseded, sum(bytes) AS bytes FROM image"
                " WHERE arrival > ? AND arrival <= ? GROUP BY arrival", span).fetchall()  # fmt: skip
            deliveries = connection.execute(
                "SELECT arrival, sum(state NOT IN ('delivered', 'cancelled')) AS unfinished, sum(state = 'delivered') AS delivered"
                " FROM delivery WHERE arrival > ? AND arrival <= ? GROUP BY arrival", span).fetchall()  # fmt: skip
        found = {row["arrival"]: row for row in images}
        counted = {row["arrival"]: (int(row["unfinished"]), int(row["delivered"])) for row in deliveries}
        problems = [problem for row in rows for problem in self._of(row, found.pop(row["id"], None), counted)]
        return problems + [self._orphans(arrival) for arrival in found], last

    def arrival(self, id: int) -> list[Problem]:
        """What is wrong with one arrival."""
        return [problem for problem in self.page(id - 1, 1)[0] if problem.arrival == id]

    def all(self) -> Iterator[Problem]:
        """Page after page."""
        after = 0
        while True:
            problems, after = self.page(after)
            yield from problems
            if not after:
                return

    def _of(self, row: Any, images: Any, deliveries: dict[int, tuple[int, int]]) -> Iterator[Problem]:
        n, superseded, size = (images["n"], images["superseded"], images["bytes"]) if images else (0, 0, 0)
        if n < row["images"]:
            text = f"arrival {row['id']}: {row['images']} images were received, there are rows of {n}"
            yield Problem(text, row["id"], self._without_row(row))
        elif (n, superseded, size) != (row["images"], row["superseded"], row["bytes"]):
            text = f"arrival {row['id']}: its counters are not those of its images"
            yield Problem(text, row["id"], self._altered(row["id"]))
        (open_ones, delivered), state = deliveries.get(row["id"], (None, 0)), row["state"]
        if state == "delivered" and not delivered:  # the cleaner would believe it
            yield Problem(f"arrival {row['id']} is delivered, and no delivery of it is", row["id"])
        if state == "in_delivery" and open_ones is None:
            yield Problem(f"arrival {row['id']} is in delivery without any delivery", row["id"])
        elif (state == "in_delivery" and not open_ones) or (
            state in ("delivered", "discarded", "deleted") and open_ones
        ):
            yield Problem(f"arrival {row['id']} is {state} with {open_ones} unfinished deliveries", row["id"])

    def _orphans(self, arrival: int) -> Problem:
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT receipt FROM image WHERE arrival = ? LIMIT ?", (arrival, NAMED)
            ).fetchall()
        return Problem(f"images belong to arrival {arrival}, which does not exist", arrival, _hex(rows))

    # ---- which images -------------------------------------------------------------------------------------------------
    def _without_row(self, row: Any) -> tuple[str, ...]:
        """Receipts that the arrival's events or files know and its rows do not."""
        known = self._told(row) | self._filed(row)
        with self._db.read() as connection:
            missing = [
                one
                for one in sorted(known)
                if not connection.execute("SELECT 1 FROM image WHERE receipt = ?", (bytes.fromhex(one),)).fetchone()
            ]
        return tuple(missing[:NAMED])

    def _told(self, row: Any) -> set[str]:
        """What the outbox remembers of it."""
        at, found = self._outbox.since(row["opened"] - 1), set[str]()
        while events := self._outbox.raw(at):
            at = Cursor(events[-1].epoch, events[-1].seq)
            for event in events:
                if event.type == ImageReceived.TYPE:
                    found |= _receipt_of(event.body, row["id"])
            if events[-1].time > row["last_image"] + 1:
                break
        return found

    def _filed(self, row: Any) -> set[str]:
        """Files in its folders; those of other arrivals of the series have rows.

        Of any day that is there: a clock that was wrong puts files into the folder of another day than the row says (days.py).
        """
        days = [day for day in self._names(self._places.images) if is_day(day)]
        names = [name for day in days for name in self._list(f"{day}/{row['series_key'].hex()}")]
        return {name.removesuffix(".dcm") for name in names if name.endswith(".dcm") and len(name) == 36}

    def _list(self, folder: str) -> list[str]:
        """Names of its files that are not empty: those were made beforehand, for images to come."""
        path, found = self._places.images / folder, list[str]()
        for name in self._names(path):
            with suppress(FileNotFoundError):
                found += [name] if self._fs.size(path / name) else []
        return found

    def _names(self, path: Path) -> list[str]:
        with suppress(FileNotFoundError, NotADirectoryError):
            return list(self._fs.listdir(path))
        return []

    def _altered(self, arrival: int) -> tuple[str, ...]:
        """Images whose row does not fit their file, or else those that are marked superseded by nothing that is here."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT receipt, file, bytes, offset, superseded FROM image WHERE arrival = ?", (arrival,)
            ).fetchall()
            odd = [row for row in rows if row["superseded"] is not None and not connection.execute(
                "SELECT 1 FROM image WHERE receipt = ?", (row["superseded"],)).fetchone()]  # fmt: skip
        return _hex([row for row in rows if self._misfits(row)] or odd)

    def _misfits(self, row: Any) -> bool:
        try:
            return bool(self._fs.size(self._places.images / row["file"]) != row["bytes"] + row["offset"])
        except FileNotFoundError:
            return False  # deleted ones have none


def _receipt_of(body: bytes, arrival: int) -> set[str]:
    try:
        data = unpack_stored(body)
    except DecodeError:
        return set()
    return {str(data["receipt"])} if data.get("arrival") == arrival and "receipt" in data else set()


def _hex(rows: list[Any]) -> tuple[str, ...]:
    return tuple(row["receipt"].hex() for row in rows[:NAMED])
