"""Where every image is: the figures that pages show and the balance that `scanpost doctor` proves.
It only reads; an image has the state of its arrival, superseded and quarantined ones are counted apart.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from protocol.fsops import FsOps
from protocol.records import record
from protocol.spool import tallying
from protocol.spool.balancing import Balancing, Problem
from protocol.spool.comparing import digest_of
from protocol.spool.database import Database
from protocol.spool.places import Places
from protocol.spool.tallying import Tally
from protocol.states import ArrivalState, DeliveryState

MOST_PROBLEMS = 20
IMAGE_STATES = ("open", "waiting", "in_delivery", "delivered", "discarded", "held", "quarantined", "deleted")


@record
class Figures:
    """Counts of images, arrivals and deliveries by state. received = the sum of all image states (see `missing`)."""

    received: int
    duplicates: int
    refused: int
    images: dict[str, int]  # open, waiting, in_delivery, delivered, discarded, held, quarantined, deleted
    arrivals: dict[str, int]
    deliveries: dict[str, int]

    @property
    def missing(self) -> int:
        """Images that were received and are in no state; 0 unless something is badly wrong."""
        return self.received - sum(self.images.values())


@record
class Sheet:
    """Images by state: of the node, of each source and of each day (UTC) that still has rows. `purged`: of the deleted ones
    so many have no rows any more, so no source and no day.
    """

    figures: Figures
    sources: dict[str, dict[str, int]]
    days: dict[str, dict[str, int]]
    purged: int


class ArrivalFigures(NamedTuple):
    """An arrival as the ledger is compared with; `images` are those that have rows, superseded ones too."""

    id: int
    state: str
    images: int


class DeliveryFigures(NamedTuple):
    """A delivery as the ledger is compared with."""

    id: int
    state: str


class Accounting:
    """Sums over the tables."""

    def __init__(self, database: Database, places: Places, fs: FsOps) -> None:
        self._db, self._places, self._fs = database, places, fs
        self.balancing = Balancing(database, places, fs)

    def figures(self) -> Figures:
        """One consistent look, out of what the database keeps count of itself."""
        return self._figures(tallying.kept)

    def counted(self) -> Figures:
        """The same, every row counted: a million take seconds, so never for a page."""
        return self._figures(tallying.counted)

    def _figures(self, look: Callable[[sqlite3.Connection], Tally]) -> Figures:
        with self._db.read() as connection:
            totals = {row[0]: int(row[1]) for row in connection.execute("SELECT name, value FROM total")}
            tally, opened = look(connection), tallying.open_images(connection)
            kept = connection.execute("SELECT count(*) FROM quarantine WHERE state = 'kept'").fetchone()[0]
        amounts = {**tally.arrivals, "open": opened}
        here = {state: amount for state, amount in amounts.items() if state != ArrivalState.DELETED}
        by_state = {state: amount.images - amount.superseded for state, amount in here.items()}
        superseded = sum(amount.superseded for amount in here.values())
        images = {
            "open": by_state.get("open", 0) + by_state.get("closed", 0),
            "waiting": by_state.get("waiting", 0),
            "in_delivery": by_state.get("in_delivery", 0),
            "delivered": by_state.get("delivered", 0),
            "discarded": by_state.get("discarded", 0),
            "held": by_state.get("held", 0),
            "quarantined": int(kept) + superseded,
            "deleted": totals["deleted"] + totals["purged"],
        }
        arrivals = {state.value: 0 for state in ArrivalState} | {state: one.count for state, one in amounts.items()}
        counted = {state.value: 0 for state in DeliveryState} | tally.by_state()
        return Figures(totals["received"], totals["duplicates"], totals["refused"], images, arrivals, counted)

    def balance(self, *, files: bool = False, contents: bool = False) -> list[str]:
        """Everything that does not add up, in words; [] is healthy. See `problems`."""
        return [problem.line for problem in self.problems(files=files, contents=contents)]

    def problems(self, *, files: bool = False, contents: bool = False, limit: int = MOST_PROBLEMS) -> list[Problem]:
        """Everything that does not add up, with the images concerned, at most `limit` of each kind; [] is healthy.

        `files` also looks at each file's size, `contents` reads each and holds it against the digest of what was received.
        """
        found = self.totals() + self.recounted()
        found += islice(self.balancing.all(), limit)
        return found + list(islice(self._files(contents), limit)) if files or contents else found

    def totals(self) -> list[Problem]:
        """Whether all images received are in some state: two sums, so it may be asked every minute."""
        return _unaccounted(self.figures())

    def recounted(self) -> list[Problem]:
        """Whether the figures are those of the rows, every row counted: for doctor and once in a long while."""
        with self._db.read() as connection:
            kept, counted = tallying.kept(connection), tallying.counted(connection)
        if kept == counted:
            return []
        return [Problem("the figures kept are not those of the rows; `scanpost spool recount` counts anew")]

    def sheet(self, days: int = 14) -> Sheet:
        """The balance sheet: where the images of each source, and of each of the last days that brought some, are now."""
        with self._db.read() as connection:
            sources = connection.execute(
                "SELECT calling_ae, state, sum(images - superseded), sum(superseded) FROM arrival GROUP BY calling_ae, state"
                " UNION ALL SELECT calling_ae, 'quarantined', count(*), 0 FROM quarantine WHERE state = 'kept' GROUP BY calling_ae"
            ).fetchall()
            by_day = connection.execute(
                "SELECT date(opened, 'unixepoch'), state, sum(images - superseded), sum(superseded) FROM arrival GROUP BY 1, state"
                " UNION ALL SELECT date(stored, 'unixepoch'), 'quarantined', count(*), 0 FROM quarantine"
                " WHERE state = 'kept' GROUP BY 1"
            ).fetchall()
            purged = connection.execute("SELECT value FROM total WHERE name = 'purged'").fetchone()[0]
        newest = dict(sorted(_states(by_day).items(), reverse=True)[:days])
        return Sheet(self.figures(), _states(sources), newest, int(purged))

    def receipts(self, after: str = "", limit: int = 500) -> list[str]:
        """Receipts of images in hexadecimal, in order, a page at a time; for comparing with the ledger."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT receipt FROM image WHERE receipt > ? ORDER BY receipt LIMIT ?", (bytes.fromhex(after), limit)
            ).fetchall()
        return [row[0].hex() for row in rows]

    def arrivals(self, after: int = 0, limit: int = 500) -> list[ArrivalFigures]:
        """Arrivals with their state and how many images have rows, in the order of ids, a page at a time."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT id, state, (SELECT count(*) FROM image WHERE arrival = a.id) FROM arrival a WHERE id > ?"
                " ORDER BY id LIMIT ?",
                (after, limit),
            ).fetchall()
        return [ArrivalFigures(*row) for row in rows]

    def deliveries(self, after: int = 0, limit: int = 500) -> list[DeliveryFigures]:
        """Deliveries with their state, in the order of ids, a page at a time."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT id, state FROM delivery WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
            ).fetchall()
        return [DeliveryFigures(*row) for row in rows]

    def known(self, ids: Sequence[int]) -> set[int]:
        """Those of these arrivals that are here."""
        with self._db.read() as connection:
            return {id for id in ids if connection.execute("SELECT 1 FROM arrival WHERE id = ?", (id,)).fetchone()}

    def here(self, receipts: Sequence[str]) -> set[str]:
        """Those of these images that have a row."""
        with self._db.read() as connection:
            return {
                one
                for one in receipts
                if connection.execute("SELECT 1 FROM image WHERE receipt = ?", (bytes.fromhex(one),)).fetchone()
            }

    def _files(self, contents: bool) -> Iterator[Problem]:
        """Every image that is not deleted has its file, as long as it was, and with `contents` the bytes that it had."""
        after: Any = b""
        while True:
            with self._db.read() as connection:
                rows = connection.execute(
                    "SELECT i.receipt, i.file, i.bytes, i.offset, i.arrival, i.digest FROM image i JOIN arrival a ON a.id = i.arrival"
                    " WHERE a.state <> 'deleted' AND i.receipt > ? ORDER BY i.receipt LIMIT 500", (after,)).fetchall()  # fmt: skip
            if not rows:
                break
            for row in rows:
                if text := self._file_problem(row, contents):
                    yield Problem(text, row["arrival"])
            after = rows[-1]["receipt"]
        with self._db.read() as connection:
            kept = connection.execute("SELECT receipt FROM quarantine WHERE state = 'kept'").fetchall()
        for row in kept:
            if not self._fs.exists(self._places.quarantine / row["receipt"].hex()) and self._is_kept(row["receipt"]):
                yield Problem(f"quarantined object {row['receipt'].hex()} has no file")

    def _is_kept(self, receipt: bytes) -> bool:
        """Still: it may have been let go since its row was read."""
        with self._db.read() as connection:
            row = connection.execute("SELECT state FROM quarantine WHERE receipt = ?", (receipt,)).fetchone()
        return row is not None and row["state"] == "kept"

    def _file_problem(self, row: Any, contents: bool) -> str:
        path, image = self._places.images / row["file"], f"image {row['receipt'].hex()} of arrival {row['arrival']}"
        try:
            size = self._fs.size(path)
            if size != row["bytes"] + row["offset"]:
                return f"{image} has {size} bytes instead of {row['bytes'] + row['offset']}"
            if contents and digest_of(self._fs, path, row["offset"])[1] != row["digest"]:
                return f"{image} has other bytes than were received"
        except FileNotFoundError:
            # The cleaner may have marked it since it was read here.
            return "" if self._is_deleted(row["arrival"]) else f"{image} has no file"
        except OSError as exc:
            return f"{image} cannot be read: {exc.strerror}"
        return ""

    def _is_deleted(self, arrival: int) -> bool:
        with self._db.read() as connection:
            row = connection.execute("SELECT state FROM arrival WHERE id = ?", (arrival,)).fetchone()
        return row is None or row["state"] == ArrivalState.DELETED


def _unaccounted(figures: Figures) -> list[Problem]:
    if not figures.missing:
        return []
    accounted = sum(figures.images.values())
    return [Problem(f"{figures.received} images received, but {accounted} accounted for")]


def _states(rows: list[Any]) -> dict[str, dict[str, int]]:
    """{source or day: {state: images}} of rows (name, state of an arrival, images, superseded ones)."""
    found: dict[str, dict[str, int]] = {}
    for name, state, images, superseded in rows:
        states = found.setdefault(name, dict.fromkeys(IMAGE_STATES, 0))
        states["open" if state == "closed" else state] += int(images)
        if state != ArrivalState.DELETED:
            states["quarantined"] += int(superseded)
    return found
