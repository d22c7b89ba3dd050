"""Single images of open arrivals that rules send at once: the deliveries that carry them.
It never judges an image: the router does, and hands in where each goes.

A delivery of singles sends what its rows in delivery_image name, and nothing by position. Rows stay when their image is
sent, so that the delivery of the whole series later leaves them out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from protocol.spool.database import Database
from protocol.spool.deciding import routed_by
from protocol.spool.headers import NewImage, Values, images_left, new_images
from protocol.spool.rulebook import count_rules, use_quotas
from protocol.spool.settling import TargetChoice, arrival_row
from protocol.spool.transaction import Transaction
from protocol.wire.codec import pack
from protocol.wire.events import ArrivalImagesRouted, DeliveryCreated, RuleFailed

STATES = ("open", "closed", "held")
"""In which an arrival's images may still be judged; one that is held, when a person lets it go."""
BEYOND = 1 << 62  # progress of a delivery of singles: no position is sent for being behind it


@dataclass
class Batch:
    """What image rules made of the next images of an arrival, up to a position.

    Attributes:
        wanted: where which images go.
        explanation: of one image for each rule that applied (patient data).
        failed_rules: rule -> error.
        counted: (rule, result) -> how often.
        quotas: (rule, period), once for each image that counts.
    """

    arrival: int
    upto: int
    revision: int
    wanted: dict[TargetChoice, list[NewImage]] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)
    explanation: Any = None
    failed_rules: dict[str, str] = field(default_factory=dict)
    counted: dict[tuple[str, str], int] = field(default_factory=dict)
    quotas: list[tuple[str, str]] = field(default_factory=list)


class Singles:
    """See the module."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def unseen(self, arrival: int, limit: int = 200) -> tuple[Mapping[str, Any], Values, list[NewImage]]:
        """The arrival's row, the header of its first image, and its next images. Raises NotFound."""
        with self._db.read() as connection:
            return new_images(connection, arrival, limit)

    def left(self, arrival: int) -> tuple[Mapping[str, Any], Values, list[NewImage]]:
        """The same, of its images that image rules have seen, and that went nowhere by themselves. Raises NotFound."""
        with self._db.read() as connection:
            return images_left(connection, arrival)

    def behind(self, limit: int = 200) -> list[int]:
        """Open and closed arrivals with images that image rules have not seen."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT id FROM arrival INDEXED BY arrival_state WHERE state IN ('open', 'closed') AND judged < positions"
                " ORDER BY id LIMIT ?",
                (limit,),
            ).fetchall()
        return [row[0] for row in rows]

    def route(self, batch: Batch, *, again: bool = False) -> int:
        """Keep that these images were seen, with the deliveries that follow; how many deliveries are new. `again`: they were
        seen before, and nothing followed."""
        with self._db.write() as tx:
            seen = tx.changed(
                "UPDATE arrival SET judged = max(judged, :upto) WHERE id = :id AND (judged < :upto OR :again)"
                f" AND state IN {STATES!r}",
                {"id": batch.arrival, "upto": batch.upto, "again": again},
            )
            if not seen:
                return 0  # a person was faster, or it was seen already
            arrival = arrival_row(tx, batch.arrival)
            for rule, error in batch.failed_rules.items():
                tx.emit(RuleFailed(rule, batch.arrival, batch.revision, error), correlation=batch.arrival)
            use_quotas(tx, batch.quotas)
            for key, times in batch.counted.items():
                count_rules(tx, [key], times)
            if not batch.wanted:
                return 0
            tx.emit(
                ArrivalImagesRouted(
                    batch.arrival, arrival["calling_ae"], batch.revision, batch.rules,
                    [target.name for target in batch.wanted], len({i.position for i in sum(batch.wanted.values(), [])}),
                    [[*key, times] for key, times in batch.counted.items()],
                ),
                correlation=batch.arrival,
            )  # fmt: skip
            new = [target for target, images in batch.wanted.items() if not _join(tx, arrival, target, images)]
            if new:
                decision = _decision(tx, batch)
                routed_by(tx, batch.arrival, batch.rules)
                for target in new:
                    _create(tx, arrival, decision, target, batch.wanted[target])
        return len(new)


def _decision(tx: Transaction, batch: Batch) -> int:
    named = ", ".join(f"'{rule}'" for rule in batch.rules)
    reason = f"single images routed at once by {'rule' if len(batch.rules) == 1 else 'rules'} {named}"
    row = tx.one(
        "INSERT INTO decision (arrival, revision, outcome, reason, explanation, time) VALUES (?,?,'images',?,?,?) RETURNING id",
        (batch.arrival, batch.revision, reason, pack(batch.explanation), tx.now),
    )
    return int(row["id"])


def _join(tx: Transaction, arrival: Any, target: TargetChoice, images: Sequence[NewImage]) -> bool:
    """Add the images to a delivery that no dispatcher has claimed; False if there is none."""
    row = tx.one(
        "SELECT id, priority FROM delivery WHERE arrival = ? AND target = ? AND singles = 1"
        " AND state IN ('waiting', 'retrying') ORDER BY id DESC LIMIT 1",
        (arrival["id"], target.name),
    )
    if row is None:
        return False
    tx.execute(
        "UPDATE delivery SET images = images + ?, bytes = bytes + ?, priority = min(priority, ?) WHERE id = ?",
        (len(images), sum(image.bytes for image in images), target.priority.rank, row["id"]),
    )
    _name(tx, row["id"], images)
    return True


def _create(tx: Transaction, arrival: Any, decision: int, target: TargetChoice, images: Sequence[NewImage]) -> None:
    size = sum(image.bytes for image in images)
    row = tx.one(
        "INSERT INTO delivery (arrival, decision, target, target_group, priority, due, state, progress, singles, images, bytes,"
        " created) VALUES (?,?,?,?,?,?,'waiting',?,1,?,?,?) RETURNING id",
        (arrival["id"], decision, target.name, target.name if target.is_group else "", target.priority.rank, tx.now,
         BEYOND, len(images), size, tx.now),
    )  # fmt: skip
    _name(tx, row["id"], images)
    tx.emit(
        DeliveryCreated(row["id"], arrival["id"], target.name, target.priority, len(images), size),
        correlation=arrival["id"],
    )


def _name(tx: Transaction, delivery: int, images: Sequence[NewImage]) -> None:
    tx.many(
        "INSERT INTO delivery_image (delivery, position, receipt, state) VALUES (?, ?, ?, 'again')",
        [(delivery, image.position, image.receipt) for image in images],
    )
