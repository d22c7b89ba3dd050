"""Deleting: first a durable mark that nothing needs the arrival any more, then the files.
It never removes a file without that mark, and never judges when: the cleaner hands in the times.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from protocol.fsops import FsOps
from protocol.records import record
from protocol.spool.database import Database
from protocol.spool.durable import DurableNames
from protocol.spool.places import ENDINGS, Places, is_day, is_series
from protocol.spool.retention import Retention
from protocol.spool.transaction import Transaction
from protocol.states import ARRIVAL_DELETABLE
from protocol.wire.events import ArrivalDeleted

__all__ = ["Candidate", "Cleaning", "Part", "Retention"]

# Series that a study rule may still send on: those that wait for it, and all that get an answer which is there already.
TO_BE_TOLD = (
    "study_link l JOIN study_wait w ON w.id = l.wait WHERE l.applied = 0 AND (l.counts = 1 OR w.state = 'deciding')"
)
# A file whose copy is still in the database has its own sync to come: a power cut could bring back half of it.
STILL_NEEDED = (
    "(EXISTS (SELECT 1 FROM delivery d WHERE d.arrival = arrival.id AND d.state NOT IN ('delivered', 'cancelled'))"
    " OR EXISTS (SELECT 1 FROM unsynced u WHERE u.arrival = arrival.id)"
    f" OR EXISTS (SELECT 1 FROM {TO_BE_TOLD} AND l.arrival = arrival.id))"
)
# Kept by a storage commitment until a target has it; the spool holds such an arrival, this is the second lock on the door.
PROMISED = "(arrival.state <> 'delivered' AND EXISTS (SELECT 1 FROM promise p WHERE p.arrival = arrival.id))"


@dataclass(frozen=True, order=True)
class Candidate:
    """An arrival whose retention is over: in its final state since then (seconds UTC)."""

    since: float
    id: int


@record
class Part:
    """Files of a marked arrival that went; `upto` is the position to go on behind, None if none is left."""

    removed: int
    upto: int | None


BEGINNING = Candidate(float("-inf"), 0)


class Cleaning:
    """The cleaner's part of the spool."""

    def __init__(self, database: Database, places: Places, fs: FsOps) -> None:
        self._db, self._places, self._fs = database, places, fs
        self._names = DurableNames(fs, places.images, sync=True)  # relaxed, too: nobody looks for these files again

    # ---- arrivals -------------------------------------------------------------------------------------------------
    def deletable(self, retention: Retention, limit: int = 100) -> list[int]:
        """Arrivals that retention lets go, those longest in their final state first."""
        return [one.id for one in self.candidates(retention, limit)]

    def candidates(self, retention: Retention, limit: int = 100, after: Candidate = BEGINNING) -> list[Candidate]:
        """As `deletable`, with their times; behind `after`, so that one that is needed all the same hides no other."""
        found: list[Candidate] = []
        with self._db.read() as connection:
            for state in sorted(ARRIVAL_DELETABLE):
                for reached in reached_by(connection, state):
                    before = retention.before(state, reached.split())
                    if before is None:
                        continue
                    rows = connection.execute(
                        f"SELECT since, id FROM arrival INDEXED BY arrival_finished WHERE state = '{state}' AND reached = ?"
                        " AND since < ? AND since >= ? AND (since > ? OR id > ?) AND (keep_until IS NULL OR keep_until <= ?)"
                        " ORDER BY since, id LIMIT ?",
                        (reached, before, after.since, after.since, after.id, retention.at, limit),
                    ).fetchall()
                    found += [Candidate(row["since"], row["id"]) for row in rows]
        return sorted(found)[:limit]

    def mark(self, id: int, retention: Retention, policy: str = "") -> bool:
        """Mark one arrival deleted, if it still may go: looked at again inside the transaction. False if it may not.

        `policy` is told as the reason, if it is not the retention.
        """
        with self._db.write() as tx:
            row = tx.one("SELECT * FROM arrival WHERE id = ?", (id,))
            if row is None or row["state"] not in ARRIVAL_DELETABLE:
                return False
            reached = _delivered_to(tx, id)
            before = retention.before(row["state"], reached)
            wanted = row["keep_until"] is not None and row["keep_until"] > retention.at
            if before is None or row["since"] >= before or wanted:
                return False
            marked = tx.changed(
                f"UPDATE arrival SET state = 'deleted', since = ?, reason = state WHERE id = ? AND NOT {STILL_NEEDED}"
                f" AND NOT {PROMISED}",
                (tx.now, id),
            )
            if not marked:
                return False
            tx.add("deleted", row["images"])
            policy = policy or f"{row['state']} and older than its retention"
            tx.emit(ArrivalDeleted(id, row["calling_ae"], row["images"], row["bytes"], policy), correlation=id)
        return True

    def marked(self, limit: int = 100, after: int = 0) -> list[int]:
        """Arrivals behind `after` that are marked and still have files (also after a crash in the middle)."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT id FROM arrival INDEXED BY arrival_unlink WHERE state = 'deleted' AND files = 1 AND id > ?"
                " ORDER BY id LIMIT ?",
                (after, limit),
            )
            return [row["id"] for row in rows.fetchall()]

    # ---- files ----------------------------------------------------------------------------------------------------
    def remove_files(self, id: int) -> int:
        """Unlink all files of a marked arrival, then say so; how many there were. Repeatable."""
        return self.remove_part(id).removed

    def remove_part(self, id: int, after: int = 0, limit: int = -1) -> Part:
        """Unlink up to `limit` files of a marked arrival, those behind position `after`; with the last one the arrival is
        done. Where somebody dies it begins anew: what is gone counts for nothing.
        """
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT i.file, i.position FROM image i JOIN arrival a ON a.id = i.arrival WHERE a.id = ?"
                " AND a.state = 'deleted' AND i.position > ? ORDER BY i.position LIMIT ?",
                (id, after, limit),
            ).fetchall()
        if not self._db.full:
            self._db.barrier()  # a power cut must not take the mark back once the files are gone
        removed, folders = 0, set()
        for row in rows:
            folders.add(PurePosixPath(row["file"]).parent)
            try:
                self._fs.unlink(self._places.images / row["file"])
                removed += 1
            except FileNotFoundError:
                continue
        for folder in folders:
            self._tidy(str(folder))
            # Otherwise a power cut brings files back whose arrival says that they are gone, and they stay for ever.
            self._names.settle_removed(self._places.images / folder)
        if 0 <= limit <= len(rows):
            return Part(removed, rows[-1]["position"] if rows else after)
        with self._db.write() as tx:
            tx.execute("UPDATE arrival SET files = 0 WHERE id = ? AND state = 'deleted'", (id,))
        return Part(removed, None)

    def _tidy(self, folder: str) -> None:
        """Remove an emptied series folder and day folder; one that is in use stays."""
        path = self._places.images / folder
        for place in (path, path.parent):
            try:
                if self._fs.listdir(place):
                    return
                self._fs.rmdir(place)
            except OSError:
                return

    def days(self) -> list[str]:
        """Our folders of days (UTC), oldest first."""
        return sorted(filter(is_day, self._fs.listdir(self._places.images)))

    def tidy_day(self, day: str, limit: int = 1000) -> int:
        """Remove up to `limit` empty folders of series in the folder of a day, and that one if it is empty; how many.

        A file moved to quarantine leaves them behind. Files that a dead receiver made beforehand and never filled go as
        well, where nothing else is left: for a day that nobody writes into any more. Only `rmdir` judges what is empty: who
        is about to use a folder makes it again.
        """
        removed = 0
        try:
            for name in filter(is_series, self._fs.listdir(self._places.images / day)):
                if removed >= limit:
                    return removed
                removed += self._rmdir(f"{day}/{name}")
        except (
            OSError
        ):  # gone meanwhile, a file of somebody else's, or no right to look: it must not keep the other days
            return removed
        return removed + self._rmdir(day)

    def _rmdir(self, folder: str) -> int:
        path = self._places.images / folder
        try:
            self._remove_blanks(path)
            self._fs.rmdir(path)
        except OSError:
            return 0
        return 1

    def _remove_blanks(self, folder: Path) -> None:
        """Remove the files of a folder if all of them are image files without a byte."""
        names = self._fs.listdir(folder)
        if all(name.endswith(ENDINGS) and not self._fs.size(folder / name) for name in names):
            for name in names:
                self._fs.unlink(folder / name)


def reached_by(connection: sqlite3.Connection, state: str) -> list[str]:
    """The different sets of targets that arrivals in this final state reached: one step in the index for each."""
    assert state in ARRIVAL_DELETABLE
    one = f"SELECT min(reached) FROM arrival INDEXED BY arrival_finished WHERE state = '{state}'"
    rows = connection.execute(
        f"WITH RECURSIVE kind(reached) AS (SELECT * FROM ({one}) UNION ALL SELECT ({one} AND reached > kind.reached)"
        " FROM kind WHERE kind.reached IS NOT NULL) SELECT reached FROM kind WHERE reached IS NOT NULL"
    ).fetchall()
    return [row[0] for row in rows]


def _delivered_to(tx: Transaction, arrival: int) -> list[str]:
    rows = tx.all("SELECT DISTINCT target FROM delivery WHERE arrival = ? AND state = 'delivered'", (arrival,))
    return [row[0] for row in rows]
