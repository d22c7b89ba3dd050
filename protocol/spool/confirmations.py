"""Storage commitment that we ask of targets after a delivery (PS3.4 Annex J): what was asked, what they answered.
It never speaks to a target and never decides what an answer means for a delivery: the router does and hands it in.

A transaction UID is kept before the target hears of it, so that its report is known whenever and wherever it comes.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from protocol.causes import Cause
from protocol.records import record
from protocol.spool.database import Database
from protocol.spool.replacing import IMAGES_TO_SEND, replaced_at
from protocol.spool.settling import arrival_row, hold_with_arrival, settle
from protocol.spool.steps import Claim, begin_anew, delivered, leave, mine, target_failed
from protocol.spool.transaction import Transaction
from protocol.states import DeliveryState, check_delivery_step
from protocol.wire.codec import pack, unpack
from protocol.wire.events import (
    AttemptFailed,
    ConfirmationAnswered,
    ConfirmationAsked,
    DeliveryConfirming,
    DeliveryParked,
    DeliveryUnbound,
)

AT_ONCE = 500  # deliveries that are looked at in one round
TOLD = 500  # failed images that an event names
NOT_MENTIONED = 0x0110  # our reason for an image that the target's report does not name: it says nothing good
_LARGEST = 64 << 20
_IMAGES = (
    f"SELECT s.* FROM ({IMAGES_TO_SEND}) s LEFT JOIN delivery_image x ON x.delivery = :delivery"
    " AND x.position = s.position JOIN delivery d ON d.id = :delivery"
    " WHERE coalesce(x.state, '') <> 'left' AND (d.singles = 0 OR x.state IS NOT NULL)"
)


@record
class Asked:
    """What a target is asked: a transaction and (SOP class UID, SOP instance UID) of each image."""

    transaction_uid: str
    images: Sequence[tuple[str, str]]


@record
class Confirming:
    """A delivery that waits for its target's word. `failed` is SOP instance UID -> reason, None while there is no answer;
    `due` is when to stop waiting and `first_tried` when its first attempt began, seconds UTC. `group` if it is one's delivery;
    `asked` are the targets that were asked to commit to it so far.
    """

    delivery: int
    arrival: int
    target: str
    attempts: int
    first_tried: float
    due: float
    failed: Mapping[str, int] | None
    group: str = ""
    asked: Collection[str] = ()


class Confirmations:
    """The table of what we asked."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # ---- asking -----------------------------------------------------------------------------------------------------
    def concerns(self, claim: Claim) -> bool:
        """Whether there is an image to ask for; there is none if newer versions of all of them go there by themselves."""
        with self._db.read() as connection:
            one = connection.execute(f"{_IMAGES} LIMIT 1", {"arrival": claim.arrival, "delivery": claim.delivery})
            return one.fetchone() is not None

    def ask(self, claim: Claim) -> Asked:
        """Every image of the claim's delivery is sent: keep under which transaction the target will be asked for them.

        Durable in every mode: the target may answer after a power cut. Raises NotOwner.
        """
        transaction_uid = f"2.25.{uuid.uuid4().int}"  # PS3.5 section B.2
        with self._db.write() as tx:
            mine(tx, claim)
            images = [(row["sop_class_uid"], row["sop_uid"]) for row in _images(tx, claim.arrival, claim.delivery)]
            tx.execute(
                "INSERT INTO confirmation (transaction_uid, delivery, arrival, target, state, count, asked)"
                " VALUES (?,?,?,?,'asked',?,?)",
                (transaction_uid, claim.delivery, claim.arrival, claim.target, len(images), _after(tx, claim.delivery)),
            )
            tx.emit(
                ConfirmationAsked(claim.delivery, claim.arrival, claim.target, transaction_uid, len(images)),
                correlation=claim.arrival,
            )
        self._sync()
        return Asked(transaction_uid, images)

    def confirming(self, claim: Claim, due: float) -> None:
        """The target took the request; it has until `due` (seconds UTC) to answer. Raises NotOwner."""
        with self._db.write() as tx:
            mine(tx, claim)
            leave(tx, claim, DeliveryState.CONFIRMING, due=due)
            tx.emit(DeliveryConfirming(claim.delivery, claim.arrival, claim.target, due), correlation=claim.arrival)

    def answered(
        self, transaction_uid: str, committed: Collection[str], failed: Mapping[str, int]
    ) -> int | None:  # fmt: skip
        """Keep a target's report, durable in every mode: SOP instance UIDs, and a reason for each failed one.

        Returns the delivery's arrival, None if we never asked that. The first report counts; an image that it does not
        name is not committed.
        """
        with self._db.write() as tx:
            row = tx.one("SELECT * FROM confirmation WHERE transaction_uid = ?", (transaction_uid,))
            if row is None:
                return None
            if row["state"] == "asked":
                asked = {image["sop_uid"] for image in _images(tx, row["arrival"], row["delivery"])}
                bad = dict.fromkeys(sorted(asked - set(committed)), NOT_MENTIONED)
                bad |= {uid: reason or NOT_MENTIONED for uid, reason in failed.items() if uid in asked}
                self._keep(tx, row, len(asked) - len(bad), bad)
        self._sync()
        return int(row["arrival"])

    def _keep(self, tx: Transaction, row: Any, committed: int, bad: Mapping[str, int]) -> None:
        reasons = [[uid, reason] for uid, reason in bad.items()]
        tx.execute(
            "UPDATE confirmation SET state = 'answered', answered = ?, failed = ? WHERE transaction_uid = ?",
            (tx.now, pack(reasons), row["transaction_uid"]),
        )
        event = ConfirmationAnswered(
            row["delivery"], row["arrival"], row["target"], row["transaction_uid"], committed, len(bad), reasons[:TOLD]
        )
        tx.emit(event, correlation=row["arrival"])

    def _sync(self) -> None:
        if not self._db.full:
            self._db.barrier()

    # ---- settling ---------------------------------------------------------------------------------------------------
    def waiting(self, after: int = 0, limit: int = AT_ONCE) -> list[Confirming]:
        """Deliveries behind this id that wait for their target's word, in order, with the answer if one is there: that of the
        last request, or of an earlier one that says that everything is committed.
        """
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT * FROM delivery INDEXED BY delivery_confirming WHERE state = 'confirming' AND id > ?"
                " ORDER BY id LIMIT ?",
                (after, limit),
            ).fetchall()
            asked = {
                row["id"]: connection.execute(
                    "SELECT target, state, failed FROM confirmation WHERE delivery = ? ORDER BY asked", (row["id"],)
                ).fetchall()
                for row in rows
            }
        return [
            Confirming(row["id"], row["arrival"], row["target"], row["attempts"], row["first_tried"] or row["created"],
                       row["due"], _best(asked[row["id"]], row["target"]), row["target_group"],
                       {one["target"] for one in asked[row["id"]]}) for row in rows
        ]  # fmt: skip

    def complete(self, delivery: int) -> bool:
        """The target committed to every image: delivered. False if it is not confirming any more."""
        with self._db.write() as tx:
            row = _step(tx, delivery, DeliveryState.DELIVERED)
            if row is None:
                return False
            tx.execute("UPDATE delivery SET finished = ?, error = '', cause = '' WHERE id = ?", (tx.now, delivery))
            delivered(tx, row)
            return True

    def failed(self, delivery: int, failed: Mapping[str, int], error: str, due: float | None) -> bool:
        """The target did not commit to these images: send them again at `due` (seconds UTC), or None: park. False if it
        is not confirming any more.
        """
        with self._db.write() as tx:
            row = _step(tx, delivery, DeliveryState.PARKED if due is None else DeliveryState.RETRYING)
            if row is None:
                return False
            _mark(tx, row, failed, "refused" if due is None else "again")
            cause = Cause.NOT_COMMITTED if failed else Cause.COMMITMENT_SILENT
            tx.execute(
                "UPDATE delivery SET error = ?, cause = ?, due = coalesce(?, due), sent = max(0, sent - ?), refused = (SELECT count(*)"
                " FROM delivery_image WHERE delivery = ? AND state = 'refused'), skipped = (SELECT count(*)"
                " FROM delivery_image WHERE delivery = ? AND state = 'skipped') WHERE id = ?",
                (error, cause, due, len(failed), delivery, delivery, delivery),
            )
            tx.emit(
                AttemptFailed(delivery, row["arrival"], row["target"], row["attempts"], error, due or 0.0, cause),
                correlation=row["arrival"],
            )
            if due is None:
                tx.emit(
                    DeliveryParked(delivery, row["arrival"], row["target"], row["attempts"], error, cause),
                    correlation=row["arrival"],
                )
            target_failed(tx, row["target"], error)
            hold_with_arrival(tx, delivery)
            settle(tx, row["arrival"])
            return True

    def hand_on(self, delivery: int, to: str, error: str) -> bool:
        """The member of a group that was asked says nothing: another one gets the delivery, from the first image on, and is asked
        in its turn. False if it is not confirming any more.
        """
        with self._db.write() as tx:
            row = _step(tx, delivery, DeliveryState.RETRYING)
            if row is None:
                return False
            cause, member = Cause.COMMITMENT_SILENT, row["target"]
            tx.execute("UPDATE delivery SET error = ?, cause = ? WHERE id = ?", (error, cause, delivery))
            tx.emit(
                AttemptFailed(delivery, row["arrival"], member, row["attempts"], error, tx.now, cause),
                correlation=row["arrival"],
            )
            check_delivery_step(DeliveryState.RETRYING, DeliveryState.WAITING)
            begin_anew(tx, row, to, row["target_group"])
            # The one that was silent had taken everything: its tries and its time are not those of the next.
            tx.execute("UPDATE delivery SET attempts = 0, first_tried = NULL WHERE id = ?", (delivery,))
            tx.emit(DeliveryUnbound(delivery, row["arrival"], row["target_group"], member), correlation=row["arrival"])
            target_failed(tx, member, error)
            hold_with_arrival(tx, delivery)
            settle(tx, row["arrival"])
            return True

    # ---- reading ----------------------------------------------------------------------------------------------------
    def list(self, *, target: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """What we asked of targets, newest first, with the state of the delivery."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT c.*, d.state AS delivery_state FROM confirmation c JOIN delivery d ON d.id = c.delivery"
                " WHERE :target IS NULL OR c.target = :target ORDER BY c.asked DESC LIMIT :limit",
                {"target": target, "limit": limit},
            ).fetchall()
        return [{**dict(row), "failed": _unpacked(row["failed"])} for row in rows]


def _after(tx: Transaction, delivery: int) -> float:
    """Now, but behind what its target was asked before: a clock that was set back must not make the old answer the last."""
    last = tx.one("SELECT max(asked) FROM confirmation WHERE delivery = ?", (delivery,))[0]
    return tx.now if last is None else max(tx.now, float(last) + 0.001)


def _images(tx: Transaction, arrival: int, delivery: int) -> list[Any]:
    """The images that a delivery sends, in order, without those that it leaves out."""
    return tx.all(f"{_IMAGES} ORDER BY s.position", {"arrival": arrival, "delivery": delivery})


def _mark(tx: Transaction, row: Any, failed: Mapping[str, int], state: str) -> None:
    """Give each image that is not committed its mark; one whose newer version went there meanwhile is left alone."""
    replaced = {one["position"] for one in replaced_at(tx, arrival_row(tx, row["arrival"]), row["target"])}
    for image in _images(tx, row["arrival"], row["id"]):
        reason = failed.get(image["sop_uid"])
        if reason is None:
            continue
        left = image["position"] in replaced
        tx.execute(
            "INSERT INTO delivery_image (delivery, position, receipt, state, status, comment) VALUES (?,?,?,?,?,?)"
            " ON CONFLICT (delivery, position) DO UPDATE SET state = excluded.state, status = excluded.status,"
            " comment = excluded.comment",
            (row["id"], image["position"], image["receipt"], "left" if left else state, reason,
             "superseded" if left else "not committed by the target"),
        )  # fmt: skip


def _step(tx: Transaction, delivery: int, after: DeliveryState) -> Any:
    """Move a confirming delivery on; its row before, None if it is in another state now."""
    row = tx.one("SELECT * FROM delivery WHERE id = ? AND state = 'confirming'", (delivery,))
    if row is not None:
        check_delivery_step(DeliveryState.CONFIRMING, after)
        tx.execute("UPDATE delivery SET state = ? WHERE id = ?", (after, delivery))
    return row


def _best(asked: Sequence[Any], target: str) -> dict[str, int] | None:
    asked = [row for row in asked if row["target"] == target]  # redirected meanwhile, another one's word says nothing
    answers = [dict(_unpacked(row["failed"])) for row in asked if row["state"] == "answered"]
    if {} in answers:
        return {}
    return answers[-1] if answers and asked[-1]["state"] == "answered" else None


def _unpacked(raw: bytes | None) -> list[list[Any]]:
    return [] if raw is None else list(unpack(raw, _LARGEST))
