"""Everything about one series: fetched from the spool, with the attempts that the ledger tells, or from the ledger alone.
It must not know HTTP or templates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from protocol.errors import LedgerUnavailable, NotFound, SpoolMissing
from protocol.ledger.engine import Connection
from protocol.ledger.history import Attempt, Entry, attempts_of
from protocol.ledger.history.abouts import all_values
from protocol.ledger.history.telling import tell
from protocol.ledger.history.timeline import story as ledger_story
from protocol.records import record
from protocol.routing.targets import Target
from protocol.settings.model import Cleaner
from protocol.spool import Spool
from protocol.wire.messages import ERROR, WARNING
from webgui import words as general
from webgui.areas.series.lines import Line, of_ledger, of_spool
from webgui.areas.series.timeline import Step, Told, steps
from webgui.areas.series.words import seconds as gap_words
from webgui.holdups import holdup
from webgui.node import Node

Row = Mapping[str, Any]
NO_LEDGER = "The ledger's database is away: attempts are told by their last outcome alone."
ONLY_LEDGER = "The spool has forgotten this series; this is what the ledger recorded."
HOUR_S = 3600.0


@record
class Story:
    """One series. `here`: the spool knows it; `about` and `line` hold patient data."""

    line: Line
    arrival: Row
    about: Row
    steps: list[Step]
    decisions: list[Row] = field(default_factory=list)
    deliveries: list[Row] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    kinds: list[Row] = field(default_factory=list)
    here: bool = True
    kept_until: float | None = None
    notes: list[str] = field(default_factory=list)
    told: Told | None = None


def retold(one: Story) -> Story:
    """Its timeline again, out of decisions that were changed."""
    return one if one.told is None else replace(one, steps=steps(replace(one.told, decisions=one.decisions)))


async def story(node: Node, id: int) -> Story:
    """Raises NotFound if neither spool nor ledger know it."""
    try:
        told, line, about = await node.spool(lambda spool: _of_spool(spool, id, node.clock.now()))
    except (NotFound, SpoolMissing):
        return await _of_ledger_alone(node, id)
    targets = (await node.run(node.routing.current)).configuration.targets
    told = replace(told, kept_until=kept_until(told.arrival, told.deliveries, node.settings.cleaner, targets))
    notes = []
    try:
        attempts = await node.ledger(lambda connection: _attempts(connection, node.name, id, told))
    except LedgerUnavailable:
        attempts, notes = [], [NO_LEDGER]
    told = replace(told, attempts=attempts)
    return Story(line, told.arrival, about, steps(told), list(told.decisions), list(told.deliveries), attempts,
                 told.reception["kinds"], True, told.kept_until, notes, told)  # fmt: skip


def _of_spool(spool: Spool, id: int, now: float) -> tuple[Told, Line, Row]:
    whole = spool.arrivals.story(id, with_images=False)
    row = spool.browsing.arrivals([id])[id]
    targets = spool.targets.all()
    holdups = {
        one["id"]: holdup(one["state"], one["due"], targets.get(one["target"]), now) for one in whole["deliveries"]
    }
    told = Told(
        whole["arrival"], whole["decisions"], whole["deliveries"], whole["acts"], spool.browsing.associations(id),
        spool.browsing.reception(id), spool.studies.waits_of(id), spool.browsing.confirmations(id),
        holdups=holdups,
    )  # fmt: skip
    return told, of_spool(row), row["about"]


def _attempts(connection: Connection, node: str, id: int, told: Told) -> list[Attempt]:
    found = ledger_story(connection, node, id)
    if found is None:
        return []
    sizes = {row["id"]: row["bytes"] / row["images"] for row in told.deliveries if row["images"]}
    return attempts_of(found.events, sizes)


async def _of_ledger_alone(node: Node, id: int) -> Story:
    def ask(connection: Connection) -> Any:
        found = ledger_story(connection, node.name, id)
        return None if found is None else (found, all_values(connection, (node.name, id)))

    try:
        answer = await node.ledger(ask)
    except LedgerUnavailable as exc:
        raise NotFound(f"the spool does not know series {id}, and the ledger cannot be asked now") from exc
    if answer is None:
        raise NotFound(f"there is no series {id}")
    found, about = answer
    arrival = {"addendum_of": 0, "called_ae": "", "address": "", **found.arrival, "id": id}
    return Story(
        of_ledger(found.arrival, about), arrival, about, [_step(entry) for entry in tell(found)],
        attempts=attempts_of(found.events, {}), here=False, notes=[ONLY_LEDGER],
    )  # fmt: skip


def _step(entry: Entry) -> Step:
    level = "bad" if entry.severity >= ERROR else "warn" if entry.severity >= WARNING else "ok"
    lines = [f"{name.replace('_', ' ')}: {_fact(name, value)}" for name, value in entry.facts.items()
             if not isinstance(value, dict) and name not in ("means", "cure")]  # fmt: skip
    gap = gap_words(entry.gap_s) if entry.gap_s is not None and entry.gap_s >= 0.05 else ""
    return Step(entry.time, level, entry.title, lines, help=str(entry.facts.get("cure", "")), gap=gap)


def _fact(name: str, value: Any) -> str:
    if name == "bytes" and isinstance(value, int | float):
        return general.size(value)
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def kept_until(
    arrival: Row, deliveries: list[Row] | Any, settings: Cleaner, targets: Mapping[str, Target]
) -> float | None:
    """When retention, and who wanted it kept longer, let a finished series go, seconds UTC; None: it is not finished."""
    wanted = float(arrival.get("keep_until") or 0.0)
    if arrival["state"] == "discarded":
        return max(wanted, float(arrival["since"]) + settings.retention_discarded_h * HOUR_S)
    if arrival["state"] != "delivered":
        return wanted or None
    reached = [targets[row["target"]] for row in deliveries if row["state"] == "delivered" and row["target"] in targets]
    hours = [settings.retention_delivered_h, *(one.retention_h for one in reached if one.retention_h is not None)]
    return max(wanted, float(arrival["since"]) + max(hours) * HOUR_S)
