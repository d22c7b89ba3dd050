"""Takes one patient out of the ledger on request; the rows stay for the accounting, marked erased.
It must not touch another node's rows; each step is a short transaction, and repeating it changes nothing more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, delete, null, select, update

from protocol.clock import Clock, SystemClock
from protocol.erasure import Erased, Patient, redacted, redacted_subject
from protocol.ledger.engine import database_errors, reader, reading, writer
from protocol.ledger.tables import arrival, dose_event, dose_report, event, header, image, series

CHUNK = 500
_STUDY_TYPES = ("study.decided",)  # told of a study, not of one arrival


def arrivals_of(url: str, node: str, patient: Patient) -> tuple[dict[int, str], int]:
    """Arrivals of this patient on this node (number -> study UID), and how many are left out because no issuer is known.

    Raises LedgerUnavailable.
    """
    engine = reader(url)
    wanted = select(arrival.c.arrival, arrival.c.study_uid, arrival.c.headers).where(
        arrival.c.node == node, arrival.c.patient_id == patient.id
    )
    if patient.study_uid:
        wanted = wanted.where(arrival.c.study_uid == patient.study_uid)
    try:
        with reading(engine) as connection:
            rows = connection.execute(wanted).fetchall()
    finally:
        engine.dispose()
    issuers = {row.arrival: str((row.headers or {}).get("IssuerOfPatientID", "")).strip() for row in rows}
    mine = {row.arrival: row.study_uid or "" for row in rows if patient.issuer in ("", issuers[row.arrival])}
    unknown = sum(1 for number, issuer in issuers.items() if patient.issuer and not issuer and number not in mine)
    return mine, unknown


class LedgerEraser:
    """Writes beside the bookkeeper: its transactions are short, and it never moves the cursor."""

    def __init__(self, url: str, node: str, clock: Clock | None = None) -> None:
        """Does not connect yet."""
        self._engine, self._node, self._clock = writer(url), node, clock or SystemClock()

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def erase(self, arrivals: Collection[int], studies: Collection[str]) -> None:
        """Take out what identifies the patient of these arrivals. Raises LedgerUnavailable; then it may be repeated."""
        for number in sorted(arrivals):
            self._events(event.c.arrival == number)
            self._images(number)
            with self._transaction() as connection:
                self._rows(connection, number)
        if studies:
            erased = Erased((), frozenset(studies))
            self._events(event.c.type.in_(_STUDY_TYPES), erased)

    def _events(self, condition: Any, erased: Erased | None = None) -> None:
        after = ""
        while True:
            with self._transaction() as connection:
                wanted = select(event.c.id, event.c.subject, event.c.data).where(
                    event.c.node == self._node, condition, event.c.id > after
                )
                rows = connection.execute(wanted.order_by(event.c.id).limit(CHUNK)).fetchall()
                for row in rows:
                    data = row.data if isinstance(row.data, dict) else {}
                    if erased is None or erased.concerns(data):
                        values = {
                            "data": redacted(data),
                            "subject": redacted_subject(row.subject),
                            "phi": null(),
                            "raw": null(),
                        }
                        connection.execute(update(event).where(event.c.id == row.id).values(**values))
            if len(rows) < CHUNK:
                return
            after = rows[-1].id

    def _images(self, number: int) -> None:
        receipts = select(image.c.receipt).where(
            image.c.node == self._node, image.c.arrival == number, image.c.sop_uid.is_not(None)
        )
        while True:
            with self._transaction() as connection:
                gone = connection.execute(
                    update(image)
                    .where(image.c.node == self._node, image.c.receipt.in_(receipts.limit(CHUNK)))
                    .values(sop_uid=None)
                ).rowcount
            if gone < CHUNK:
                return

    def _rows(self, connection: Connection, number: int) -> None:
        """All at once, by which the arrival is found no more: so it comes last."""
        now = self._clock.now()
        connection.execute(delete(header).where(header.c.node == self._node, header.c.arrival == number))
        connection.execute(
            update(series)
            .where(series.c.node == self._node, series.c.arrival == number)
            .values(study_uid=None, series_uid=None, study_description=None, series_description=None, procedure=None,
                    study_time=None, series_time=None, acquisition_time=None, age_years=None, sex=None, extra=null(), erased=now)
        )  # fmt: skip
        connection.execute(
            update(dose_report)
            .where(dose_report.c.node == self._node, dose_report.c.arrival == number)
            .values(study_uid=None, sop_uid=None, erased=now)
        )
        connection.execute(
            update(dose_event)
            .where(dose_event.c.node == self._node, dose_event.c.arrival == number)
            .values(event_uid=None, started=None, protocol=None)
        )
        connection.execute(
            update(arrival)
            .where(arrival.c.node == self._node, arrival.c.arrival == number)
            .values(study_uid=None, series_uid=None, patient_id=None, patient_folded=None, accession=None, headers=null(),
                    erased=now)
        )  # fmt: skip

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with database_errors(), self._engine.begin() as connection:
            yield connection
