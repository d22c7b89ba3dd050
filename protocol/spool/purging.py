"""Rows that nobody needs any more: of arrivals deleted long ago, and of all that happened around them.
It never touches a row of what is unfinished or whose files are still there; the ledger has what goes.

Every table of the spool has its end here or where it is written: tests/spool/test_every_table_has_an_end.py lists them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from protocol.spool.database import Database
from protocol.spool.transaction import Transaction

AT_ONCE = 500  # rows; the write lock is to be held for about 10 ms at most


class Purging:
    """The cleaner's part of the spool that is about rows. Times are seconds UTC."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def arrivals(self, before: float, limit: int = AT_ONCE) -> int:
        """Remove up to `limit` rows of images of arrivals deleted before then, and those of the arrivals when none is
        left; how many rows.
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
                removed += purge_one(tx, row, limit - removed)
        return removed

    def records(self, before: float, limit: int = AT_ONCE) -> int:
        """Remove associations that no arrival names any more, answered commands, let-go quarantine rows, what targets were last
        sent, answers of study rules and commitments that ended before then, at most `limit` of each; how many rows.
        """
        statements = (
            "DELETE FROM association WHERE id IN (SELECT id FROM association s WHERE state <> 'open' AND closed < ?"
            " AND NOT EXISTS (SELECT 1 FROM arrival_association x WHERE x.association = s.id) LIMIT ?)",
            "DELETE FROM command WHERE id IN (SELECT id FROM command c WHERE state <> 'new' AND answered < ?"
            " AND NOT EXISTS (SELECT 1 FROM touched t WHERE t.command = c.id) LIMIT ?)",
            "DELETE FROM quarantine WHERE receipt IN"
            " (SELECT receipt FROM quarantine WHERE state = 'deleted' AND stored < ? LIMIT ?)",
            "DELETE FROM study_wait WHERE id IN (SELECT id FROM study_wait w WHERE state = 'done' AND ended < ?"
            " AND NOT EXISTS (SELECT 1 FROM study_link l WHERE l.wait = w.id) LIMIT ?)",
            "DELETE FROM target_image WHERE key IN (SELECT key FROM target_image WHERE time < ? LIMIT ?)",
            "DELETE FROM commitment WHERE id IN (SELECT id FROM commitment WHERE ended < ?"
            " AND state IN ('reported', 'given_up') LIMIT ?)",
        )
        with self._db.write() as tx:
            return sum(tx.changed(statement, (before, limit)) for statement in statements)

    def headers(self, before: float, limit: int = AT_ONCE) -> int:
        """Forget the header values of arrivals deleted before then, at most `limit` images at once; how many rows."""
        with self._db.write() as tx:
            arrivals = tx.all(
                "SELECT id FROM arrival INDEXED BY arrival_headers WHERE state = 'deleted' AND header IS NOT NULL"
                " AND since < ? ORDER BY since LIMIT 20",
                (before,),
            )
            forgotten = 0
            for row in arrivals:
                if forgotten >= limit:
                    break
                count = tx.changed(
                    "UPDATE image SET header = NULL WHERE receipt IN"
                    " (SELECT receipt FROM image WHERE arrival = ? AND header IS NOT NULL LIMIT ?)",
                    (row["id"], limit - forgotten),
                )
                if count < limit - forgotten:  # the arrival's own comes last: by it the rest is found again
                    tx.execute("UPDATE arrival SET header = NULL WHERE id = ?", (row["id"],))
                    count += 1
                forgotten += count
        return forgotten

    def targets(self, configured: Collection[str]) -> int:
        """Forget how targets stand that are configured no more and have nothing to do; how many.

        A pause stays: a target that comes back with an older revision must not be sent to by surprise.
        """
        with self._db.read() as connection:
            names = [row[0] for row in connection.execute("SELECT name FROM target_state WHERE paused = 0").fetchall()]
        gone = [name for name in names if name not in configured]
        if not gone:
            return 0
        with self._db.write() as tx:
            return sum(
                tx.changed(
                    "DELETE FROM target_state WHERE name = ? AND paused = 0 AND NOT EXISTS (SELECT 1 FROM delivery"
                    " WHERE target = ?1 AND state IN ('waiting', 'sending', 'retrying', 'confirming', 'parked', 'held'))",
                    (name,),
                )
                for name in gone
            )


def purge_one(tx: Transaction, row: Any, limit: int) -> int:
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
                          ("promise", "arrival"), ("study_link", "arrival"), ("arrival_rule", "arrival"),
                          ("touched", "arrival"), ("arrival", "id")):  # fmt: skip
        tx.execute(f"DELETE FROM {table} WHERE {column} = ?", (id,))
    return len(gone) + 1
