"""Tells an arrival's story in words: rows of the ledger become entries of a timeline. Pure; it must not ask a database.
Titles and facts hold UIDs, AE titles, names of targets and rules, never patient data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from typing import Any

from protocol.ledger.history.asked import Plain
from protocol.ledger.history.attempts import Attempt, attempts_of
from protocol.ledger.history.words import (
    ATTEMPT_WORDS,
    COMPLETE_WORDS,
    DECISION_WORDS,
    listed,
    plural,
    seconds_words,
    status_words,
)
from protocol.records import record
from protocol.wire.messages import ERROR, INFO, WARNING


@record
class Entry:
    """One thing that happened. `time` in seconds since 1970 UTC, `gap_s` since the entry before (None: the first one)."""

    time: float
    kind: str  # of what: the event's type, or image.first, image.last, attempt.began, attempt.ended
    title: str  # in words, one line
    facts: Plain = field(default_factory=dict)  # name -> value, for a table below the title
    severity: int = INFO  # OpenTelemetry, protocol/wire/messages
    gap_s: float | None = None
    delivery: int | None = None
    target: str = ""


@record
class Story:
    """Rows of one arrival. `images` has one row per association and mark: images, bytes, first, last."""

    arrival: Plain
    associations: list[Plain] = field(default_factory=list)
    images: list[Plain] = field(default_factory=list)
    quarantined: list[Plain] = field(default_factory=list)
    events: list[Plain] = field(default_factory=list)


def tell(story: Story) -> list[Entry]:
    """Everything in the order of time; what happened at one time stands as its causes do."""
    entries = [
        *_received(story),
        *(entry for row in story.events if (teller := TELLERS.get(row["type"])) and (entry := teller(row, _data(row)))),
        *(entry for attempt in attempts_of(story.events, _sizes(story)) for entry in _attempt(attempt)),
    ]
    entries.sort(key=lambda entry: entry.time)  # stable
    before: float | None = None
    told = []
    for entry in entries:
        told.append(replace(entry, gap_s=None if before is None else max(0.0, entry.time - before)))
        before = entry.time
    return told


def _data(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return row["data"] if isinstance(row["data"], Mapping) else {}


def _sizes(story: Story) -> dict[int, float]:
    """Bytes of an average image of each delivery."""
    rows = story.arrival.get("deliveries", [])
    return {row["delivery"]: (row["bytes"] or 0) / row["images"] for row in rows if row["images"]}


# ---- receiving --------------------------------------------------------------------------------------------------
def _received(story: Story) -> Iterator[Entry]:
    for row in story.associations:
        facts = {"address": row["address"], "calling_ae": row["calling_ae"], "called_ae": row["called_ae"]}
        if row["opened"] is not None:
            yield Entry(row["opened"], "association.opened", f"{row['calling_ae'] or 'Somebody'} connected", facts)
        if row["closed"] is not None:
            aborted = row["state"] != "released"
            title = "The association was aborted" if aborted else "The association was released"
            yield Entry(row["closed"], "association.closed", title, {"images": row["images"], "bytes": row["bytes"]},
                        WARNING if aborted else INFO)  # fmt: skip
    kept = [row for row in story.images if row["mark"] != "duplicate" and row["first"] is not None]
    if kept:
        count, size = sum(row["images"] for row in kept), sum(row["bytes"] or 0 for row in kept)
        first, last = min(row["first"] for row in kept), max(row["last"] for row in kept)
        yield Entry(first, "image.first", "The first image came in")
        yield Entry(last, "image.last", f"The last of {plural(count, 'image')} came in",
                    {"images": count, "bytes": size, "seconds": round(last - first, 3)})  # fmt: skip
    for row in story.images:
        if row["mark"] == "duplicate" and row["last"] is not None:
            title = (
                f"{plural(row['images'], 'image')} came again, bit for bit, and {_was(row['images'])} not kept twice"
            )
            yield Entry(row["last"], "image.duplicate", title)
        if row["mark"] == "superseded" and row["last"] is not None:
            yield Entry(row["last"], "image.superseded", f"{plural(row['images'], 'image')} {_was(row['images'])} replaced"
                        " by a newer version", severity=WARNING)  # fmt: skip
    for row in story.quarantined:
        if row["received"] is not None:
            yield Entry(row["received"], "image.quarantined", "An object of the same association was quarantined",
                        {"receipt": row["receipt"], "reason": row["reason"]}, WARNING)  # fmt: skip


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


# ---- attempts ---------------------------------------------------------------------------------------------------
def _attempt(attempt: Attempt) -> Iterator[Entry]:
    common = {"delivery": attempt.delivery, "target": attempt.target}
    yield Entry(attempt.began, "attempt.began", f"Attempt {attempt.number} to {attempt.target} began",
                {"owner": attempt.owner}, **common)  # type: ignore[arg-type]  # fmt: skip
    if attempt.ended is None:
        return
    rate = attempt.megabytes_per_s
    facts = {
        "images": attempt.images, "skipped": attempt.skipped or None, "seconds": round(attempt.seconds or 0.0, 3),
        "megabytes_per_s": None if rate is None else round(rate, 2),
        "statuses": {status_words(status): count for status, count in attempt.statuses.items()} or None,
        "error": attempt.error or None, "cause": attempt.cause or None, "means": attempt.means or None,
        "cure": attempt.cure or None, "retry_at": attempt.retry_at,
    }  # fmt: skip
    words, severity = ATTEMPT_WORDS[attempt.outcome]
    sent = f"{plural(attempt.images, 'image')} in {seconds_words(attempt.seconds or 0.0)}"
    title = f"Attempt {attempt.number} to {attempt.target} {words}: {attempt.means.rstrip('.') or sent}"
    yield Entry(attempt.ended, "attempt.ended", title, {name: value for name, value in facts.items() if value is not None},
                severity, **common)  # type: ignore[arg-type]  # fmt: skip


# ---- events -----------------------------------------------------------------------------------------------------
Row = Mapping[str, Any]
Teller = Callable[[Row, Row], Entry | None]
TELLERS: dict[str, Teller] = {}


def _on(*types: str) -> Callable[[Teller], Teller]:
    def register(teller: Teller) -> Teller:
        TELLERS.update(dict.fromkeys(types, teller))
        return teller

    return register


def _entry(row: Row, title: str, *facts: str, severity: int | None = None, **more: Any) -> Entry:
    """An entry of an event with some of its fields as facts; who did it and why always, if somebody did."""
    data = _data(row)
    named = {
        name: data[name] for name in (*facts, "by", "reason", "command") if data.get(name) not in (None, "", 0, [])
    }
    return Entry(row["time"], row["type"], title, named | more, row["severity"] if severity is None else severity,
                 delivery=row["delivery"], target=str(data.get("target", "")))  # fmt: skip


@_on("arrival.opened")
def _opened(row: Row, data: Row) -> Entry | None:
    late = data.get("addendum_of")
    return (
        _entry(row, f"A late part of arrival {late} began", "addendum_of") if late else _entry(row, "The series began")
    )


@_on("arrival.completed")
def _completed(row: Row, data: Row) -> Entry | None:
    why = COMPLETE_WORDS.get(str(data.get("why")), str(data.get("why")))
    return _entry(row, f"Complete with {plural(data.get('images', 0), 'image')}: {why}", "images", "bytes", "why")


@_on("arrival.decided")
def _decided(row: Row, data: Row) -> Entry | None:
    said = DECISION_WORDS.get(str(data.get("outcome")), str(data.get("outcome")))
    where = f" to {listed(data.get('targets'))}" if data.get("outcome") == "route" else ""
    whose = f" by {listed(data.get('rules'))}" if data.get("rules") else ""
    return _entry(row, f"Decision: {said}{where}{whose}", "revision", "rules", "targets", "decision")


@_on("arrival.images.routed")
def _images_routed(row: Row, data: Row) -> Entry | None:
    title = f"{plural(data.get('images', 0), 'image')} sent at once to {listed(data.get('targets'))}"
    return _entry(row, title, "revision", "rules", "targets", "images")


@_on("rule.failed")
def _rule_failed(row: Row, data: Row) -> Entry | None:
    return _entry(row, f"Rule {data.get('rule')} could not be evaluated", "rule", "revision", "error")


_SIMPLE = {
    "arrival.discarded": "Discarded", "arrival.held": "Held: set aside until a person acts",
    "arrival.released": "Released by a person", "arrival.delivered": "Delivered: every delivery is finished",
    "arrival.kept": "A person said how long it is kept", "arrival.deleted": "Its files were deleted here",
}  # fmt: skip


@_on(*_SIMPLE)
def _simple(row: Row, data: Row) -> Entry | None:
    return _entry(row, _SIMPLE[row["type"]], "images", "bytes", "policy", "by", "reason")


_DELIVERY = {
    "delivery.created": "Delivery {delivery} to {target} was created",
    "delivery.unbound": "Delivery {delivery} left {member} and waits for another member of {target}",
    "delivery.begun_anew": "Delivery {delivery} begins anew: {target} is another place than that where its images went",
    "delivery.redirected": "Delivery {delivery} goes to {target} instead of {before}",
    "delivery.retried": "Delivery {delivery} to {target} was sent back to the queue",
    "delivery.cancelled": "Delivery {delivery} to {target} was cancelled",
    "delivery.prioritised": "Delivery {delivery} to {target} became {priority}",
    "delivery.completed": "Delivery {delivery} to {target} is complete: every image is confirmed",
    "delivery.parked": "Delivery {delivery} to {target} is parked and waits for a person",
    "delivery.held": "Delivery {delivery} to {target} is held",
    "confirmation.asked": "{target} was asked to commit to {images} images",
    "confirmation.answered": "{target} committed to {committed} images and refused {failed}",
}  # fmt: skip
_DELIVERY_FACTS = (
    "priority",
    "images",
    "bytes",
    "seconds",
    "warnings",
    "attempts",
    "error",
    "cause",
    "transaction_uid",
)


class _Missing(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


@_on(*_DELIVERY)
def _delivery(row: Row, data: Row) -> Entry | None:
    severity = ERROR if row["type"] == "confirmation.answered" and data.get("failed") else None
    return _entry(row, _DELIVERY[row["type"]].format_map(_Missing(data)), *_DELIVERY_FACTS, severity=severity)
