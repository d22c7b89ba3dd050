"""What targets have already, for those that skip duplicates: the version of each SOP instance that was last sent there.
It must not compare pixels or guess: in doubt nothing is known, and the image is sent.

Before an image is sent, what was known of it at that place is forgotten, in a transaction of its own; once the target has
answered for it, its version is kept, in the transaction that records the answer. So whatever dies in between, and
whichever delivery, rule or scanner the image came by, `have` is the version that the target got last, or nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from protocol.records import record
from protocol.spool.database import Database
from protocol.spool.steps import Claim, ImageResult, ImageToSend, mine
from protocol.spool.transaction import Transaction
from protocol.wire.events import ImagesSkipped

AT_ONCE = 200  # images in one transaction
HAS_IT = 0x0111  # duplicate SOP instance (PS3.7 section 9.1.1.1.9); what it has may be another version
PERSONS = "series.route"  # a person who sends a series somewhere wants all of it sent


@record
class _Fate:
    """`before`: the delivery that has sent this version already; None: it is to be sent."""

    image: ImageToSend
    before: int | None


class Repeats:
    """One row per place and SOP instance, only of targets that skip duplicates."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def begin(self, claim: Claim, place: str) -> Claim:
        """Leave out what this place got last in the very same version, as sent; the claim with the images that are left.

        `place` stands for the target as it is set now: another host is another place. Raises NotOwner.
        """
        versions, epoch = self._versions(claim)
        place = f"{epoch}\0{place}"  # what a restored database knows may have been overtaken at the target
        left: list[ImageToSend] = []
        for start in range(0, len(claim.images), AT_ONCE):
            some = claim.images[start : start + AT_ONCE]
            with self._db.write() as tx:
                mine(tx, claim)
                always = _is_persons(tx, claim.delivery)
                fates = [_look(tx, claim, place, image, versions[image.position], always) for image in some]
                _skip(tx, claim, [fate for fate in fates if fate.before is not None])
            left += [fate.image for fate in fates if fate.before is None]
        return replace(claim, images=left, place=place)

    def _versions(self, claim: Claim) -> tuple[dict[int, bytes], int]:
        """By position: digest and length of the data set, and its transfer syntax; and the outbox's epoch."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT position, digest, bytes, transfer_syntax_uid FROM image WHERE arrival = ?", (claim.arrival,)
            ).fetchall()
            epoch = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0]
        versions = {
            row["position"]: row["digest"] + f"{row['bytes']} {row['transfer_syntax_uid']}".encode() for row in rows
        }
        return versions, int(epoch)


def remember(tx: Transaction, claim: Claim, results: Sequence[ImageResult]) -> None:
    """The target has answered for these images; a claim that nobody tracks changes nothing."""
    if not claim.place:
        return
    uids = {image.position: image.file.sop_instance_uid for image in claim.images}
    tx.many(
        "UPDATE target_image SET have = sending, time = ? WHERE key = ? AND delivery = ?",
        [
            (tx.now, _key(claim.place, uids[result.position]), claim.delivery)
            for result in results
            if result.ok and result.status != HAS_IT
        ],
    )


def _key(place: str, sop_uid: str) -> bytes:
    return hashlib.sha256(f"{place}\0{sop_uid}".encode()).digest()[:16]


def _is_persons(tx: Transaction, delivery: int) -> bool:
    row = tx.one(
        "SELECT c.kind FROM delivery d JOIN decision n ON n.id = d.decision JOIN command c ON c.id = n.command WHERE d.id = ?",
        (delivery,),
    )
    return row is not None and row["kind"] == PERSONS


def _look(tx: Transaction, claim: Claim, place: str, image: ImageToSend, version: bytes, always: bool) -> _Fate:
    key = _key(place, image.file.sop_instance_uid)
    row = tx.one("SELECT * FROM target_image WHERE key = ?", (key,))
    if row is not None and row["have"] == version and not always and not _denied(tx, claim, image):
        return _Fate(image, row["delivery"])
    # Of two that are under way at once nobody knows which comes last: then neither is kept.
    alone = row is None or row["have"] is not None or not _others_send(tx, claim, row["delivery"])
    tx.execute(
        "INSERT INTO target_image (key, delivery, sending, have, time) VALUES (?,?,?,NULL,?) ON CONFLICT (key) DO UPDATE SET"
        " delivery = excluded.delivery, sending = excluded.sending, have = NULL, time = excluded.time",
        (key, claim.delivery if alone else 0, version if alone else None, tx.now),
    )
    return _Fate(image, None)


def _denied(tx: Transaction, claim: Claim, image: ImageToSend) -> bool:
    """Has the target refused it, or said that it does not have it (storage commitment)?"""
    row = tx.one(
        "SELECT status FROM delivery_image WHERE delivery = ? AND position = ?", (claim.delivery, image.position)
    )
    return row is not None and row["status"] is not None


def _others_send(tx: Transaction, claim: Claim, delivery: int) -> bool:
    """Is the delivery that began with it under way now, or, if that is not known, any other to this target?"""
    one = "id = :other" if delivery else "id <> :own"
    row = tx.one(
        f"SELECT 1 FROM delivery WHERE target = :target AND state = 'sending' AND id <> :own AND {one} LIMIT 1",
        {"target": claim.target, "own": claim.delivery, "other": delivery},
    )
    return row is not None


def _skip(tx: Transaction, claim: Claim, fates: Sequence[_Fate]) -> None:
    if not fates:
        return
    tx.many(
        "INSERT INTO delivery_image (delivery, position, receipt, state, status, comment) VALUES (?,?,?,'skipped',?,?)"
        " ON CONFLICT (delivery, position) DO UPDATE SET state = 'skipped', status = excluded.status, comment = excluded.comment",
        [
            (claim.delivery, fate.image.position, fate.image.file.receipt, HAS_IT,
             f"not sent: the target has it by delivery {fate.before}") for fate in fates
        ],
    )  # fmt: skip
    tx.execute(
        "UPDATE delivery SET sent = sent + :count, skipped = skipped + :count, moved = :now, deaths = 0, place = :place"
        " WHERE id = :id",
        {"id": claim.delivery, "count": len(fates), "now": tx.now, "place": claim.where},
    )
    told: list[list[Any]] = [[fate.image.file.receipt.hex(), fate.before] for fate in fates]
    tx.emit(ImagesSkipped(claim.delivery, claim.arrival, claim.target, told), correlation=claim.arrival)
