"""From an arrival and the rules to the verdict that the spool records. Pure: values in, values out.
It must not read or write anything; `deciding` and `commands` do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import Any

from protocol.routing.decide import NOTHING, Case, PlannedDelivery, RuleResult, decide
from protocol.routing.model import RoutingConfiguration
from protocol.routing.origin import moment, origin_of
from protocol.routing.rules.subject import Subject
from protocol.routing.terms import period_of
from protocol.spool.arrivals import ArrivalHeaders, TargetChoice, Verdict
from protocol.spool.headers import StudyHeaders, Values
from protocol.states import Priority

Used = Mapping[str, int]
NOTHING_USED: Used = {}
EARLIER = "goes where the earlier images of its series went"


def case_of(
    headers: ArrivalHeaders, zone: tzinfo | None, used: Used = NOTHING_USED, *, lifted: bool = False,
    awaited: Collection[str] = (),
) -> Case:  # fmt: skip
    """The arrival as rules see it: its origin, the headers of all images of its series, what quotas have counted."""
    subject = _subject(headers.arrival, headers.common, headers.differing, zone)
    received = moment(headers.arrival["opened"], zone)
    addendum = bool(headers.arrival["addendum_of"]) and bool(headers.earlier_targets)
    return Case(subject, received, used, addendum=addendum, lifted=lifted, own=headers.own, awaited=awaited)


def study_case(headers: StudyHeaders, zone: tzinfo | None, used: Used = NOTHING_USED, *, again: bool = False) -> Case:
    """A study as study rules see it: the headers of all its images, and the origin of its first series. `again`: the rule
    acted on earlier series of it, which its quota has counted.
    """
    first = headers.arrivals[0]
    subject = _subject(first, headers.common, headers.differing, zone)
    return Case(subject, moment(first["opened"], zone), used, addendum=again)


def image_case(
    arrival: Mapping[str, Any], common: Values, image: Values, zone: tzinfo | None, used: Used = NOTHING_USED, *,
    lifted: bool = False,
) -> Case:  # fmt: skip
    """One image as image rules see it."""
    return Case(_subject(arrival, common, (image,), zone), moment(arrival["opened"], zone), used, lifted=lifted)


def _subject(arrival: Mapping[str, Any], common: Values, images: Sequence[Values], zone: tzinfo | None) -> Subject:
    origin = origin_of(
        calling_ae=arrival["calling_ae"], address=arrival["address"], called_ae=arrival["called_ae"],
        source=arrival["source"], images=len(images), received=arrival["opened"],
    )  # fmt: skip
    return Subject(images, origin, common, zone)


def periods(configuration: RoutingConfiguration, received: float, zone: tzinfo | None) -> dict[str, str]:
    """Where the quotas of the rules would count something received then: rule -> period."""
    at = moment(received, zone)
    return {rule.name: period_of(rule.quota, at) for rule in configuration.rules if rule.quota is not None}


def verdict_for(
    configuration: RoutingConfiguration,
    revision: int,
    headers: ArrivalHeaders,
    case: Case,
    *,
    complete: bool = False,
    answered: Mapping[str, RuleResult] = NOTHING,
    command: int = 0,
) -> Verdict:
    """What the rules say, and that an addendum goes at least where the earlier arrivals of its series went.

    `complete` and `answered` as `decide` has them; what was told before the study was complete is not told again.
    """
    decision = decide(configuration, revision, case, complete=complete, answered=answered)
    outcome: str = decision.outcome
    targets = choices(decision.deliveries)
    reason = decision.reason
    if case.lifted and outcome != "hold":
        reason = f"released by a person, {reason}"
    if outcome != "hold" and headers.earlier_targets:
        if outcome in ("discard", "wait"):
            outcome, reason = "route", f"addendum: {EARLIER} (rules alone: {reason})"
        targets = with_earlier(targets, headers.earlier_targets)
    fallbacks = {rule.name for rule in configuration.rules if rule.fallback}
    asked = [result for result in decision.results if result.trigger == "series"]
    new = [result for result in decision.results if not complete or (result in asked and result.rule in fallbacks)]
    explanation = {**decision.to_data(), "earlier_targets": [list(pair) for pair in headers.earlier_targets]}
    return Verdict(
        outcome,
        revision,
        targets if outcome == "route" else (),
        [result.rule for result in decision.results if result.applied],
        reason,
        explanation,
        failed_rules(new),
        command,
        [(wait.rule, wait.counts) for wait in decision.waits],
        counted(result for result in new if result.trigger == "series"),
        [] if outcome == "wait" else [(one.rule, one.period) for one in asked if one.applied and one.period],
        singles=sorted({at for result in decision.results for at in result.wanted}),
    )  # fmt: skip


def counted(results: Iterable[RuleResult]) -> dict[str, str]:
    """What the counters of rules take: of shadow rules every result, of others what applied or failed."""
    return {
        result.rule: "blocked" if result.blocked and result.counts else str(result.result)
        for result in results
        if result.result is not None and (not result.counts or result.applied or result.failed or result.blocked)
    }


def choices(deliveries: Iterable[PlannedDelivery]) -> list[TargetChoice]:
    """Planned deliveries as the spool takes them."""
    return [TargetChoice(one.name, one.is_group, Priority(one.priority), rules=one.rules) for one in deliveries]


def with_earlier(targets: list[TargetChoice], earlier: Iterable[tuple[str, str]]) -> list[TargetChoice]:
    """Add the targets of earlier arrivals; a group that was bound to a member stays with that member."""
    wanted = {target.name: target for target in targets}
    for name, group in earlier:
        if group and group != name:
            replaced = wanted.pop(group, None)
            priority = replaced.priority if replaced else Priority.NORMAL
            rules = replaced.rules if replaced else ()
            wanted.setdefault(name, TargetChoice(name, False, priority, group, rules))
        else:
            wanted.setdefault(name, TargetChoice(name, bool(group)))
    return list(wanted.values())


def failed_rules(results: Iterable[RuleResult]) -> dict[str, str]:
    """Why each rule that counts was an error: clause and reason, without any value it read (known-failures 45)."""
    return {
        result.rule: error_of(result.explanation) or "the rule could not be evaluated"
        for result in results
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
