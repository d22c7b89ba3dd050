"""The decision about one arrival: which rules apply, and what follows. A pure function of its arguments.

It must not read or write anything, nor know time; nothing it comes to can lose an arrival: an error holds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from protocol.routing.judging import (
    Case,
    Decision,
    Outcome,
    PlannedDelivery,
    RuleResult,
    Wait,
    evaluated,
    judged_images,
    not_asked,
)
from protocol.routing.model import PRIORITIES, RoutingConfiguration, Rule
from protocol.routing.terms import not_in_force

__all__ = [
    "Case",
    "Decision",
    "Outcome",
    "PlannedDelivery",
    "RuleResult",
    "Wait",
    "decide",
    "decide_image",
    "decide_study",
]

NOTHING: Mapping[str, RuleResult] = {}
LATER = "is asked once the study is complete"


def decide(
    configuration: RoutingConfiguration,
    revision: int,
    case: Case,
    *,
    complete: bool = False,
    answered: Mapping[str, RuleResult] = NOTHING,
    explained: bool = True,
) -> Decision:
    """Apply the rules of a revision to an arrival (rules.md, "Which rules act"). Never raises.

    Rules run in order; one that applies with `stop` ends the evaluation. Fallback rules run only if no ordinary rule
    applied. `hold` beats `route`; an arrival is discarded only if no route or hold rule applied, none was an error, and no
    route rule was kept from acting by its quota or schedule.

    Rules with the trigger `study` are asked later: the outcome is "wait" where they could still make a difference, and
    `waits` names them. Once they were asked (`decide_study`) the study is `complete`, and `answered` is what they came to.
    Of a case that is lifted those in `answered` are not waited for, also if others are to be asked still.
    """
    ordinary = [rule for rule in configuration.rules if not rule.fallback]
    fallback = [rule for rule in configuration.rules if rule.fallback]
    run = _Run(case, answered, explained)
    results = run.all_of(ordinary)
    decided = any(result.applied for result in results)
    waits = [] if complete else run.waits(ordinary if decided else configuration.rules)
    pending = any(wait.counts for wait in waits)
    if decided:
        results += [not_asked(rule, "an ordinary rule applied") for rule in fallback]
    elif pending:
        results += [not_asked(rule, LATER) for rule in fallback]
    else:
        results += run.all_of(fallback)
    return _decision(configuration, revision, results, waits)


def decide_study(rule: Rule, study: Case, *, explained: bool = True) -> RuleResult:
    """What a rule with the trigger `study` says of a study that is complete. Never raises."""
    return evaluated(rule, study, explained)


def decide_image(
    configuration: RoutingConfiguration, image: Case, *, explained: bool = False
) -> tuple[tuple[PlannedDelivery, ...], list[RuleResult]]:
    """Where a single image goes at once, by the rules with the trigger `image`, and what each of them said. Never raises."""
    results: list[RuleResult] = []
    for rule in configuration.image_rules:
        result = evaluated(rule, image, explained)
        results.append(result)
        if result.acts and rule.stop:
            break
    acting = {result.rule for result in results if result.acts}
    return planned((rule for rule in configuration.image_rules if rule.name in acting), configuration), results


class _Run:
    """One walk over the rules of an arrival; remembers which rules a stopping one keeps away."""

    def __init__(self, case: Case, answered: Mapping[str, RuleResult], explained: bool) -> None:
        self._case, self._answered, self._explained = case, answered, explained
        self._stopped: set[str] = set()
        self._taken: set[int] = set()  # images that an image rule with `stop` took

    def all_of(self, rules: Iterable[Rule]) -> list[RuleResult]:
        results: list[RuleResult] = []
        stopped_by = ""
        for rule in rules:
            if rule.mode != "off" and stopped_by and rule.trigger != "image":  # what an image rule sent has gone before
                self._stopped.add(rule.name)
                results.append(not_asked(rule, f"rule '{stopped_by}' applied and stops"))
                continue
            result = self._one(rule)
            results.append(result)
            if result.applied and rule.stop:
                stopped_by = rule.name
        return results

    def waits(self, rules: Iterable[Rule]) -> list[Wait]:
        """The study rules among these that are still to be asked."""
        return [
            Wait(rule.name, rule.mode == "active") for rule in rules
            if rule.trigger == "study" and rule.mode != "off" and rule.name not in self._stopped
            and not (self._case.lifted and rule.name in self._answered)
            and (rule.name in self._case.awaited
                 or not not_in_force(rule.expires, rule.off_until, self._case.received))
        ]  # fmt: skip

    def _one(self, rule: Rule) -> RuleResult:
        if rule.mode == "off":
            return not_asked(rule, "off")
        if rule.trigger == "image":
            result = judged_images(rule, self._case, self._taken)
            self._taken.update(result.wanted if rule.stop else ())
            return result
        if rule.trigger == "series":
            return evaluated(rule, self._case, self._explained)
        return self._answered.get(rule.name) or not_asked(rule, LATER)


def _decision(
    configuration: RoutingConfiguration, revision: int, results: Sequence[RuleResult], waits: Sequence[Wait]
) -> Decision:
    rules = {rule.name: rule for rule in configuration.rules}
    flagged = tuple(result.rule for result in results if result.failed)
    outcome, reason = _outcome(rules, results, flagged)
    acts = {result.action for result in results if result.applied}
    if any(wait.counts for wait in waits) and not acts & {"route", "hold"}:
        waiting = _named(wait.rule for wait in waits if wait.counts)
        reason = f"waits for its study because of {waiting}; without it: {reason}"
        outcome = "wait"
    if outcome == "hold":
        waits = ()
    applied = [rules[result.rule] for result in results if result.applied and result.action != "discard"]
    deliveries = planned(applied, configuration)
    return Decision(revision, outcome, reason, deliveries, tuple(results), flagged, tuple(waits))


def _outcome(rules: Mapping[str, Rule], results: Sequence[RuleResult], flagged: tuple[str, ...]) -> tuple[Outcome, str]:
    """The outcome and its reason. Names of rules only: the reason may be shown and logged."""
    applied = [result for result in results if result.applied]
    holds = [result for result in applied if result.action == "hold"]
    routes = [result.rule for result in applied if result.action == "route"]
    if holds:
        late = "".join(f" ({result.why})" for result in holds[:1] if result.why)
        return "hold", f"held by {_named(result.rule for result in holds)}{late}"
    if flagged and all(rules[name].fallback for name in routes):
        return "hold", f"held because of an error in {_named(flagged)}"
    if routes:
        return "route", f"routed by {_named(routes)}"
    for result in results:
        if result.blocked and result.counts and result.action == "route":
            return "hold", f"held because {_named([result.rule])} {result.blocked}"
    if sent := [result.rule for result in results if result.images_sent]:
        return "route", f"single images were routed by {_named(sent)}"
    if applied:
        return "discard", f"discarded by {_named(result.rule for result in applied)}"
    return "discard", "no rule applied"


def _named(names: Iterable[str]) -> str:
    listed = [f"'{name}'" for name in names]
    return ("rule " if len(listed) == 1 else "rules ") + ", ".join(listed)


def planned(applied: Iterable[Rule], configuration: RoutingConfiguration) -> tuple[PlannedDelivery, ...]:
    """One delivery per target or group, in the order in which the rules name them."""
    wanted: dict[str, list[Rule]] = {}
    for rule in applied:
        for name in dict.fromkeys(rule.targets):
            wanted.setdefault(name, []).append(rule)
    return tuple(
        PlannedDelivery(
            name,
            name in configuration.groups,
            min((rule.priority for rule in rules), key=PRIORITIES.index),
            tuple(rule.name for rule in rules),
        )
        for name, rules in wanted.items()
    )
