"""The timeline of a series: rows of spool and ledger told in the order of time, with the gaps between them. Pure.

Titles hold AE titles, UIDs, names of targets and rules; what rules read (patient data) stands in `rules` alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime, tzinfo
from typing import Any

from protocol.causes import hint
from protocol.records import record
from webgui import words as general
from webgui.areas.series import words
from webgui.areas.series.why import RuleSaid, said
from webgui.holdups import Holdup

Row = Mapping[str, Any]
LITTLE_S = 0.05
"""A shorter gap is not worth a line."""


@record
class Step:
    """One thing that happened (`time` in seconds UTC); `level` colours its mark. `gap` is the time since the one before."""

    time: float
    level: str
    title: str
    lines: list[str] = field(default_factory=list)
    rules: list[RuleSaid] = field(default_factory=list)
    help: str = ""
    """What to do first, where something failed."""
    gap: str = ""
    ahead: bool = False
    """It has not happened yet."""
    day: str = ""
    """The first of its day."""

    def clock(self, zone: tzinfo | None) -> str:
        """Time of day in a zone, this machine's if none is given; to the millisecond for what has happened."""
        told = datetime.fromtimestamp(self.time, zone)
        return told.strftime("%H:%M") if self.ahead else f"{told:%H:%M:%S}.{told.microsecond // 1000:03}"


@record
class Told:
    """What a timeline is made of; see `spool.arrivals.story` and `spool.browsing`. `attempts`: the ledger's, if it has them."""

    arrival: Row
    decisions: Sequence[Row] = ()
    deliveries: Sequence[Row] = ()
    acts: Sequence[Row] = ()
    associations: Sequence[Row] = ()
    reception: Row = field(default_factory=dict)
    waits: Sequence[Row] = ()
    confirmations: Sequence[Row] = ()
    attempts: Sequence[Any] = ()
    holdups: Mapping[int, Holdup] = field(default_factory=dict)
    kept_until: float | None = None


def steps(told: Told) -> list[Step]:
    """Everything in order; what happened at one time stands as causes stand before effects."""
    found = [
        *_received(told),
        *_decided(told),
        *_waited(told),
        *_delivered(told),
        *_confirmed(told),
        *_acted(told),
        *_ended(told),
    ]
    found.sort(key=lambda step: step.time)
    before: float | None = None
    made = []
    for step in found:
        gap = 0.0 if before is None or step.ahead else step.time - before
        made.append(replace(step, gap=words.seconds(gap) if gap >= LITTLE_S else ""))
        before = step.time
    return made


def with_days(found: Sequence[Step], zone: tzinfo | None) -> list[Step]:
    """The same, each first one of a day of this zone with its date."""
    days = [f"{datetime.fromtimestamp(step.time, zone):%A, %d %B %Y}" for step in found]
    return [replace(step, day="" if at and days[at - 1] == days[at] else days[at]) for at, step in enumerate(found)]


# ---- receiving --------------------------------------------------------------------------------------------------
def _received(told: Told) -> Iterator[Step]:
    arrival = told.arrival
    for one in told.associations:
        yield Step(one["opened"], "busy", f"{one['calling_ae']} connected",
                   [f"from {one['address']}, calling {one['called_ae']}"])  # fmt: skip
        if one["closed"] is not None:
            aborted = one["state"] != "released"
            brought = f"{general.count(one['images'], 'image')}, {general.size(one['bytes'])} in all"
            yield Step(one["closed"], "warn" if aborted else "ok",
                       "The association was aborted" if aborted else "The association was released", [brought])  # fmt: skip
    first, last = told.reception.get("first"), told.reception.get("last")
    late = arrival["addendum_of"]
    if first is not None:
        title = f"First image of a late part of series {late}" if late else "First image"
        yield Step(first, "busy", title)
    if last is not None and arrival["images"] > 1:
        took = max(0.0, last - (first or last))
        rate = f", {general.size(arrival['bytes'] / took)}/s" if took > 0.5 else ""
        within = f" in {words.seconds(took)}{rate}" if took else ""  # small ones are recorded together, at one moment
        size = general.size(arrival["bytes"])
        yield Step(last, "busy", "Last image", [f"{general.count(arrival['images'], 'image')}, {size}{within}"])
    if arrival["closed"] is not None:
        why = words.COMPLETE.get(arrival["why"] or "", arrival["why"] or "")
        yield Step(arrival["closed"], "ok", f"Complete with {general.count(arrival['images'], 'image')}", [why])


# ---- deciding ---------------------------------------------------------------------------------------------------
def _decided(told: Told) -> Iterator[Step]:
    for row in told.decisions:
        one = said(row)
        version = f" (version {one.revision})" if one.revision else ""
        goes = f" to {', '.join(one.deliveries)}" if one.deliveries and row["outcome"] == "route" else ""
        yield Step(one.time, one.chip[0], f"Rules{version}: {one.chip[1].lower()}{goes}", [one.reason], one.rules)


def _waited(told: Told) -> Iterator[Step]:
    for wait in told.waits:
        yield Step(wait["opened"], "wait", f"Waits for its study because of rule {wait['rule']}")
        if wait["ended"] is not None:
            yield Step(
                wait["ended"], "ok", f"Rule {wait['rule']} was asked about the study: {wait['result']}", [wait["why"]]
            )


# ---- delivering -------------------------------------------------------------------------------------------------
def _delivered(told: Told) -> Iterator[Step]:
    tried = {attempt.delivery for attempt in told.attempts}
    for attempt in told.attempts:
        yield from _attempt(attempt)
    for row in told.deliveries:
        group = f" (a member of {row['target_group']})" if row["target_group"] not in ("", row["target"]) else ""
        priority = words.PRIORITIES[row["priority"]] if 0 <= row["priority"] < 3 else ""
        yield Step(
            row["created"], "wait", f"Queued for {row['target']}{group}", [f"delivery {row['id']}, {priority} priority"]
        )
        if row["id"] not in tried:
            yield from _attempts_alone(row)
        if row["state"] == "delivered" and row["finished"] is not None:
            yield Step(row["finished"], "ok", f"Delivered to {row['target']}", [_outcome(row)])
        elif row["state"] == "cancelled" and row["finished"] is not None:
            yield Step(row["finished"], "off", f"Delivery to {row['target']} was cancelled")
        elif row["state"] == "retrying":
            yield from _next(row["target"], told.holdups.get(row["id"]) or Holdup(row["due"]))


def _next(target: str, holdup: Holdup) -> Iterator[Step]:
    """When it goes on, if that is known: while a target is paused nothing is tried, and what is due goes at any moment."""
    if holdup.paused:
        if holdup.until is not None:
            yield Step(holdup.until, "held", f"The pause of {target} ends", [holdup.paused], ahead=True)
    elif holdup.due is not None and not holdup.overdue:
        yield Step(holdup.due, "wait", f"Next {'probe of' if holdup.probed else 'try at'} {target}", ahead=True)


def _confirmed(told: Told) -> Iterator[Step]:
    for one in told.confirmations:
        yield Step(
            one["asked"], "busy", f"{one['target']} was asked to commit to {general.count(one['count'], 'image')}"
        )
        if one["answered"] is not None:
            failed = one["failed"]
            title = f"{one['target']} committed to " + (f"all but {failed}" if failed else "all of them")
            yield Step(one["answered"], "bad" if failed else "ok", title)


def _outcome(row: Row) -> str:
    parts = [f"{row['sent']} of {row['images']} images"]
    parts += [f"{row['warnings']} with a warning"] if row["warnings"] else []
    parts += [f"{row['skipped']} were there already"] if row.get("skipped") else []
    parts += [f"{row['transcoded']} transcoded"] if row.get("transcoded") else []
    parts += [general.count(row["attempts"], "attempt")]
    return ", ".join(parts)


def _attempts_alone(row: Row) -> Iterator[Step]:
    """What the delivery's own row says, where the ledger does not tell each attempt."""
    if row["first_tried"] is not None:
        yield Step(row["first_tried"], "busy", f"First attempt at {row['target']}")
    if row["error"] and row["state"] in ("retrying", "parked", "held", "waiting"):
        cause = hint(row["cause"]) if row["cause"] else None
        at = row["moved"] or row["claimed"] or row["created"]
        level = {"parked": "bad", "held": "held"}.get(row["state"], "warn")
        word = {"parked": "gave up", "held": "is held"}.get(row["state"], "failed")
        yield Step(at, level, f"{row['target']} {word}" + (f": {cause.means}" if cause else ""), [row["error"]],
                   help=cause.first if cause else "")  # fmt: skip


def _attempt(attempt: Any) -> Iterator[Step]:
    level, word = words.OUTCOME_OF_ATTEMPT.get(attempt.outcome, ("warn", attempt.outcome))
    lines = []
    if attempt.images or attempt.skipped:
        rate = attempt.megabytes_per_s
        took = f" in {words.seconds(attempt.seconds)}" if attempt.seconds is not None else ""
        lines.append(
            general.count(attempt.images, "image") + took + (f", {general.size(rate * 1e6)}/s" if rate else "")
        )
    others = sum(attempt.statuses.values())
    plain = attempt.images - others
    answers = [f"{plain} × {words.status(0)}"] if plain > 0 else []
    answers += [f"{count} × {words.status(status)}" for status, count in sorted(attempt.statuses.items())]
    lines += [", ".join(answers)] if answers else []
    lines += [attempt.error] if attempt.error else []
    means = f": {attempt.means}" if attempt.means else ""
    title = f"Attempt {attempt.number} at {attempt.target} {word}{means}"
    yield Step(attempt.ended or attempt.began, level, title, lines, help=attempt.cure)


# ---- people, and the end ----------------------------------------------------------------------------------------
def _acted(told: Told) -> Iterator[Step]:
    for act in told.acts:
        what = words.ACTS.get(act["kind"], act["kind"])
        on = f" {act['delivery']}" if act["delivery"] else ""
        refused = act["outcome"] != "done"
        lines = [f"because: {act['reason']}"] if act["reason"] else []
        yield Step(act["time"], "bad" if refused else "held", f"{act['by'] or 'Somebody'} {what}{on}",
                   [*lines, act["outcome"]] if refused else lines)  # fmt: skip


def _ended(told: Told) -> Iterator[Step]:
    arrival = told.arrival
    if arrival["state"] == "held":
        yield Step(arrival["since"], "held", "Held: set aside until a person acts", [arrival["reason"]])
    elif arrival["state"] == "deleted":
        yield Step(arrival["since"], "off", "Its files were deleted here")
    elif told.kept_until is not None:
        yield Step(told.kept_until, "off", "Kept here at least until then", ahead=True)
