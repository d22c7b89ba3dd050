"""The decision about one arrival: which rules apply, and what follows. A pure function of its arguments.

It must not read or write anything, nor know time; nothing it comes to can lose an arrival: an error holds it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from protocol.routing.model import PRIORITIES, RoutingConfiguration, Rule
from protocol.routing.rules.compiler import Evaluation
from protocol.routing.rules.subject import Subject
from protocol.routing.rules.values import Truth

Outcome = Literal["route", "hold", "discard"]


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What came of one rule. `result` is None where it was not evaluated, and `why` says why not.

    `counts` is False for shadow rules: they are evaluated, but nothing follows.
    """

    rule: str
    action: str
    result: Truth | None
    why: str = ""
    counts: bool = True
    explanation: dict[str, Any] = field(default_factory=dict)

    @property
    def applied(self) -> bool:
        """It was true and it counts."""
        return self.counts and self.result is Truth.TRUE

    @property
    def failed(self) -> bool:
        """It was an error and it counts."""
        return self.counts and self.result is Truth.ERROR


@dataclass(frozen=True, slots=True)
class PlannedDelivery:
    """A delivery to make: to a target or group, with the highest priority of the rules that want it."""

    name: str
    is_group: bool
    priority: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with an arrival.

    With the outcome `hold`, `deliveries` are those that follow if a person releases it. `flagged` names the rules that
    were an error, whatever the outcome: they need a look.
    """

    revision: int
    outcome: Outcome
    reason: str
    deliveries: tuple[PlannedDelivery, ...]
    results: tuple[RuleResult, ...]
    flagged: tuple[str, ...]

    def to_data(self) -> dict[str, Any]:
        """As JSON data, to be kept with the arrival. The explanations hold tag values (patient data)."""
        return {
            "revision": self.revision,
            "outcome": self.outcome,
            "reason": self.reason,
            "deliveries": [
                {"name": one.name, "is_group": one.is_group, "priority": one.priority, "rules": list(one.rules)}
                for one in self.deliveries
            ],
            "rules": [
                {
                    "rule": one.rule,
                    "action": one.action,
                    "result": None if one.result is None else str(one.result),
                    "why": one.why,
                    "counts": one.counts,
                    "explanation": one.explanation,
                }
                for one in self.results
            ],
            "flagged": list(self.flagged),
        }


def decide(configuration: RoutingConfiguration, revision: int, subject: Subject) -> Decision:
    """Apply the rules of a revision to an arrival (rules.md, "Which rules act"). Never raises.

    Rules run in order; one that applies with `stop` ends the evaluation. Fallback rules run only if no ordinary rule
    applied. `hold` beats `route`; an arrival is discarded only if no route or hold rule applied and none was an error.
    """
    ordinary = [rule for rule in configuration.rules if not rule.fallback]
    fallback = [rule for rule in configuration.rules if rule.fallback]
    results = _run(ordinary, subject)
    if any(result.applied for result in results):
        results += [_not_run(rule, "an ordinary rule applied") for rule in fallback]
    else:
        results += _run(fallback, subject)
    rules = {rule.name: rule for rule in configuration.rules}
    applied = [rules[result.rule] for result in results if result.applied]
    flagged = tuple(result.rule for result in results if result.failed)
    outcome, reason = _outcome(applied, flagged)
    deliveries = _deliveries(applied, configuration)
    return Decision(revision, outcome, reason, deliveries, tuple(results), flagged)


def _run(rules: Iterable[Rule], subject: Subject) -> list[RuleResult]:
    results: list[RuleResult] = []
    stopped_by = ""
    for rule in rules:
        if rule.mode == "off":
            results.append(_not_run(rule, "off"))
        elif stopped_by:
            results.append(_not_run(rule, f"rule '{stopped_by}' applied and stops"))
        else:
            result = _evaluated(rule, rule.compiled.evaluate(subject))
            results.append(result)
            if result.applied and rule.stop:
                stopped_by = rule.name
    return results


def _not_run(rule: Rule, why: str) -> RuleResult:
    return RuleResult(rule.name, rule.action, None, "off" if rule.mode == "off" else why, rule.mode == "active")


def _evaluated(rule: Rule, evaluation: Evaluation) -> RuleResult:
    counts = rule.mode == "active"
    why = "" if counts else "shadow: evaluated, nothing follows"
    return RuleResult(rule.name, rule.action, evaluation.result, why, counts, evaluation.explanation)


def _outcome(applied: list[Rule], flagged: tuple[str, ...]) -> tuple[Outcome, str]:
    """The outcome and its reason. Names of rules only: the reason may be shown and logged."""
    holds = [rule.name for rule in applied if rule.action == "hold"]
    routes = [rule for rule in applied if rule.action == "route"]
    if holds:
        return "hold", f"held by {_named(holds)}"
    if flagged and all(rule.fallback for rule in routes):
        return "hold", f"held because of an error in {_named(flagged)}"
    if routes:
        return "route", f"routed by {_named(rule.name for rule in routes)}"
    if applied:
        return "discard", f"discarded by {_named(rule.name for rule in applied)}"
    return "discard", "no rule applied"


def _named(names: Iterable[str]) -> str:
    listed = [f"'{name}'" for name in names]
    return ("rule " if len(listed) == 1 else "rules ") + ", ".join(listed)


def _deliveries(applied: list[Rule], configuration: RoutingConfiguration) -> tuple[PlannedDelivery, ...]:
    """One delivery per target or group, in the order in which the rules name them."""
    wanted: dict[str, list[Rule]] = {}
    for rule in applied:
        if rule.action == "discard":
            continue
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
