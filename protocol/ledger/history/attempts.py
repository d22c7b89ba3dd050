"""The attempts of a delivery, told from its events: when each began and ended, what it sent, how fast, why it failed.
Pure but for `attempts`, which fetches the rows; it must not know images one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from protocol.causes import hint
from protocol.ledger.history.asked import Plain
from protocol.ledger.history.events import EVENT_COLUMNS
from protocol.ledger.history.rows import plain
from protocol.ledger.tables import delivery, event

MAX_EVENTS = 20_000  # of one delivery
OUTCOMES = {
    "delivery.completed": "delivered", "delivery.confirming": "confirming", "delivery.attempt.failed": "failed",
    "delivery.attempt.interrupted": "interrupted", "delivery.parked": "parked", "delivery.held": "held",
}  # fmt: skip
"""What ends an attempt, by type of event."""
MADE_OF = frozenset({"delivery.claimed", "delivery.images.sent", "delivery.images.skipped", *OUTCOMES})


@dataclass
class Attempt:
    """One try of a delivery. Times in seconds since 1970 UTC; `ended` None: it is under way."""

    delivery: int
    target: str
    number: int
    began: float
    owner: str = ""
    ended: float | None = None
    outcome: str = "sending"  # sending, delivered, confirming, failed, interrupted, parked, held
    images: int = 0  # answered by the target
    skipped: int = 0  # the target had them already
    statuses: dict[int, int] = field(default_factory=dict)  # DIMSE status (PS3.7 Annex C) -> images, other than success
    bytes: int = 0  # by the average size of the delivery's images
    error: str = ""
    cause: str = ""  # protocol/causes
    means: str = ""  # the cause in words
    cure: str = ""  # what to do first
    retry_at: float | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it is under way."""
        return None if self.ended is None else max(0.0, self.ended - self.began)

    @property
    def megabytes_per_s(self) -> float | None:
        """1 MB = 10^6 bytes; None where nothing can be said."""
        return self.bytes / 1e6 / self.seconds if self.seconds and self.images else None


def attempts(connection: Connection, node: str, number: int) -> list[Attempt]:
    """The attempts of a delivery in their order; [] if it is unknown or was never begun."""
    row = connection.execute(
        select(delivery.c.images, delivery.c.bytes).where(delivery.c.node == node, delivery.c.delivery == number)
    ).first()
    wanted = select(*EVENT_COLUMNS).where(event.c.node == node, event.c.delivery == number)
    rows = plain(connection, wanted.order_by(event.c.epoch, event.c.seq).limit(MAX_EVENTS))
    each = (row.bytes or 0) / row.images if row is not None and row.images else 0.0
    return attempts_of(rows, {number: each})


def attempts_of(events: Iterable[Mapping[str, Any]], sizes: Mapping[int, float]) -> list[Attempt]:
    """Attempts out of event rows in their order, of one delivery or several; `sizes` has the bytes of an image of each."""
    told: list[Attempt] = []
    under_way: dict[int, Attempt] = {}
    for row in events:
        data, number = row["data"], row["delivery"]
        if row["type"] not in MADE_OF or number is None or not isinstance(data, Mapping):
            continue
        if row["type"] == "delivery.claimed":
            under_way[number] = Attempt(number, str(data.get("target", "")), _whole(data.get("attempt")), row["time"],
                                        str(data.get("owner", "")))  # fmt: skip
            told.append(under_way[number])
        elif (attempt := under_way.get(number)) is not None:
            if row["type"] in OUTCOMES:
                _end(under_way.pop(number), row, data)
            else:
                _count(attempt, row["type"], data.get("images"), sizes.get(number, 0.0))
    return told


def _count(attempt: Attempt, kind: str, images: Any, each: float) -> None:
    if not isinstance(images, list):
        return
    if kind == "delivery.images.skipped":
        attempt.skipped += len(images)
        return
    attempt.images += len(images)
    attempt.bytes = round(attempt.images * each)
    found = Counter(one[1] for one in images if isinstance(one, list) and len(one) == 2 and type(one[1]) is int)
    for status, count in found.items():
        if status:
            attempt.statuses[status] = attempt.statuses.get(status, 0) + count


def _end(attempt: Attempt, row: Plain | Mapping[str, Any], data: Mapping[str, Any]) -> None:
    attempt.ended, attempt.outcome = row["time"], OUTCOMES[row["type"]]
    attempt.error = str(data.get("error") or data.get("reason") or "")
    attempt.cause = str(data.get("cause") or "")
    if attempt.cause:
        attempt.means, attempt.cure = hint(attempt.cause).means, hint(attempt.cause).first
    attempt.retry_at = data.get("retry_at") or None


def _whole(value: Any) -> int:
    return value if type(value) is int else 0
