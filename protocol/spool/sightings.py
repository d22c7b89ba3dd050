"""Who opened or wanted to open an association, by AE title and address: what people look at to make a stranger a source.
It must not judge who is known now: the routing configuration may have changed since.
"""

from __future__ import annotations

from protocol.records import record
from protocol.spool.database import Database
from protocol.spool.transaction import Transaction

KEPT = 2000
"""Rows; beyond it the stranger goes first that was not seen for longest. AE titles are the peer's to invent."""


@record
class Sighting:
    """One pair of AE title and address. Times are seconds UTC; `subject` is that of the last certificate shown.

    `source` is the name it had when it was last seen; `reason` why it was last rejected.
    """

    calling_ae: str
    address: str
    called_ae: str
    subject: str
    source: str | None
    first: float
    last: float
    associations: int
    rejected: int
    reason: str


def note(
    tx: Transaction, calling_ae: str, address: str, called_ae: str, subject: str, source: str | None, *, rejected: str = ""
) -> None:  # fmt: skip
    """Count one association, or one that was `rejected` for this reason."""
    row = tx.one(
        "INSERT INTO sighting (calling_ae, address, called_ae, subject, source, first, last, associations, rejected, reason)"
        " VALUES (:calling, :address, :called, :subject, :source, :now, :now, :opened, :rejected, :reason)"
        " ON CONFLICT DO UPDATE SET called_ae = :called, subject = :subject, source = :source, last = :now,"
        " associations = associations + :opened, rejected = rejected + :rejected,"
        " reason = CASE WHEN :rejected THEN :reason ELSE reason END RETURNING associations + rejected",
        {"calling": calling_ae, "address": address, "called": called_ae, "subject": subject, "source": source,
         "now": tx.now, "opened": int(not rejected), "rejected": int(bool(rejected)), "reason": rejected},
    )  # fmt: skip
    if row[0] == 1:
        tx.execute(
            "DELETE FROM sighting WHERE (calling_ae, address) IN (SELECT calling_ae, address FROM sighting"
            " ORDER BY source IS NOT NULL, last LIMIT max(0, (SELECT count(*) FROM sighting) - ?))",
            (KEPT,),
        )


class Sightings:
    """Reading side."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def all(self) -> list[Sighting]:
        """Everybody who was seen, the latest first."""
        with self._db.read() as connection:
            rows = connection.execute("SELECT * FROM sighting ORDER BY last DESC, calling_ae, address").fetchall()
        return [Sighting(**dict(row)) for row in rows]
