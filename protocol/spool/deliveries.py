"""Deliveries: claimed by one statement, moved on only by their owner, given back when the owner died.
It never speaks to a target and never decides when to try again: the dispatcher hands the decision in.

Every step of an owner says `WHERE owner = me`: who was reaped meanwhile changes nothing any more (NotOwner).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from protocol.causes import Cause
from protocol.errors import StepRefused
from protocol.spool.acts import Act, act_of, counted
from protocol.spool.binding import Binding, hand_on, standing_in, unbind
from protocol.spool.claiming import ANY_ORDER, NO_GROUPS, Groups, Order, best_first, rotated, take
from protocol.spool.commands import done
from protocol.spool.database import Database
from protocol.spool.due_times import DueTimes
from protocol.spool.headers import chosen_values
from protocol.spool.moving import begin_there, follow, strays
from protocol.spool.objects import ImageFile, image_file
from protocol.spool.places import Places
from protocol.spool.repeats import remember
from protocol.spool.replacing import IMAGES_TO_SEND, leave_replaced, returned
from protocol.spool.settling import TargetChoice, hold_with_arrival, settle
from protocol.spool.steps import (
    Claim,
    ImageResult,
    ImageToSend,
    Wish,
    carry_out,
    delivered,
    interrupt,
    leave,
    mine,
    target_failed,
)
from protocol.spool.transaction import Transaction
from protocol.states import DeliveryState, Priority, check_delivery_step
from protocol.wire.events import (
    AttemptFailed,
    DeliveryClaimed,
    DeliveryHeld,
    DeliveryParked,
    ImagesSent,
)

__all__ = ["Claim", "Deliveries", "ImageResult", "ImageToSend"]


class Deliveries(DueTimes):
    """The queue."""

    def __init__(self, database: Database, places: Places) -> None:
        super().__init__(database)
        self._places = places

    # ---- claiming -------------------------------------------------------------------------------------------------
    def claim(
        self, owner: str, limits: Mapping[str, int], now: float, start_after: str = "", groups: Groups = NO_GROUPS,
        order: Order = ANY_ORDER,
    ) -> Claim | None:  # fmt: skip
        """Take the best delivery that is due, or None.

        `limits` says how many deliveries a target may have under way (all dispatchers together); a target that is
        not in it gets none. The highest priority of all counts first (see Order); among equals targets are tried in fair
        rotation, beginning behind `start_after`; within a target who is due longest. Paused targets and those in back-off
        are skipped. A delivery to one of `groups` is bound to a member that is in `limits`.
        """
        names = rotated({*limits, *groups}, start_after)
        with self._db.read() as connection:  # without the write lock: idle slots look often
            found = best_first(connection, names, order, now)
        if not found:
            return None
        with self._db.write() as tx:
            for candidate in found:
                row = take(tx, owner, candidate, limits, groups, order, now)
                if row is not None:
                    leave_replaced(tx, row)
                    if returned(tx, row):
                        row = tx.one("SELECT * FROM delivery WHERE id = ?", (row["id"],))
                    tx.emit(
                        DeliveryClaimed(row["id"], row["arrival"], row["target"], owner, row["attempts"]),
                        correlation=row["arrival"],
                    )
                    break
            else:
                return None
        return self._claim(row)  # behind the lock: 10,000 images take a quarter of a second, and the row is ours

    def _claim(self, row: Any) -> Claim:
        with self._db.read() as connection:
            images = connection.execute(
                f"SELECT s.*, x.state AS mark FROM ({IMAGES_TO_SEND}) s LEFT JOIN delivery_image x"
                " ON x.delivery = :delivery AND x.position = s.position"
                " WHERE coalesce(x.state, '') = 'again' OR (x.state IS NULL AND s.position > :progress)"
                # What the target refused or hung up at goes last: it may do so again, and the others must not wait for it.
                " ORDER BY coalesce(x.status, 0), s.position",
                {"arrival": row["arrival"], "delivery": row["id"], "progress": row["progress"]},
            ).fetchall()
        return Claim(
            row["id"], row["arrival"], row["target"], row["target_group"], row["attempts"], row["owner"],
            [ImageToSend(image["position"], image_file(self._places, image)) for image in images],
            row["images"], row["created"], row["first_tried"], max(0, row["attempts"] - 1), row["claimed"], "", row["place"],
        )  # fmt: skip

    def going_to(self, claim: Claim, location: str) -> Claim:
        """The claim as it goes to the place that `location` stands for. What it has settled at another one, since its target
        was set otherwise then, is to be sent again, and so are newer versions that this one leaves out: neither place would have
        the whole. Raises NotOwner.
        """
        where = hashlib.sha256(location.encode()).hexdigest()[:16]
        with self._db.read() as connection:
            anew, newer = strays(connection, claim, where)
        if anew or newer:
            with self._db.write() as tx:
                if anew:
                    begin_there(tx, claim)
                row = mine(tx, claim)
                for id in newer:
                    follow(tx, id)
        return replace(self._claim(row) if anew else claim, where=where)

    def with_values(self, claim: Claim, names: Collection[str]) -> Claim:
        """The claim, with the values that a layout names in each of its images."""
        if not names:
            return claim
        with self._db.read() as connection:
            values = chosen_values(connection, claim.arrival, names)
        images = [replace(one, file=replace(one.file, values=values(one.position))) for one in claim.images]
        return replace(claim, images=images)

    def all_images(self, claim: Claim, names: Collection[str]) -> list[ImageFile]:
        """Every image of the claim's arrival that is for its target, sent or not, with the values that a layout names."""
        with self._db.read() as connection:
            rows = connection.execute(f"{IMAGES_TO_SEND} ORDER BY i.position", {"arrival": claim.arrival}).fetchall()
            values = chosen_values(connection, claim.arrival, names)
        return [replace(image_file(self._places, row), values=values(row["position"])) for row in rows]

    # ---- the owner's steps ------------------------------------------------------------------------------------------
    def confirm(self, claim: Claim, results: Sequence[ImageResult], under_way: Sequence[ImageToSend] = ()) -> None:
        """Record the target's answers. Group them: a crash repeats at most one group.

        `progress` is a position, so answers of several associations, which come in any order, would say too much: the
        images `under_way` before the last answered one are marked to be sent again until their answers come.
        """
        if not results:
            return
        with self._db.write() as tx:
            row = mine(tx, claim)
            progress = max(row["progress"], max(result.position for result in results))
            remember(tx, claim, results)
            for result in results:
                self._confirm_one(tx, claim, result, kept=bool(row["singles"]))
            for image in under_way:
                if image.position <= progress:
                    tx.execute(
                        "INSERT INTO delivery_image (delivery, position, receipt, state) VALUES (?,?,?,'again')"
                        " ON CONFLICT (delivery, position) DO NOTHING",
                        (claim.delivery, image.position, image.file.receipt),
                    )
            sent = sum(result.ok for result in results)
            warnings = sum(result.ok and result.status != 0 for result in results)
            transcoded = sum(result.ok and result.transcoded for result in results)
            tx.execute(
                "UPDATE delivery SET progress = ?, sent = sent + ?, warnings = warnings + ?, deaths = 0, moved = ?, confirmed = ?,"
                " transcoded = transcoded + ?, place = ?,"
                " refused = (SELECT count(*) FROM delivery_image WHERE delivery = ? AND state = 'refused') WHERE id = ?",
                (progress, sent, warnings, tx.now, tx.now, transcoded, claim.where, claim.delivery, claim.delivery),
            )
            tx.add("sent", sent)
            told = [[result.receipt.hex(), result.status] for result in results]
            taken = sum(result.bytes for result in results if result.ok)
            tx.emit(
                ImagesSent(claim.delivery, claim.arrival, claim.target, told, sent, taken), correlation=claim.arrival
            )

    def _confirm_one(self, tx: Transaction, claim: Claim, result: ImageResult, *, kept: bool) -> None:
        if result.ok and result.status == 0 and kept:
            tx.execute("UPDATE delivery_image SET state = 'sent', status = 0 WHERE delivery = ? AND position = ?",
                       (claim.delivery, result.position))  # fmt: skip
            return
        if result.ok and result.status == 0:
            tx.execute("DELETE FROM delivery_image WHERE delivery = ? AND position = ? AND state = 'again'",
                       (claim.delivery, result.position))  # fmt: skip
            return
        tx.execute(
            "INSERT INTO delivery_image (delivery, position, receipt, state, status, comment) VALUES (?,?,?,?,?,?)"
            " ON CONFLICT (delivery, position) DO UPDATE SET state = excluded.state, status = excluded.status,"
            " comment = excluded.comment",
            (claim.delivery, result.position, result.receipt, "warning" if result.ok else "refused", result.status,
             result.comment),
        )  # fmt: skip

    def complete(self, claim: Claim) -> None:
        """Every image is confirmed."""
        with self._db.write() as tx:
            row = mine(tx, claim)
            if row["refused"]:
                raise StepRefused(f"delivery {claim.delivery} has refused images; park it")
            leave(tx, claim, DeliveryState.DELIVERED, finished=tx.now)
            delivered(tx, row)

    def retry(
        self, claim: Claim, due: float, error: str, cause: str = Cause.OTHER, *, got_on: bool = False,
        last: Sequence[ImageToSend] = (), used: int | None = None,
    ) -> None:  # fmt: skip
        """This attempt failed; try again at `due` (seconds UTC). `cause`: one of protocol/causes.py.

        `got_on`: images went through before it failed, so attempts and their time count anew, this one being the first. `used`:
        so many tries count as used up in its group, if that is not one more.
        `last` are images that go last from now on: the one that was being sent when it failed, say, or was refused for now.
        """
        with self._db.write() as tx:
            mine(tx, claim)
            leave(tx, claim, DeliveryState.RETRYING, error=error, cause=cause, due=due)
            if got_on:
                tx.execute("UPDATE delivery SET attempts = 1, first_tried = ? WHERE id = ?", (tx.now, claim.delivery))
            if used is not None:
                tx.execute("UPDATE delivery SET attempts = ? WHERE id = ?", (used, claim.delivery))
            self._put_last(tx, claim, last)
            tx.emit(
                AttemptFailed(claim.delivery, claim.arrival, claim.target, claim.attempt, error, due, cause),
                correlation=claim.arrival,
            )
            hold_with_arrival(tx, claim.delivery)
            target_failed(tx, claim.target, error)

    def standing_in(self, arrival: int, binding: Binding, limits: Mapping[str, int]) -> list[str]:
        """Members of a group that can be used, the best first, for a delivery of this arrival that one of them did not take."""
        with self._db.read() as connection:
            return standing_in(connection, arrival, binding, limits)

    def hand_on(self, claim: Claim, error: str, cause: str, used: int, to: str) -> None:
        """This attempt failed, and the member `to` of the group is to get the delivery; so many tries count as `used`."""
        with self._db.write() as tx:
            hand_on(tx, claim, error, cause, used, to)

    def _put_last(self, tx: Transaction, claim: Claim, images: Sequence[ImageToSend]) -> None:
        for image in images:
            tx.execute(
                "INSERT INTO delivery_image (delivery, position, receipt, state, status) VALUES (?,?,?,'again',1)"
                " ON CONFLICT (delivery, position) DO UPDATE SET status = coalesce(status, 0) + 1 WHERE state = 'again'",
                (claim.delivery, image.position, image.file.receipt),
            )

    def park(self, claim: Claim, error: str, cause: str = Cause.OTHER, *, last: Sequence[ImageToSend] = ()) -> None:
        """Attempts or time are used up, or images were refused for good: waits for a person. `last` as in `retry`."""
        with self._db.write() as tx:
            row = mine(tx, claim)
            leave(tx, claim, DeliveryState.PARKED, error=error, cause=cause)
            self._put_last(tx, claim, last)
            tx.emit(
                AttemptFailed(claim.delivery, claim.arrival, claim.target, claim.attempt, error, 0, cause),
                correlation=claim.arrival,
            )
            tx.emit(
                DeliveryParked(claim.delivery, claim.arrival, claim.target, row["attempts"], error, cause),
                correlation=claim.arrival,
            )
            target_failed(tx, claim.target, error)
            settle(tx, claim.arrival)

    def give_up(self, target: str, first_tried: float, error: str, cause: str = Cause.OTHER, limit: int = 100) -> int:
        """Park what failed at a target that is still away and was first tried before that time (seconds UTC); how many.

        The probes of the target have been its tries since.
        """
        with self._db.write() as tx:
            rows = tx.all(
                "SELECT id, arrival, attempts FROM delivery WHERE target = ? AND state = 'retrying' AND first_tried <= ?"
                " ORDER BY id LIMIT ?",
                (target, first_tried, limit),
            )
            for row in rows:
                check_delivery_step(DeliveryState.RETRYING, DeliveryState.PARKED)
                tx.execute(
                    "UPDATE delivery SET state = 'parked', error = ?, cause = ? WHERE id = ?", (error, cause, row["id"])
                )
                event = DeliveryParked(row["id"], row["arrival"], target, row["attempts"], error, cause)
                tx.emit(event, correlation=row["arrival"])
                settle(tx, row["arrival"])
            return len(rows)

    def hold_claimed(self, claim: Claim, reason: str, cause: str = Cause.CONFIGURATION) -> None:
        """Set aside what this owner holds (its target is gone, its type is not built)."""
        with self._db.write() as tx:
            mine(tx, claim)
            leave(tx, claim, DeliveryState.HELD, error=reason, cause=cause)
            event = DeliveryHeld(claim.delivery, claim.arrival, claim.target, reason, cause)
            tx.emit(event, correlation=claim.arrival)

    def give_back(self, claim: Claim) -> None:
        """Orderly stop in the middle: goes on at once elsewhere; no attempt is used up."""
        with self._db.write() as tx:
            mine(tx, claim)
            interrupt(tx, claim.delivery, counted=False)

    # ---- the dead ---------------------------------------------------------------------------------------------------
    def reap(self, owner: str, *, alone: bool = False) -> int:
        """Give back what a dead owner held; how many. Its lock must be free.

        `alone`: its process died by itself while everything else lived (its parent saw it); such deaths without
        progress are counted, and the third sets the delivery aside. Being killed together with others counts nothing.
        """
        with self._db.write() as tx:
            rows = tx.all("SELECT id FROM delivery WHERE owner = ?", (owner,))
            for row in rows:
                interrupt(tx, row["id"], counted=alone)
            tx.execute("DELETE FROM worker WHERE owner = ?", (owner,))
            return len(rows)

    # ---- people -----------------------------------------------------------------------------------------------------
    def change(
        self, ids: Sequence[int], act: str, command: int, *, reason: str = "", priority: Priority | None = None,
        to: TargetChoice | None = None,
    ) -> int:  # fmt: skip
        """Carry out retry, hold, release, cancel, priority or redirect on deliveries, all or none; answers the command.

        `to` is where redirected ones go. Raises StepRefused naming the first delivery that cannot do it. For all that match
        a selection see bulk.py.
        """
        with self._db.write() as tx:
            whose = act_of(tx, command)
            whose = replace(whose, reason=reason or whose.reason)
            for id in ids:
                carry_out(tx, id, Wish(act, priority, to), whose)
            done(tx, command, f"{act}: {counted(len(ids), 'deliveries')}")
        return len(ids)

    def unbind(self, groups: Groups, usable: Collection[str], patience_s: Mapping[str, float]) -> int:
        """Give deliveries back to their groups whose member is not among the `usable` targets; how many. See binding.py."""
        count = 0
        for name, binding in groups.items():
            if self._bound_elsewhere(name, usable):
                with self._db.write() as tx:
                    count += unbind(tx, name, binding, usable, patience_s[name])
        return count

    def _bound_elsewhere(self, group: str, usable: Collection[str]) -> bool:
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT DISTINCT target FROM delivery INDEXED BY delivery_bound WHERE target_group = ?"
                " AND target_group <> '' AND state IN ('waiting', 'retrying')",
                (group,),
            ).fetchall()
        return any(row[0] != group and row[0] not in usable for row in rows)

    def hold_orphans(self, known: Collection[str], limit: int = 200) -> dict[str, int]:
        """Set aside deliveries that wait for a target (or group) not in `known`: {target: how many}, at most `limit`.

        One whose group is known has members left, and goes back to it by itself (`unbind`).
        """
        orphans = sorted(set(self._waiting_targets()) - set(known))
        held: dict[str, int] = {}
        for target in orphans:
            with self._db.write() as tx:
                rows = tx.all(
                    "SELECT id FROM delivery WHERE target = ? AND state IN ('waiting', 'retrying')"
                    f" AND target_group NOT IN ({','.join('?' * len(known))}) ORDER BY id LIMIT ?",
                    (target, *known, limit - sum(held.values())),
                )
                for row in rows:
                    nobody = Act(reason=f"target {target} is not in the configuration")
                    carry_out(tx, row["id"], Wish("hold"), nobody, Cause.TARGET_REMOVED)
            if rows:
                held[target] = len(rows)
        return held

    def _waiting_targets(self) -> list[str]:
        with self._db.read() as connection:
            rows = connection.execute("SELECT DISTINCT target FROM delivery WHERE state IN ('waiting', 'retrying')")
            return [row["target"] for row in rows.fetchall()]
