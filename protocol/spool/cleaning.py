"""Deleting: first a durable mark that nothing needs the arrival any more, then the files, later the rows.
It never removes a file without that mark, and never judges when: the cleaner hands in the times.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from protocol.fsops import FsOps
from protocol.spool.database import Database
from protocol.spool.durable import DurableNames
from protocol.spool.places import Places
from protocol.spool.transaction import Transaction
from protocol.states import ARRIVAL_DELETABLE
from protocol.wire.events import ArrivalDeleted


@dataclass(frozen=True)
class Retention:
    """An arrival may go if it is in its final state since before these times (seconds UTC); None keeps for ever."""

    delivered_before: float | None
    discarded_before: float | None
    quarantined_before: float | None = None


PURGED_AT_ONCE = 500  # rows; the write lock is to be held for about 10 ms at most

# A file whose copy is still in the database has its own sync to come: a power cut could bring back half of it.
_STILL_NEEDED = (
    "(EXISTS (SELECT 1 FROM delivery d WHERE d.arrival = arrival.id AND d.state NOT IN ('delivered', 'cancelled'))"
    " OR EXISTS (SELECT 1 FROM unsynced u WHERE u.arrival = arrival.id)"
    " OR EXISTS (SELECT 1 FROM study_link l WHERE l.arrival = arrival.id AND l.counts = 1 AND l.applied = 0))"
)
# Kept by a storage commitment until a target has it; the spool holds such an arrival, this is the second lock on the door.
_PROMISED = "(arrival.state <> 'delivered' AND EXISTS (SELECT 1 FROM promise p WHERE p.arrival = arrival.id))"


class Cleaning:
    """The cleaner's part of the spool."""

    def __init__(self, database: Database, places: Places, fs: FsOps) -> None:
        self._db, self._places, self._fs = database, places, fs
        self._names = DurableNames(fs, places.images, sync=database.full)

    def deletable(self, retention: Retention, limit: int = 100) -> list[int]:
        """Arrivals that retention lets go, those longest in their final state first."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT id, since FROM (SELECT id, since FROM arrival WHERE state = 'delivered' AND since < :delivered"
                " ORDER BY since LIMIT :limit) UNION ALL SELECT id, since FROM (SELECT id, since FROM arrival"
                " WHERE state = 'discarded' AND since < :discarded ORDER BY since LIMIT :limit) ORDER BY since LIMIT :limit",
                {**_cutoffs(retention), "limit": limit},
            ).fetchall()
        return [row["id"] for row in rows]

    def mark(self, id: int, retention: Retention) -> bool:
        """Mark one arrival deleted, if it still may go: looked at again inside the transaction. False if it may not."""
        with self._db.write() as tx:
            before = tx.one("SELECT * FROM arrival WHERE id = ?", (id,))
            if before is None or before["state"] not in ARRIVAL_DELETABLE:
                return False
            row = tx.one(
                "UPDATE arrival SET state = 'deleted', since = :now, reason = state WHERE id = :id AND"
                " ((state = 'delivered' AND since < :delivered) OR (state = 'discarded' AND since < :discarded))"
                f" AND NOT {_STILL_NEEDED} AND NOT {_PROMISED} RETURNING *",
                {**_cutoffs(retention), "id": id, "now": tx.now},
            )
            if row is None:
                return False
            tx.add("deleted", row["images"])
            policy = f"{before['state']} and older than its retention"
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

    def remove_files(self, id: int) -> int:
        """Unlink the files of a marked arrival, then say so; how many files there were. Repeatable."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT i.file FROM image i JOIN arrival a ON a.id = i.arrival WHERE a.id = ? AND a.state = 'deleted'",
                (id,),
            ).fetchall()
        if not self._db.full:
            self._db.barrier()  # a power cut must not take the mark back once the files are gone
        removed, folders = 0, set()
        for row in rows:
            path = self._places.images / row["file"]
            folders.add(PurePosixPath(row["file"]).parent)
            try:
                self._fs.unlink(path)
                removed += 1
            except FileNotFoundError:
                continue
        for folder in folders:
            self._tidy(str(folder))
            # Otherwise a power cut brings files back whose arrival says that they are gone, and they stay for ever.
            self._names.settle_removed(self._places.images / folder)
        with self._db.write() as tx:
            tx.execute("UPDATE arrival SET files = 0 WHERE id = ? AND state = 'deleted'", (id,))
        return removed

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

    def expired_quarantine(self, retention: Retention) -> int:
        """Let go of quarantined objects older than their retention (if one is set); how many."""
        if retention.quarantined_before is None:
            return 0
        with self._db.write() as tx:
            rows = tx.all(
                "SELECT receipt FROM quarantine WHERE state = 'kept' AND stored < ? LIMIT 100",
                (retention.quarantined_before,),
            )
            tx.many("UPDATE quarantine SET state = 'deleted' WHERE receipt = ?", [(row["receipt"],) for row in rows])
            tx.add("deleted", len(rows))
        if rows and not self._db.full:
            self._db.barrier()  # as with arrivals: the row must not come back without its file
        for row in rows:
            self._unlink_quarantined(row["receipt"].hex())
        return len(rows)

    def finish_quarantine(self) -> int:
        """Remove quarantined files whose row was let go before a crash; how many objects."""
        there = {name.removesuffix(".json") for name in self._fs.listdir(self._places.quarantine)}
        with self._db.read() as connection:
            rows = connection.execute("SELECT receipt FROM quarantine WHERE state = 'deleted'").fetchall()
        left = sorted(there & {row["receipt"].hex() for row in rows})
        for receipt in left:
            self._unlink_quarantined(receipt)
        return len(left)

    def _unlink_quarantined(self, receipt: str) -> None:
        for name in (receipt, receipt + ".json"):
            try:
                self._fs.unlink(self._places.quarantine / name)
            except FileNotFoundError:
                continue

    def purge(self, before: float, limit: int = PURGED_AT_ONCE) -> int:
        """Remove up to `limit` rows of images of arrivals deleted before `before` (seconds UTC), and those of the arrivals
        when none is left; how many rows. The ledger has them.
        """
        with self._db.write() as tx:
            arrivals = tx.all(
                "SELECT id FROM arrival WHERE state = 'deleted' AND files = 0 AND since < ? ORDER BY since LIMIT 20",
                (before,),
            )
            removed = 0
            for row in arrivals:
                if removed >= limit:
                    break
                removed += self._purge_one(tx, row, limit - removed)
        return removed

    def purge_records(self, before: float, limit: int = PURGED_AT_ONCE) -> int:
        """Remove associations that no arrival names any more, answered commands, let-go quarantine rows, what targets were
        last sent, and reported commitments that ended before `before` (seconds UTC), at most `limit` of each; how many rows.
        The ledger has them.
        """
        statements = (
            "DELETE FROM association WHERE id IN (SELECT id FROM association s WHERE state <> 'open' AND closed < ?"
            " AND NOT EXISTS (SELECT 1 FROM arrival_association x WHERE x.association = s.id) LIMIT ?)",
            "DELETE FROM command WHERE id IN (SELECT id FROM command WHERE state <> 'new' AND answered < ? LIMIT ?)",
            "DELETE FROM quarantine WHERE receipt IN"
            " (SELECT receipt FROM quarantine WHERE state = 'deleted' AND stored < ? LIMIT ?)",
            "DELETE FROM study_wait WHERE id IN (SELECT id FROM study_wait w WHERE state = 'done' AND ended < ?"
            " AND NOT EXISTS (SELECT 1 FROM study_link l WHERE l.wait = w.id) LIMIT ?)",
            "DELETE FROM target_image WHERE key IN (SELECT key FROM target_image WHERE time < ? LIMIT ?)",
            "DELETE FROM commitment WHERE id IN (SELECT id FROM commitment WHERE ended < ? AND state = 'reported' LIMIT ?)",
        )
        with self._db.write() as tx:
            return sum(tx.changed(statement, (before, limit)) for statement in statements)

    def _purge_one(self, tx: Transaction, row: Any, limit: int) -> int:
        """A part of a large arrival: its counters follow, so that the books balance between two parts."""
        id = row["id"]
        gone = tx.all(
            "DELETE FROM image WHERE receipt IN (SELECT receipt FROM image WHERE arrival = ? LIMIT ?)"
            " RETURNING bytes, superseded",
            (id, limit),
        )
        tx.add("purged", len(gone))
        tx.add("deleted", -len(gone))
        if len(gone) == limit:
            tx.execute(
                "UPDATE arrival SET images = images - ?, superseded = superseded - ?, bytes = bytes - ? WHERE id = ?",
                (len(gone), sum(image["superseded"] is not None for image in gone), sum(i["bytes"] for i in gone), id),
            )
            return len(gone)
        for table in ("delivery_image", "confirmation"):
            tx.execute(f"DELETE FROM {table} WHERE delivery IN (SELECT id FROM delivery WHERE arrival = ?)", (id,))
        for table, column in (("delivery", "arrival"), ("decision", "arrival"), ("arrival_association", "arrival"),
                              ("promise", "arrival"), ("study_link", "arrival"), ("arrival", "id")):  # fmt: skip
            tx.execute(f"DELETE FROM {table} WHERE {column} = ?", (id,))
        return len(gone) + 1


def _cutoffs(retention: Retention) -> dict[str, float]:
    return {
        "delivered": -1.0 if retention.delivered_before is None else retention.delivered_before,
        "discarded": -1.0 if retention.discarded_before is None else retention.discarded_before,
    }
