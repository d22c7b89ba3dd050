"""Erasing one patient from this node on request: finds the arrivals, deletes their images, takes them out of the outbox, and
lets their rows go. Each step is a transaction that can be repeated, so a run that died is simply begun again.
It must not touch what is not delivered or discarded, nor shorten anything for anybody else.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from protocol.erasure import Erased, Patient, redacted, redacted_subject
from protocol.errors import DecodeError, StepRefused
from protocol.records import record
from protocol.spool.cleaning import PROMISED, STILL_NEEDED, Cleaning
from protocol.spool.database import Database
from protocol.spool.purging import purge_one
from protocol.spool.retention import Retention
from protocol.states import ARRIVAL_DELETABLE, ArrivalState
from protocol.wire.codec import pack, unpack_stored

PAGE = 500  # rows per look or transaction
AT_ONCE = Retention(math.inf, math.inf, at=math.inf)
POLICY = "erased on request"
_KEY = b"PatientID"


@record
class Found:
    """An arrival of the patient; `why_not` says why it cannot be erased now, "" if it can. `opened`: seconds UTC."""

    arrival: int
    study_uid: str
    calling_ae: str
    state: str
    opened: float
    images: int
    why_not: str = ""


class Erasing:
    """The part of the spool that forgets one patient."""

    def __init__(self, database: Database, cleaning: Cleaning) -> None:
        self._db, self._cleaning = database, cleaning

    def find(self, patient: Patient, also: Collection[int] = ()) -> list[Found]:
        """Arrivals with images of this patient, and those of `also` (which the ledger knows to be theirs) that are here."""
        others = self._of_images(patient)
        found: list[Found] = []
        for row, header in self._arrivals():
            mine = _is(header, patient)
            mixed = others.get(row["id"], set()) | ({mine} if header else set())
            if (True in mixed or row["id"] in also) and patient.study_uid in ("", row["study_uid"]):
                found.append(self._judged(row, len(mixed) > 1))
        return found

    def erase(self, arrivals: Sequence[int], studies: Collection[str]) -> None:
        """Erase these arrivals. Raises StepRefused for one that is still needed, before anything of it is touched."""
        for id in arrivals:
            self._mark(id)
        for id in arrivals:
            self._cleaning.remove_files(id)
        self._redact(Erased(frozenset(arrivals), frozenset(studies)))
        for id in arrivals:
            while self._purge(id):
                continue
        with self._db.write() as tx:
            for study in studies:
                tx.execute(
                    "DELETE FROM study_wait WHERE study_uid = ? AND state = 'done' AND NOT EXISTS"
                    " (SELECT 1 FROM study_link l WHERE l.wait = study_wait.id)",
                    (study,),
                )

    def studies_of(self, arrivals: Collection[int]) -> frozenset[str]:
        """Studies of which this node has nothing but these arrivals."""
        with self._db.read() as connection:
            rows = connection.execute("SELECT id, study_uid FROM arrival").fetchall()
        return frozenset(row[1] for row in rows if row[0] in arrivals) - {
            row[1] for row in rows if row[0] not in arrivals
        }

    # ---- finding ----------------------------------------------------------------------------------------------------
    def _arrivals(self) -> Iterator[tuple[Any, Mapping[str, Any]]]:
        after = 0
        while True:
            with self._db.read() as connection:
                rows = connection.execute(
                    "SELECT * FROM arrival WHERE id > ? ORDER BY id LIMIT ?", (after, PAGE)
                ).fetchall()
            yield from ((row, _values(row["header"])) for row in rows)
            if len(rows) < PAGE:
                return
            after = rows[-1]["id"]

    def _of_images(self, patient: Patient) -> dict[int, set[bool]]:
        """Arrivals with images whose PatientID is another one than that of the first image: whether it is this patient's."""
        found: dict[int, set[bool]] = {}
        after = b""
        while True:
            with self._db.read() as connection:
                rows = connection.execute(
                    "SELECT receipt, arrival, header FROM image WHERE receipt > ? AND header IS NOT NULL AND instr(header, ?)"
                    " ORDER BY receipt LIMIT ?", (after, _KEY, PAGE)).fetchall()  # fmt: skip
            for row in rows:
                found.setdefault(row["arrival"], set()).add(_is(_values(row["header"]), Patient(patient.id)))
            if len(rows) < PAGE:
                return found
            after = rows[-1]["receipt"]

    def _judged(self, row: Any, mixed: bool) -> Found:
        with self._db.read() as connection:
            needed, promised = connection.execute(
                f"SELECT {STILL_NEEDED}, {PROMISED} FROM arrival WHERE id = ?", (row["id"],)
            ).fetchone() or (0, 0)
        why = ""
        if row["state"] != ArrivalState.DELETED:
            if row["state"] not in ARRIVAL_DELETABLE:
                why = f"it is {row['state']}"
            elif mixed:
                why = "it holds images of several patients"
            elif needed or promised:
                why = "a delivery, a study or a storage commitment still needs it"
        return Found(row["id"], row["study_uid"], row["calling_ae"], row["state"], row["opened"], row["images"], why)

    # ---- erasing ----------------------------------------------------------------------------------------------------
    def _mark(self, id: int) -> None:
        if self._cleaning.mark(id, AT_ONCE, POLICY):
            return
        with self._db.read() as connection:
            row = connection.execute("SELECT state FROM arrival WHERE id = ?", (id,)).fetchone()
        if row is not None and row["state"] != ArrivalState.DELETED:
            raise StepRefused(f"arrival {id} cannot be erased: it is {row['state']}, or something still needs it")

    def _redact(self, erased: Erased) -> None:
        """Take them out of every event in the outbox; what has no bookkeeper yet is counted all the same."""
        after = 0
        while True:
            with self._db.read() as connection:
                rows = connection.execute(
                    "SELECT seq, subject, body, phi FROM event WHERE seq > ? ORDER BY seq LIMIT ?", (after, PAGE)
                ).fetchall()
            changed = []
            for row in rows:
                data = _values(row["body"])
                if erased.concerns(data):
                    changed.append((pack(redacted(data)), redacted_subject(row["subject"]), row["seq"]))
            if changed:
                with self._db.write() as tx:
                    tx.many("UPDATE event SET body = ?, subject = ?, phi = NULL WHERE seq = ?", changed)
            if len(rows) < PAGE:
                return
            after = rows[-1]["seq"]

    def _purge(self, id: int) -> bool:
        """A chunk of the rows; False if none is left. The row with the header goes last: by it the rest is found again."""
        with self._db.write() as tx:
            row = tx.one("SELECT id FROM arrival WHERE id = ? AND state = 'deleted' AND files = 0", (id,))
            return row is not None and purge_one(tx, row, PAGE) == PAGE


def _values(raw: bytes | None) -> Mapping[str, Any]:
    try:
        found = unpack_stored(raw) if raw else {}
    except DecodeError:
        return {}
    return found if isinstance(found, Mapping) else {}


def _is(header: Mapping[str, Any], patient: Patient) -> bool:
    if str(header.get("PatientID", "")).strip() != patient.id:
        return False
    return patient.issuer in ("", str(header.get("IssuerOfPatientID", "")).strip())
