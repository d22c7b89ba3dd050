"""Storage commitment that scanners ask of us (PS3.4 Annex J): requests, what stands about their images, answers, reports.
It never judges whether an image is committed (the router does and hands the answer in) and never speaks to a scanner.

A request is durable before it is acknowledged, an answer before it is reported, and that a scanner took its report after it
did: a report may be sent twice and is never lost.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from protocol.errors import NotFound, StepRefused
from protocol.records import record
from protocol.spool.commands import done
from protocol.spool.database import Database
from protocol.spool.settling import PROMISED, hold_promised
from protocol.spool.standing import AT_ONCE, Standing, Way, look
from protocol.spool.transaction import Transaction
from protocol.states import COMMITMENT_STEPS, CommitmentState
from protocol.wire.codec import pack, unpack
from protocol.wire.events import (
    CommitmentAnswered,
    CommitmentReported,
    CommitmentReportFailed,
    CommitmentRequested,
)

__all__ = ["PROMISED", "Commitments", "Due", "Request", "Standing", "Way"]

DUPLICATE_TRANSACTION = 0x0131  # failure reason, PS3.3 section C.14.1.1
TOLD = 500  # failed images that an event names
TOO_FAR_S = 7200.0  # no report is put off for so long, but by a clock that was ahead: it is due
_LARGEST = 64 << 20


@record
class Request:
    """A request that waits, for so many images; `asked` in seconds UTC."""

    id: int
    calling_ae: str
    address: str
    source: str | None
    association_open: bool
    asked: float
    count: int


@record
class Due:
    """A report to be sent: to whom, and the failure reason (0: committed) of each image."""

    id: int
    transaction_uid: str
    calling_ae: str
    called_ae: str
    address: str
    source: str | None
    images: Sequence[tuple[str, str]]
    reasons: Sequence[int]
    attempts: int
    answered: float


class Commitments:
    """The table of requests, and the arrivals that were promised."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # ---- requests ---------------------------------------------------------------------------------------------------
    def request(
        self, association: bytes, calling_ae: str, called_ae: str, address: str, source: str | None,
        transaction_uid: str, images: Sequence[tuple[str, str]], hold_s: float = 0.0,
    ) -> int:  # fmt: skip
        """Keep a request, durable in every mode; its id. The same one again is the same one; if it was answered it will
        be reported again. Another one under a transaction UID in use is answered with 0131 for each image.

        `hold_s`: how long an answer that is known at once may wait for this very association.
        """
        packed = pack([list(one) for one in images])
        with self._db.write() as tx:
            known = tx.all("SELECT * FROM commitment WHERE calling_ae = ? AND transaction_uid = ? ORDER BY id",
                           (calling_ae, transaction_uid))  # fmt: skip
            same = next((row for row in known if row["images"] == packed), None)
            if same is not None:
                id = self._again(tx, same, association, address, tx.now + hold_s)
            else:
                reasons = [DUPLICATE_TRANSACTION] * len(images) if known else None
                id = _insert(
                    tx, association, calling_ae, called_ae, address, source, transaction_uid, packed, len(images)
                )
                if reasons is not None:
                    _answer(tx, id, reasons, tx.now + hold_s)
        self._sync()
        return id

    def _again(self, tx: Transaction, row: Any, association: bytes, address: str, due: float) -> int:
        tx.execute(
            "UPDATE commitment SET association = ?, address = ?, state = ?, due = ?, attempts = 0, ended = NULL,"
            " answered = CASE WHEN answered IS NULL THEN NULL ELSE ? END WHERE id = ?",
            (association, address, _reopened(row), due, tx.now, row["id"]),
        )
        return int(row["id"])

    def _sync(self) -> None:
        if not self._db.full:
            self._db.barrier()  # what is acknowledged to another machine must not be forgotten, in relaxed mode neither

    def waiting(self, limit: int = 20_000) -> list[Request]:
        """Requests without an answer, oldest first."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT c.id, c.calling_ae, c.address, c.source, coalesce(s.state, '') = 'open' AS association_open, c.asked,"
                " c.count FROM commitment c INDEXED BY commitment_waiting LEFT JOIN association s ON s.id = c.association"
                " WHERE c.state = 'waiting' ORDER BY c.id LIMIT ?", (limit,)
            ).fetchall()  # fmt: skip
        return [Request(*row) for row in rows]

    def images(self, id: int) -> list[tuple[str, str]]:
        """(SOP class UID, SOP instance UID) of each image of a request, in the scanner's order. Raises NotFound."""
        with self._db.read() as connection:
            row = connection.execute("SELECT images FROM commitment WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise NotFound(f"there is no commitment request {id}")
        return _images(row)

    # ---- what stands ------------------------------------------------------------------------------------------------
    def standing(self, calling_ae: str, sop_uids: Collection[str]) -> tuple[dict[str, Standing], set[str]]:
        """How these images stand, and which of those not found are in quarantine; see standing.py."""
        found: dict[str, Standing] = {}
        apart: set[str] = set()
        names = sorted(set(sop_uids))
        for start in range(0, len(names), AT_ONCE):
            with self._db.read() as connection:
                part, quarantined = look(connection, calling_ae, names[start : start + AT_ONCE])
            found.update(part)
            apart |= quarantined
        return found, apart

    # ---- answers ----------------------------------------------------------------------------------------------------
    def answer(self, id: int, reasons: Sequence[int], promised: Collection[int], due: float) -> bool:
        """Settle a request: the failure reason (0: committed) of each image, to be reported from `due` on.

        `promised` are arrivals that we keep until a target has them, whatever the rules say. False, and nothing is
        changed, if one of them was deleted meanwhile or the request is answered already.
        """
        try:
            with self._db.write() as tx:
                if tx.one("SELECT 1 FROM commitment WHERE id = ? AND state = 'waiting'", (id,)) is None:
                    return False
                for arrival in promised:
                    _promise(tx, arrival, id)
                _answer(tx, id, reasons, due)
        except StepRefused:
            return False
        return True

    def unrouted(self) -> list[int]:
        """Promised arrivals that are held because nobody wants them."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT p.arrival FROM promise p JOIN arrival a ON a.id = p.arrival WHERE a.state = 'held' AND a.reason = ?"
                " ORDER BY p.arrival", (PROMISED,)
            ).fetchall()  # fmt: skip
        return [row[0] for row in rows]

    # ---- reports ----------------------------------------------------------------------------------------------------
    def ready(self, association: bytes, hold_until: float) -> Due | None:
        """Take a report to be sent on this very association; nobody else sends it before `hold_until` (seconds UTC)."""
        with self._db.read() as connection:
            seen = connection.execute(
                "SELECT id FROM commitment INDEXED BY commitment_answered WHERE state = 'answered' AND association = ? LIMIT 1",
                (association,),
            ).fetchone()
        if seen is None:
            return None
        with self._db.write() as tx:
            row = tx.one(
                "UPDATE commitment SET due = max(due, ?), attempts = attempts + 1 WHERE id = ? AND state = 'answered' RETURNING *",
                (hold_until, seen["id"]),
            )
        return None if row is None else _due(row)

    def due_sources(self, now: float, without: Collection[str] = (), limit: int = 20) -> list[str]:
        """Calling AE titles that reports are due for, longest first; not those in `without`."""
        with self._db.read() as connection:
            rows = connection.execute(
                f"SELECT c.calling_ae, min(c.due) AS first {_DUE} AND c.calling_ae NOT IN ({','.join('?' * len(without))})"
                " GROUP BY c.calling_ae ORDER BY first LIMIT ?",
                (now, now + TOO_FAR_S, *without, limit),
            ).fetchall()
        return [row["calling_ae"] for row in rows]

    def due(self, now: float, calling_ae: str, limit: int = 50) -> list[Due]:
        """Reports for a calling AE title to be sent on a new association: due, or asked for on one that is over."""
        with self._db.read() as connection:
            rows = connection.execute(
                f"SELECT c.* {_DUE} AND c.calling_ae = ? ORDER BY c.due, c.id LIMIT ?",
                (now, now + TOO_FAR_S, calling_ae, limit),
            ).fetchall()
        return [_due(row) for row in rows]

    def reported(self, id: int, how: str, status: int, error: str = "") -> None:
        """The scanner answered the report; `how` is same or new (association)."""
        with self._db.write() as tx:
            row = tx.one(
                "UPDATE commitment SET state = 'reported', ended = ?, error = ? WHERE id = ? AND state = 'answered' RETURNING *",
                (tx.now, error, id),
            )
            if row is not None:
                tx.emit(CommitmentReported(id, row["calling_ae"], row["transaction_uid"], how, status))

    def report_failed(self, id: int, error: str, due: float | None) -> None:
        """The report did not reach the scanner: again at `due` (seconds UTC), or None: given up until a person acts."""
        state = CommitmentState.ANSWERED if due is not None else CommitmentState.GIVEN_UP
        with self._db.write() as tx:
            row = tx.one(
                "UPDATE commitment SET state = ?, error = ?, attempts = attempts + 1, due = coalesce(?, due), ended = ?"
                " WHERE id = ? AND state = 'answered' RETURNING *",
                (state, error, due, None if due is not None else tx.now, id),
            )
            if row is not None:
                tx.emit(
                    CommitmentReportFailed(
                        id, row["calling_ae"], row["transaction_uid"], row["attempts"], error, due or 0.0
                    )
                )

    def retry(self, id: int, command: int) -> None:
        """A person: report it (again) now. Raises NotFound, StepRefused."""
        with self._db.write() as tx:
            row = tx.one("SELECT * FROM commitment WHERE id = ?", (id,))
            if row is None:
                raise NotFound(f"there is no commitment request {id}")
            if row["state"] == CommitmentState.WAITING:
                raise StepRefused(f"commitment request {id} is not answered yet")
            tx.execute(
                "UPDATE commitment SET state = 'answered', due = ?, answered = ?, ended = NULL WHERE id = ?",
                (tx.now, tx.now, id),
            )
            done(tx, command, f"commitment request {id} will be reported")

    # ---- reading ----------------------------------------------------------------------------------------------------
    def list(
        self, *, states: Sequence[str] = (), calling_ae: str | None = None, before: int | None = None, limit: int = 50
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Requests, newest first, without their images."""
        tests, values = ["id < ?"], [2**63 - 1 if before is None else before]
        if states:
            tests.append(f"state IN ({','.join('?' * len(states))})")
            values.extend(states)  # type: ignore[arg-type]
        if calling_ae is not None:
            tests.append("calling_ae = ?")
            values.append(calling_ae)  # type: ignore[arg-type]
        with self._db.read() as connection:
            rows = connection.execute(
                f"SELECT * FROM commitment WHERE {' AND '.join(tests)} ORDER BY id DESC LIMIT ?", (*values, limit)
            ).fetchall()
        return [_plain(row) for row in rows]

    def show(self, id: int) -> dict[str, Any]:
        """One request with its images and what became of each. Raises NotFound."""
        with self._db.read() as connection:
            row = connection.execute("SELECT * FROM commitment WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise NotFound(f"there is no commitment request {id}")
        known = _reasons(row)
        reasons: list[int | None] = [None] * row["count"] if known is None else list(known)
        images = [
            {"sop_class_uid": uid, "sop_uid": instance, "reason": reason}
            for (uid, instance), reason in zip(_images(row), reasons, strict=True)
        ]
        return {**_plain(row), "images": images}


_DUE = (
    "FROM commitment c INDEXED BY commitment_answered LEFT JOIN association s ON s.id = c.association"
    " WHERE c.state = 'answered' AND (c.due <= ? OR c.due > ? OR (c.attempts = 0 AND coalesce(s.state, '') <> 'open'))"
)


def _reopened(row: Any) -> CommitmentState:
    """A request that was answered is to be reported again; one that waits goes on waiting."""
    state = CommitmentState(row["state"])
    return (
        CommitmentState.ANSWERED
        if CommitmentState.ANSWERED in COMMITMENT_STEPS[state] - {state} and row["reasons"]
        else state
    )


def _insert(
    tx: Transaction, association: bytes, calling_ae: str, called_ae: str, address: str, source: str | None,
    transaction_uid: str, packed: bytes, count: int,
) -> int:  # fmt: skip
    id = int(tx.one(
        "INSERT INTO commitment (transaction_uid, association, calling_ae, called_ae, address, source, state, count, images,"
        " asked, due) VALUES (?,?,?,?,?,?,'waiting',?,?,?,?) RETURNING id",
        (transaction_uid, association, calling_ae, called_ae, address, source, count, packed, tx.now, tx.now),
    )["id"])  # fmt: skip
    tx.emit(
        CommitmentRequested(id, association.hex(), calling_ae, transaction_uid, count), correlation=association.hex()
    )
    return id


def _answer(tx: Transaction, id: int, reasons: Sequence[int], due: float) -> None:
    failed = sum(reason != 0 for reason in reasons)
    row = tx.one(
        "UPDATE commitment SET state = 'answered', answered = ?, due = ?, reasons = ?, failed = ? WHERE id = ? RETURNING *",
        (tx.now, due, pack(list(reasons)), failed, id),
    )
    told = [[uid, reason] for (_, uid), reason in zip(_images(row), reasons, strict=True) if reason]
    tx.emit(CommitmentAnswered(id, row["calling_ae"], row["transaction_uid"], row["count"], failed, told[:TOLD]))


def _promise(tx: Transaction, arrival: int, commitment: int) -> None:
    row = tx.one("SELECT * FROM arrival WHERE id = ?", (arrival,))
    if row is None or row["state"] == "deleted":
        raise StepRefused(f"arrival {arrival} is deleted and cannot be promised")
    tx.execute("INSERT OR IGNORE INTO promise VALUES (?, ?, ?)", (arrival, commitment, tx.now))
    hold_promised(tx, row)


def _images(row: Any) -> list[tuple[str, str]]:
    return [(uid, instance) for uid, instance in unpack(row["images"], _LARGEST)]


def _reasons(row: Any) -> list[int] | None:
    return None if row["reasons"] is None else list(unpack(row["reasons"], _LARGEST))


def _due(row: Any) -> Due:
    return Due(
        row["id"], row["transaction_uid"], row["calling_ae"], row["called_ae"], row["address"], row["source"],
        _images(row), _reasons(row) or [], row["attempts"], row["answered"],
    )  # fmt: skip


def _plain(row: Any) -> dict[str, Any]:
    plain = {name: row[name] for name in row.keys() if name not in ("images", "reasons", "count")}  # noqa: SIM118
    return {**plain, "association": row["association"].hex(), "images": row["count"]}
