"""Where every image is: the figures that pages show and the balance that `scanpost doctor` proves.
It only reads; an image has the state of its arrival, superseded and quarantined ones are counted apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protocol.fsops import FsOps
from protocol.spool.database import Database
from protocol.spool.places import Places
from protocol.states import ArrivalState, DeliveryState


@dataclass(frozen=True)
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


class Accounting:
    """Sums over the tables."""

    def __init__(self, database: Database, places: Places, fs: FsOps) -> None:
        self._db, self._places, self._fs = database, places, fs

    def figures(self) -> Figures:
        """One consistent look."""
        with self._db.read() as connection:
            totals = {row[0]: int(row[1]) for row in connection.execute("SELECT name, value FROM total")}
            rows = connection.execute(
                "SELECT state, count(*) AS arrivals, sum(images - superseded) AS images, sum(superseded) AS superseded"
                " FROM arrival NOT INDEXED GROUP BY state"  # in the order of the file: an index would jump to each row
            ).fetchall()
            kept = connection.execute("SELECT count(*) FROM quarantine WHERE state = 'kept'").fetchone()[0]
            deliveries = dict(connection.execute("SELECT state, count(*) FROM delivery GROUP BY state").fetchall())
        by_state = {row["state"]: int(row["images"]) for row in rows if row["state"] != ArrivalState.DELETED}
        superseded = sum(int(row["superseded"]) for row in rows if row["state"] != ArrivalState.DELETED)
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
        arrivals = {state.value: 0 for state in ArrivalState} | {row["state"]: int(row["arrivals"]) for row in rows}
        counted = {state.value: int(deliveries.get(state.value, 0)) for state in DeliveryState}
        return Figures(totals["received"], totals["duplicates"], totals["refused"], images, arrivals, counted)

    def balance(self, *, files: bool = False) -> list[str]:
        """Everything that does not add up, in words; [] is healthy. `files` also looks at each file's size."""
        figures = self.figures()
        problems = []
        if figures.missing:
            problems.append(f"{figures.received} images received, but {sum(figures.images.values())} accounted for")
        problems += self._counters() + self._states()
        if files:
            problems += self._files()
        return problems

    def receipts(self, after: str = "", limit: int = 500) -> list[str]:
        """Receipts of images in hexadecimal, in order, a page at a time; for comparing with the ledger."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT receipt FROM image WHERE receipt > ? ORDER BY receipt LIMIT ?", (bytes.fromhex(after), limit)
            ).fetchall()
        return [row[0].hex() for row in rows]

    def states(self, after: int = 0, limit: int = 500) -> dict[int, str]:
        """State of each arrival, in the order of ids, a page at a time."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT id, state FROM arrival WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
            ).fetchall()
        return {row[0]: row[1] for row in rows}

    def _counters(self) -> list[str]:
        """Counters of arrivals against their rows."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT a.id FROM arrival a LEFT JOIN (SELECT arrival, count(*) AS n, sum(superseded IS NOT NULL) AS s,"
                " sum(bytes) AS b FROM image GROUP BY arrival) i ON i.arrival = a.id"
                " WHERE a.images <> coalesce(i.n, 0) OR a.superseded <> coalesce(i.s, 0) OR a.bytes <> coalesce(i.b, 0) LIMIT 20"
            ).fetchall()
            lost = connection.execute(
                "SELECT count(*) FROM image WHERE arrival NOT IN (SELECT id FROM arrival)"
            ).fetchone()[0]
        problems = [f"arrival {row['id']}: its counters are not those of its images" for row in rows]
        return problems + ([f"{lost} images belong to no arrival"] if lost else [])

    def _states(self) -> list[str]:
        """States of arrivals against their deliveries."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT a.id, a.state, sum(d.state NOT IN ('delivered', 'cancelled')) AS unfinished"
                " FROM arrival a JOIN delivery d ON d.arrival = a.id GROUP BY a.id"
                " HAVING (a.state = 'in_delivery' AND unfinished = 0)"
                " OR (a.state IN ('delivered', 'discarded', 'deleted') AND unfinished > 0) LIMIT 20"
            ).fetchall()
            idle = connection.execute(
                "SELECT id FROM arrival WHERE state = 'in_delivery' AND id NOT IN (SELECT arrival FROM delivery) LIMIT 20"
            ).fetchall()
        problems = [
            f"arrival {row['id']} is {row['state']} with {row['unfinished']} unfinished deliveries" for row in rows
        ]
        return problems + [f"arrival {row['id']} is in delivery without any delivery" for row in idle]

    def _files(self) -> list[str]:
        """Every image that is not deleted has its file, as long as it was."""
        problems: list[str] = []
        after: Any = b""
        while True:
            with self._db.read() as connection:
                rows = connection.execute(
                    "SELECT i.receipt, i.file, i.bytes, i.offset, i.arrival FROM image i JOIN arrival a ON a.id = i.arrival"
                    " WHERE a.state <> 'deleted' AND i.receipt > ? ORDER BY i.receipt LIMIT 500", (after,)).fetchall()  # fmt: skip
            if not rows:
                break
            problems += [text for row in rows if (text := self._file_problem(row))]
            after = rows[-1]["receipt"]
        with self._db.read() as connection:
            kept = connection.execute("SELECT receipt FROM quarantine WHERE state = 'kept'").fetchall()
        problems += [
            f"quarantined object {row['receipt'].hex()} has no file"
            for row in kept
            if not self._fs.exists(self._places.quarantine / row["receipt"].hex())
        ]
        return problems

    def _file_problem(self, row: Any) -> str:
        try:
            size = self._fs.size(self._places.images / row["file"])
        except FileNotFoundError:
            return f"image {row['receipt'].hex()} of arrival {row['arrival']} has no file"
        if size != row["bytes"] + row["offset"]:
            return f"image {row['receipt'].hex()} of arrival {row['arrival']} has {size} bytes instead of {row['bytes'] + row['offset']}"
        return ""
