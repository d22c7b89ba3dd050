"""Whether anything was committed since the last look, and whether anything goes on that time alone could move.
It must not say what changed or what is to be done: whoever hears "yes" looks for himself.
"""

from __future__ import annotations

from protocol.spool.database import Database, sqlite_errors

_GOING = " OR ".join(
    f"EXISTS (SELECT 1 FROM {what})"
    for what in (
        "association INDEXED BY association_open WHERE state = 'open'",
        *(f"arrival INDEXED BY arrival_state WHERE state = '{state}'" for state in ("open", "closed", "waiting")),
        "delivery INDEXED BY delivery_due WHERE state IN ('waiting', 'retrying')",
        "delivery INDEXED BY delivery_sending WHERE state = 'sending'",
        "delivery INDEXED BY delivery_confirming WHERE state = 'confirming'",
        "study_wait INDEXED BY study_wait_state WHERE state = 'open'",
        "commitment INDEXED BY commitment_waiting WHERE state = 'waiting'",
        "commitment INDEXED BY commitment_answered WHERE state = 'answered'",
        "command WHERE state = 'new' AND executor IN ('router', 'cleaner', 'bookkeeper')",
    )
)


class Stillness:
    """See the module."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def mark(self) -> int:
        """A number that differs from the last one if anybody has committed meanwhile, this process as well.

        A few microseconds (SQLite, pragma data_version): it stands for looking at the tables. Raises SpoolError.
        """
        with self._db.reading() as connection, sqlite_errors("look"):
            return int(connection.execute("PRAGMA data_version").fetchone()[0])

    def still(self) -> bool:
        """Nothing is open, undecided, to be sent, asked or answered: without a commit there is no work, however long one waits.

        What waits for a person (held, parked) is still. Retention and the ledger are not looked at.
        """
        with self._db.read() as connection:
            return not connection.execute(f"SELECT {_GOING}").fetchone()[0]
