"""From an arrival and the rules to the verdict that the spool records. Pure: values in, values out.
It must not read or write anything; `deciding` and `commands` do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from protocol.routing.decide import Decision, PlannedDelivery, decide
from protocol.routing.model import RoutingConfiguration
from protocol.routing.rules.subject import Subject
from protocol.spool.arrivals import ArrivalHeaders, TargetChoice, Verdict
from protocol.states import Priority

EARLIER = "goes where the earlier images of its series went"


def subject_of(headers: ArrivalHeaders) -> Subject:
    """The arrival as rules see it: its origin, and the headers of all images of its series."""
    arrival = headers.arrival
    origin = {
        "SenderAET": arrival["calling_ae"],
        "SenderAddress": arrival["address"],
        "ReceiverAET": arrival["called_ae"],
        "Source": arrival["source"],
        "ImageCount": len(headers.images),
        "ReceivedAt": datetime.fromtimestamp(arrival["opened"], UTC).isoformat(),
    }
    return Subject(headers.images, origin)


def verdict_for(
    configuration: RoutingConfiguration,
    revision: int,
    headers: ArrivalHeaders,
    *,
    released: bool = False,
    command: int = 0,
) -> Verdict:
    """What the rules say, and that an addendum goes at least where the earlier arrivals of its series went.

    `released`: a person let go of a held arrival; then hold rules do not count, and what follows is what the others say.
    """
    decision = decide(configuration, revision, subject_of(headers))
    outcome: str = decision.outcome
    targets = choices(decision.deliveries)
    reason = decision.reason
    if outcome == "hold" and released and not decision.flagged:
        outcome, reason = ("route" if targets else "discard"), f"released by a person, was {reason}"
    if outcome != "hold" and headers.earlier_targets:
        if outcome == "discard":
            outcome, reason = "route", f"addendum: {EARLIER} (rules alone: {reason})"
        targets = with_earlier(targets, headers.earlier_targets)
    explanation = {**decision.to_data(), "earlier_targets": [list(pair) for pair in headers.earlier_targets]}
    return Verdict(
        outcome,
        revision,
        targets if outcome == "route" else (),
        [result.rule for result in decision.results if result.applied],
        reason,
        explanation,
        failed_rules(decision),
        command,
    )


def choices(deliveries: Iterable[PlannedDelivery]) -> list[TargetChoice]:
    """Planned deliveries as the spool takes them."""
    return [TargetChoice(one.name, one.is_group, Priority(one.priority)) for one in deliveries]


def with_earlier(targets: list[TargetChoice], earlier: Iterable[tuple[str, str]]) -> list[TargetChoice]:
    """Add the targets of earlier arrivals; a group that was bound to a member stays with that member."""
    wanted = {target.name: target for target in targets}
    for name, group in earlier:
        if group and group != name:
            replaced = wanted.pop(group, None)
            priority = replaced.priority if replaced else Priority.NORMAL
            wanted.setdefault(name, TargetChoice(name, False, priority))
        else:
            wanted.setdefault(name, TargetChoice(name, bool(group)))
    return list(wanted.values())


def failed_rules(decision: Decision) -> dict[str, str]:
    """Why each rule that counts was an error: clause and reason, without any value it read (known-failures 45)."""
    return {
        result.rule: error_of(result.explanation) or "the rule could not be evaluated"
        for result in decision.results
        if result.failed
    }


def error_of(explanation: Mapping[str, Any]) -> str:
    """The innermost clause of an explanation that is an error, and its reason."""
    for clause in explanation.get("clauses", ()):
        if clause.get("result") == "error":
            return error_of(clause)
    if explanation.get("result") != "error":
        return ""
    return f"{explanation.get('text', '')}: {explanation.get('reason', 'error')}"
