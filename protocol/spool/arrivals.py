"""Arrivals: closing them, deciding them, and what people do to them; each change is one transaction with its events.
It never judges whether a series is complete or where it goes: the router does, and hands in the verdict.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from protocol.errors import NotFound, StepRefused
from protocol.header.diff import overlay, shared
from protocol.spool import joining
from protocol.spool.commands import done
from protocol.spool.database import Database
from protocol.spool.transaction import Transaction
from protocol.states import (
    ARRIVAL_STEPS,
    DELIVERY_FINISHED,
    ArrivalState,
    DeliveryState,
    Priority,
    arrival_state_from,
    check_arrival_step,
)
from protocol.wire.codec import pack, unpack, unpack_map
from protocol.wire.events import (
    ArrivalCompleted,
    ArrivalDecided,
    ArrivalDelivered,
    ArrivalDiscarded,
    ArrivalHeld,
    ArrivalReleased,
    DeliveryCancelled,
    DeliveryCreated,
    DeliveryHeld,
    DeliveryRetried,
    RuleFailed,
)

EXPLANATION_LIMIT = 16 << 20


@dataclass(frozen=True)
class OpenArrival:
    """What the router needs to judge completeness. `images` grows with each image; times are seconds UTC."""

    id: int
    source: str | None
    calling_ae: str
    address: str
    images: int
    last_image: float
    associations_open: int
    associations_aborted: int
    associations: int
    associations_released: int = 0


@dataclass(frozen=True)
class TargetChoice:
    """One delivery to be made: a target (or a group), with its priority."""

    name: str
    is_group: bool = False
    priority: Priority = Priority.NORMAL


@dataclass(frozen=True)
class Verdict:
    """A decision on one arrival; `outcome` is route, hold or discard, `explanation` plain values."""

    outcome: str
    revision: int
    targets: Sequence[TargetChoice] = ()
    rules: Sequence[str] = ()
    reason: str = ""
    explanation: Any = None
    failed_rules: Mapping[str, str] = field(default_factory=dict)  # rule name -> error
    command: int = 0


@dataclass(frozen=True)
class ArrivalHeaders:
    """Header values of every image of a series, of this arrival and the earlier ones it is an addendum of."""

    arrival: Mapping[str, Any]
    images: list[dict[str, Any]]
    earlier_targets: list[tuple[str, str]]  # (target, group) that earlier arrivals of the series went to


class Arrivals:
    """Series as they came in."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # ---- reading --------------------------------------------------------------------------------------------------
    def open_ones(self) -> list[OpenArrival]:
        """Every open arrival with how its associations stand."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT a.id, a.source, a.calling_ae, a.address, a.images, a.last_image,"
                " coalesce(sum(s.state = 'open'), 0) AS opened, coalesce(sum(s.state = 'aborted'), 0) AS aborted,"
                " count(x.association) AS associations, coalesce(sum(s.state = 'released'), 0) AS released"
                " FROM arrival a LEFT JOIN arrival_association x ON x.arrival = a.id"
                " LEFT JOIN association s ON s.id = x.association WHERE a.state = 'open' GROUP BY a.id ORDER BY a.id"
            ).fetchall()
        return [OpenArrival(*tuple(row)) for row in rows]

    def undecided(self, limit: int = 100) -> list[int]:
        """Closed arrivals without a decision, oldest first."""
        with self._db.read() as connection:
            rows = connection.execute("SELECT id FROM arrival WHERE state = 'closed' ORDER BY id LIMIT ?", (limit,))
            return [row[0] for row in rows.fetchall()]

    def get(self, id: int) -> dict[str, Any]:
        """The row of one arrival. Raises NotFound."""
        with self._db.read() as connection:
            return _plain(_row(connection, id))

    def list(
        self, *, state: str | None = None, before: int | None = None, limit: int = 50, calling_ae: str | None = None,
        modality: str | None = None, study_uid: str | None = None, series_uid: str | None = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Arrivals, newest first, a page at a time: pass the last id as `before` for the next."""
        wanted = {
            "state": state,
            "calling_ae": calling_ae,
            "modality": modality,
            "study_uid": study_uid,
            "series_uid": series_uid,
        }
        tests = [f"{name} = :{name}" for name, value in wanted.items() if value is not None]
        if before is not None:
            tests.append("id < :before")
        where = f" WHERE {' AND '.join(tests)}" if tests else ""
        with self._db.read() as connection:
            rows = connection.execute(
                f"SELECT * FROM arrival{where} ORDER BY id DESC LIMIT :limit",
                {**wanted, "before": before, "limit": limit},
            ).fetchall()
        return [_plain(row) for row in rows]

    def subject(self, id: int) -> ArrivalHeaders:
        """What rules may read: the headers of all arrivals of that series, and where the earlier ones went."""
        with self._db.read() as connection:
            arrival = _row(connection, id)
            family = connection.execute(
                "SELECT id, header FROM arrival WHERE series_key = ? AND id <= ? ORDER BY id",
                (arrival["series_key"], id),
            ).fetchall()
            images: list[dict[str, Any]] = []
            for member in family:
                common = unpack_map(member["header"]) if member["header"] else {}
                rows = connection.execute(
                    "SELECT header, transfer_syntax_uid FROM image WHERE arrival = ? AND superseded IS NULL ORDER BY position",
                    (member["id"],),
                ).fetchall()
                for row in rows:
                    values = overlay(common, unpack_map(row["header"]) if row["header"] else {})
                    images.append({**values, "TransferSyntaxUID": row["transfer_syntax_uid"]})
            earlier = connection.execute(
                "SELECT DISTINCT d.target, d.target_group FROM delivery d JOIN arrival a ON a.id = d.arrival"
                " WHERE a.series_key = ? AND a.id < ? AND d.state <> 'cancelled'",
                (arrival["series_key"], id),
            ).fetchall()
        return ArrivalHeaders(_plain(arrival), images, [(row[0], row[1]) for row in earlier])

    def story(self, id: int) -> dict[str, Any]:
        """Everything about one arrival, for `series show`: its row, images, decisions with explanation, deliveries."""
        with self._db.read() as connection:
            arrival = _plain(_row(connection, id))
            images = connection.execute(
                "SELECT receipt, position, sop_uid, sop_class_uid, transfer_syntax_uid, bytes, stored, superseded FROM image"
                " WHERE arrival = ? ORDER BY position", (id,)).fetchall()  # fmt: skip
            decisions = connection.execute("SELECT * FROM decision WHERE arrival = ? ORDER BY id", (id,)).fetchall()
            deliveries = connection.execute("SELECT * FROM delivery WHERE arrival = ? ORDER BY id", (id,)).fetchall()
        return {
            "arrival": arrival,
            "images": [
                {
                    **dict(row),
                    "receipt": row["receipt"].hex(),
                    "superseded": row["superseded"].hex() if row["superseded"] else None,
                }
                for row in images
            ],
            "decisions": [
                {
                    **dict(row),
                    "explanation": unpack(row["explanation"], EXPLANATION_LIMIT) if row["explanation"] else None,
                }
                for row in decisions
            ],
            "deliveries": [dict(row) for row in deliveries],
        }

    # ---- closing --------------------------------------------------------------------------------------------------
    def close(self, id: int, why: str, *, images: int | None = None) -> bool:
        """Complete: one UPDATE. False if it is not open any more, or has more images than the router saw.

        An image committed later finds no open arrival and opens the next one; there is no race to lose it in.
        """
        with self._db.write() as tx:
            row = tx.one(
                "UPDATE arrival SET state = 'closed', closed = :now, since = :now, why = :why"
                " WHERE id = :id AND state = 'open' AND (:images IS NULL OR images = :images) RETURNING *",
                {"now": tx.now, "why": why, "id": id, "images": images},
            )
            if row is None:
                return False
            differing = [
                unpack_map(image["header"]) if image["header"] else {}
                for image in tx.all("SELECT header FROM image WHERE arrival = ?", (id,))
            ]
            common = shared(unpack_map(row["header"]), differing)
            tx.emit(
                ArrivalCompleted(
                    id, row["calling_ae"], row["study_uid"], row["series_uid"], row["images"], row["bytes"], why, row["modality"]
                ),
                correlation=id, phi={"header": common},
            )  # fmt: skip
        return True

    # ---- deciding -------------------------------------------------------------------------------------------------
    def decide(self, id: int, verdict: Verdict) -> int:
        """Decision, deliveries, state and events in one transaction; returns the decision's id.

        Without a command only a closed arrival can be decided, so a repeated decision is refused (StepRefused). With
        one, `verdict.command` is answered in the same transaction: its effect happens once.
        """
        with self._db.write() as tx:
            arrival = _row(tx, id)
            state = ArrivalState(arrival["state"])
            if not verdict.command and state is not ArrivalState.CLOSED:
                raise StepRefused(f"arrival {id} is {state}, not closed; it was decided already")
            decision = tx.one(
                "INSERT INTO decision (arrival, revision, outcome, reason, explanation, command, time)"
                " VALUES (?,?,?,?,?,?,?) RETURNING id",
                (id, verdict.revision, verdict.outcome, verdict.reason,
                 None if verdict.explanation is None else pack(verdict.explanation), verdict.command, tx.now),
            )["id"]  # fmt: skip
            if verdict.command and state is ArrivalState.HELD and verdict.outcome != "hold":
                tx.emit(ArrivalReleased(id, arrival["calling_ae"], verdict.command), correlation=id)
            tx.emit(
                ArrivalDecided(
                    id, arrival["calling_ae"], decision, verdict.revision, verdict.outcome,
                    [target.name for target in verdict.targets], list(verdict.rules), verdict.reason, verdict.command,
                ),
                correlation=id,
            )  # fmt: skip
            for rule, error in verdict.failed_rules.items():
                tx.emit(RuleFailed(rule, id, verdict.revision, error), correlation=id)
            if verdict.outcome == "route":
                _supersede_earlier(tx, arrival, verdict.targets)
                for target in verdict.targets:
                    _create_delivery(tx, arrival, decision, target)
            _settle_decided(tx, arrival, verdict)
            if verdict.command:
                done(
                    tx,
                    verdict.command,
                    f"arrival {id}: {verdict.outcome} {', '.join(t.name for t in verdict.targets)}".strip(),
                )
            return int(decision)

    def hold(self, id: int, reason: str, command: int = 0) -> None:
        """Set aside whole. Deliveries that are waiting are held with it; one being sent ends its attempt first."""
        with self._db.write() as tx:
            arrival = _row(tx, id)
            check_arrival_step(ArrivalState(arrival["state"]), ArrivalState.HELD)
            if arrival["state"] == "in_delivery" and tx.one(
                "SELECT 1 FROM delivery WHERE arrival = ? AND state IN ('sending', 'confirming')", (id,)
            ):
                raise StepRefused(f"arrival {id} is being sent; hold its deliveries (scanpost queue hold) instead")
            held = tx.all(
                "UPDATE delivery SET state = 'held', error = ? WHERE arrival = ? AND state IN ('waiting','retrying','parked')"
                " RETURNING id, target", (reason, id))  # fmt: skip
            for row in held:
                tx.emit(DeliveryHeld(row["id"], id, row["target"], reason), correlation=id)
            _set_state(tx, arrival, ArrivalState.HELD, reason)
            if command:
                done(tx, command, f"arrival {id} is held")

    def release(self, id: int, command: int) -> None:
        """A person releases a held arrival: its held deliveries go on, or, without any, the rules decide again."""
        with self._db.write() as tx:
            arrival = _row(tx, id)
            if arrival["state"] != "held":
                raise StepRefused(f"arrival {id} is {arrival['state']}, not held")
            freed = tx.all(
                "UPDATE delivery SET state = 'waiting', due = ?, error = '' WHERE arrival = ? AND state = 'held'"
                " RETURNING id, target", (tx.now, id))  # fmt: skip
            tx.emit(ArrivalReleased(id, arrival["calling_ae"], command), correlation=id)
            for row in freed:
                tx.emit(DeliveryRetried(row["id"], id, row["target"], command), correlation=id)
            _set_state(tx, arrival, ArrivalState.IN_DELIVERY if freed else ArrivalState.CLOSED, "")
            done(tx, command, f"arrival {id} is released")

    def reroute(self, id: int, command: int) -> None:
        """Let the current rules decide again (held, delivered or discarded arrivals)."""
        with self._db.write() as tx:
            arrival = _row(tx, id)
            _set_state(tx, arrival, ArrivalState.CLOSED, "")
            tx.emit(ArrivalReleased(id, arrival["calling_ae"], command), correlation=id)
            done(tx, command, f"arrival {id} will be decided again")

    def discard(self, id: int, reason: str, command: int) -> None:
        """A person discards a held arrival: its held deliveries are cancelled, it is kept for its retention."""
        with self._db.write() as tx:
            arrival = _row(tx, id)
            if arrival["state"] not in ("held", "closed"):
                raise StepRefused(f"arrival {id} is {arrival['state']}; only a held one can be discarded")
            cancelled = tx.all(
                "UPDATE delivery SET state = 'cancelled', finished = ? WHERE arrival = ? AND state = 'held' RETURNING id, target",
                (tx.now, id),
            )
            for row in cancelled:
                tx.emit(DeliveryCancelled(row["id"], id, row["target"], command), correlation=id)
            _set_state(tx, arrival, ArrivalState.DISCARDED, reason)
            done(tx, command, f"arrival {id} is discarded")


# ---- inside a transaction -------------------------------------------------------------------------------------------
def _row(connection: sqlite3.Connection | Transaction, id: int) -> Any:
    row = connection.execute("SELECT * FROM arrival WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise NotFound(f"there is no arrival {id}")
    return row


def _plain(row: Any) -> dict[str, Any]:
    """A row without its key and header blob (patient data stay where they are asked for)."""
    return {name: row[name] for name in row.keys() if name not in ("series_key", "header", "files", "positions")}  # noqa: SIM118


def _set_state(tx: Transaction, arrival: Any, after: ArrivalState, reason: str) -> None:
    before = ArrivalState(arrival["state"])
    check_arrival_step(before, after)
    tx.execute(
        "UPDATE arrival SET state = ?, since = ?, reason = ? WHERE id = ?", (after, tx.now, reason, arrival["id"])
    )
    event: Any = None
    if after is ArrivalState.HELD:
        event = ArrivalHeld(arrival["id"], arrival["calling_ae"], reason)
    elif after is ArrivalState.DISCARDED:
        event = ArrivalDiscarded(arrival["id"], arrival["calling_ae"], reason)
    elif after is ArrivalState.DELIVERED:
        event = ArrivalDelivered(arrival["id"], arrival["calling_ae"])
    if event is not None:
        tx.emit(event, correlation=arrival["id"])


def _settle_decided(tx: Transaction, arrival: Any, verdict: Verdict) -> None:
    if verdict.outcome == "route":
        settle(tx, arrival["id"], decided=True)
    elif verdict.outcome == "hold":
        _set_state(tx, arrival, ArrivalState.HELD, verdict.reason)
    else:
        _set_state(tx, arrival, ArrivalState.DISCARDED, verdict.reason)


def settle(tx: Transaction, id: int, *, decided: bool = False) -> None:
    """Bring an arrival's state in line with its deliveries, after one of them changed or a decision.

    A held arrival stays held until it is decided or one of its deliveries is let go.
    """
    arrival = _row(tx, id)
    before = ArrivalState(arrival["state"])
    rows = tx.all("SELECT state, count(*) AS count FROM delivery WHERE arrival = ? GROUP BY state", (id,))
    counts = {DeliveryState(row["state"]): row["count"] for row in rows}
    after = arrival_state_from(counts)
    freed = any(state not in DELIVERY_FINISHED and state is not DeliveryState.HELD for state in counts)
    if before == after or (before is ArrivalState.HELD and not freed and not decided):
        return
    if after not in ARRIVAL_STEPS[before] and ArrivalState.IN_DELIVERY in ARRIVAL_STEPS[before]:
        arrival = {**dict(arrival), "state": ArrivalState.IN_DELIVERY}  # through its own state, in one transaction
    _set_state(tx, arrival, after, "all deliveries were cancelled" if after is ArrivalState.DISCARDED else "")


# Images of an arrival that a delivery sends: those that no other image of the same arrival replaces.
IMAGES_TO_SEND = (
    "SELECT i.* FROM image i WHERE i.arrival = :arrival AND (i.superseded IS NULL OR i.superseded NOT IN"
    " (SELECT n.receipt FROM image n WHERE n.arrival = :arrival))"
)


def _create_delivery(tx: Transaction, arrival: Any, decision: int, target: TargetChoice) -> None:
    unfinished = tx.one(
        "SELECT 1 FROM delivery WHERE arrival = ? AND target = ? AND state NOT IN ('delivered', 'cancelled')",
        (arrival["id"], target.name),
    )
    if unfinished:
        return
    size = tx.one(
        f"SELECT count(*) AS images, coalesce(sum(bytes), 0) AS bytes FROM ({IMAGES_TO_SEND})",
        {"arrival": arrival["id"]},
    )
    row = tx.one(
        "INSERT INTO delivery (arrival, decision, target, target_group, priority, due, state, images, bytes, created)"
        " VALUES (?,?,?,?,?,?,'waiting',?,?,?) RETURNING id",
        (arrival["id"], decision, target.name, target.name if target.is_group else "", target.priority.rank, tx.now,
         size["images"], size["bytes"], tx.now),
    )  # fmt: skip
    tx.emit(
        DeliveryCreated(row["id"], arrival["id"], target.name, target.priority, size["images"], size["bytes"]),
        correlation=arrival["id"],
    )


def _supersede_earlier(tx: Transaction, arrival: Any, targets: Sequence[TargetChoice]) -> None:
    """Images of earlier arrivals that this one replaces leave unfinished deliveries to the same targets, and only those."""
    pairs = tx.all(
        "SELECT o.receipt AS older, o.position, o.arrival, o.sop_uid, n.receipt AS newer FROM image n"
        " JOIN image o ON o.sop_uid = n.sop_uid JOIN arrival a ON a.id = o.arrival"
        " WHERE n.arrival = ? AND n.superseded IS NULL AND o.superseded IS NULL AND a.series_key = ? AND a.id < ?"
        " AND a.state <> 'deleted'",
        (arrival["id"], arrival["series_key"], arrival["id"]),
    )
    for pair in pairs:
        joining.supersede(tx, pair["older"], pair["newer"], pair["arrival"], arrival["calling_ae"], pair["sop_uid"])
        for target in targets:
            tx.execute(
                "INSERT INTO delivery_image (delivery, position, receipt, state, comment)"
                " SELECT id, ?, ?, 'left', 'superseded' FROM delivery WHERE arrival = ? AND target = ?"
                " AND state IN ('waiting', 'retrying', 'parked', 'held', 'sending') AND progress < ?"
                " ON CONFLICT (delivery, position) DO UPDATE SET state = 'left', comment = 'superseded'",
                (pair["position"], pair["older"], pair["arrival"], target.name, pair["position"]),
            )
