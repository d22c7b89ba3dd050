"""What a decision is made of: the case, what one rule says of it and on which terms, and the decision as it is kept.

It must not weigh rules against each other; `decide` does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from protocol.routing.model import Rule
from protocol.routing.rules.compiler import Evaluation
from protocol.routing.rules.subject import Subject
from protocol.routing.rules.values import Truth
from protocol.routing.terms import not_in_force, period_of, within

Outcome = Literal["route", "hold", "discard", "wait"]
_NONE: Mapping[str, int] = {}
OVER_QUOTA = "has used up its quota"
OFF_SCHEDULE = "is outside its schedule"
RELEASED = "held it until a person released it"


@dataclass(frozen=True, slots=True)
class Case:
    """What is decided on: an arrival with the earlier ones of its series, a whole study, or a single image.

    Attributes:
        received: when the arrival (the first one of a study) came in, with the node's zone. Terms of rules are judged by
            it, so that a decision can be made again later with the same result.
        used: decisions that count against the quota of a rule, in the period of `received`.
        addendum: late images of a series; they are no decision of their own for a quota.
        lifted: a person lets it go; quotas, schedules and hold rules do not count, and a hold rule's targets get it.
        own: how many of the images, the last ones, are of the arrival itself; None: all.
        awaited: study rules that wait for the rest of its study: whether they are in force was settled by its first series.
    """

    subject: Subject
    received: datetime
    used: Mapping[str, int] = field(default_factory=lambda: _NONE)
    addendum: bool = False
    lifted: bool = False
    own: int | None = None
    awaited: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """A study rule that an arrival waits for; `counts` is False for a shadow rule, which nothing has to wait for."""

    rule: str
    counts: bool


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What came of one rule. `result` is None where it was not evaluated, and `why` says why not.

    Attributes:
        counts: False for shadow rules: they are evaluated, but nothing follows.
        blocked: why a rule that was true does not act: its quota, its schedule.
        images_sent: for a rule with the trigger `image`, of how many images it was true.
        period: where its quota counts this decision; "" if there is none.
        wanted: which images these were, counted from 0 among those of the arrival itself.
    """

    rule: str
    action: str
    result: Truth | None
    why: str = ""
    counts: bool = True
    explanation: dict[str, Any] = field(default_factory=dict)
    blocked: str = ""
    images_sent: int = 0
    trigger: str = "series"
    period: str = ""
    wanted: tuple[int, ...] = ()

    @property
    def acts(self) -> bool:
        """It was true, it counts, and nothing keeps it from acting."""
        return self.counts and self.result is Truth.TRUE and not self.blocked

    @property
    def applied(self) -> bool:
        """It acts on the arrival as a whole; an image rule never does, it has sent images already."""
        return self.acts and self.trigger != "image"

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
    were an error, whatever the outcome: they need a look. `waits` are the study rules that are still to be asked; with
    the outcome `wait` nothing else is decided yet, with `route` they may add to it.
    """

    revision: int
    outcome: Outcome
    reason: str
    deliveries: tuple[PlannedDelivery, ...]
    results: tuple[RuleResult, ...]
    flagged: tuple[str, ...]
    waits: tuple[Wait, ...] = ()

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
            "rules": [result_data(one) for one in self.results],
            "flagged": list(self.flagged),
            "waits": [wait.rule for wait in self.waits],
        }


def result_data(one: RuleResult) -> dict[str, Any]:
    """What one rule came to, as JSON data. Its explanation holds tag values (patient data)."""
    data: dict[str, Any] = {
        "rule": one.rule,
        "action": one.action,
        "result": None if one.result is None else str(one.result),
        "why": one.why,
        "counts": one.counts,
        "explanation": one.explanation,
    }
    if one.blocked:
        data["blocked"] = one.blocked
    if one.images_sent:
        data["images"] = one.images_sent
    return data


def not_asked(rule: Rule, why: str) -> RuleResult:
    """The result of a rule that is not evaluated."""
    why = "off" if rule.mode == "off" else why
    return RuleResult(rule.name, rule.action, None, why, rule.mode == "active", trigger=rule.trigger)


def evaluated(rule: Rule, case: Case, explained: bool) -> RuleResult:
    """What a rule says of a case, and whether its terms let it act."""
    if away := not_in_force(rule.expires, rule.off_until, case.received):
        return not_asked(rule, away)
    if explained:
        evaluation = rule.compiled.evaluate(case.subject)
    else:
        evaluation = Evaluation(rule.compiled.result(case.subject), {})
    counts = rule.mode == "active"
    blocked, period, action = "", "", str(rule.action)
    if evaluation.result is Truth.TRUE:
        blocked, period = _terms(rule, case)
        if case.lifted and rule.action == "hold" and rule.targets:
            action, blocked = "route", ""  # what it held for is what follows; see let_go
    why = blocked if counts else "shadow: evaluated, nothing follows"
    return RuleResult(
        rule.name, action, evaluation.result, why, counts, evaluation.explanation, blocked, 0, rule.trigger, period
    )


def let_go(rule: Rule, result: RuleResult) -> RuleResult:
    """What a rule that was asked about a study says of a series of it that a person lets go: hold, quota and schedule do not
    count. It is not asked again, or it would hold again.
    """
    if result.result is not Truth.TRUE or (result.action != "hold" and not result.blocked):
        return result
    blocked = RELEASED if result.action == "hold" and not rule.targets else ""
    action = "route" if result.action == "hold" and not blocked else result.action
    return replace(result, action=action, blocked=blocked, why=blocked if result.counts else result.why)


def _terms(rule: Rule, case: Case) -> tuple[str, str]:
    """What keeps a rule that is true from acting, and the period in which its quota counts this decision."""
    if case.lifted:
        return RELEASED if rule.action == "hold" else "", ""
    if not within(rule.schedule, case.received):
        return OFF_SCHEDULE, ""
    if rule.quota is None or case.addendum:
        return "", ""
    if case.used.get(rule.name, 0) >= rule.quota.max:
        return f"{OVER_QUOTA} of {rule.quota.max}" + (f" per {rule.quota.per}" if rule.quota.per else ""), ""
    return "", period_of(rule.quota, case.received)


def judged_images(rule: Rule, case: Case, taken: Collection[int] = ()) -> RuleResult:
    """What an image rule came to over all images of an arrival, after the fact: it has acted on each as it came in, but for
    those `taken` by a rule before it that stops.
    """
    if away := not_in_force(rule.expires, rule.off_until, case.received):
        return not_asked(rule, away)
    count = len(case.subject.images)
    start = 0 if case.own is None else max(0, count - case.own)
    asked = [at for at in range(count - start) if at not in taken]
    truths = [rule.compiled.result(case.subject.single(start + at)) for at in asked]
    counts = {truth: truths.count(truth) for truth in Truth}
    active = rule.mode == "active"
    sent = counts[Truth.TRUE]
    result = Truth.ERROR if counts[Truth.ERROR] else Truth.TRUE if sent else Truth.FALSE
    blocked = "" if not sent or case.lifted or within(rule.schedule, case.received) else OFF_SCHEDULE
    why = f"judged each image by itself: true of {sent} of {len(truths)}"
    explanation = {"text": rule.when, "kind": "each image", "result": str(result),
                   "images": {str(truth): count for truth, count in counts.items() if count}}  # fmt: skip
    if result is Truth.ERROR:
        explanation["reason"] = f"an error for {counts[Truth.ERROR]} images"
    true = tuple(at for at, truth in zip(asked, truths, strict=True) if truth is Truth.TRUE)
    wanted = true if active and not blocked else ()
    return RuleResult(
        rule.name, rule.action, result, why, active, explanation, blocked, len(wanted), rule.trigger, wanted=wanted
    )
