"""One routing configuration put to arrivals of the past, through the same `decide` as the router's: a judgement for each.
It must not count or compare (`report` does), and keeps only what later arrivals depend on.

Arrivals come in the order of their receipt. A decision depends on what each rule comes to, on the terms of rules and on
quotas; where there are no quotas it is remembered under the other two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from protocol.routing.backtest.cases import Past, RecordedArrival
from protocol.routing.backtest.truths import UNTOLD, Answers, Truths
from protocol.routing.decide import decide, decide_study
from protocol.routing.judging import Case, Decision, RuleResult
from protocol.routing.model import RoutingConfiguration, Rule
from protocol.routing.rules.values import Truth
from protocol.routing.terms import not_in_force, period_of, within

REMEMBERED = 50_000
CANNOT_TELL = "cannot_tell"
_FORGOTTEN = object()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a configuration makes of an arrival: route, hold, discard, or cannot_tell where values were not kept.

    Of rules, by name: those that were `true` (shadow rules and `blocked` ones, too), unknown, an error, or not to be told.
    `singles` are the targets that got single images only: late images of the series do not follow these.
    """

    outcome: str
    targets: tuple[str, ...] = ()
    true: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    error: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    singles: tuple[str, ...] = ()


@dataclass(slots=True)
class _Waiting:
    """An arrival that waits for its study, with the quotas and the study rules as they stood when it came."""

    past: Past
    answers: Answers
    used: Mapping[str, int]
    rules: tuple[str, ...]


class Judge:
    """One configuration. `remember` False asks the rules each time, which is slower and must come to the same."""

    def __init__(self, configuration: RoutingConfiguration, truths: Truths, *, remember: bool = True) -> None:
        rules = [rule for rule in configuration.rules if rule.mode != "off"]
        self._configuration, self._rules = configuration, rules
        self._quotas = [rule for rule in rules if rule.quota is not None]
        self._timed = [rule for rule in rules if rule.schedule or rule.expires or rule.off_until]
        self._active = {rule.name for rule in rules if rule.mode == "active"}
        self._series = [rule for rule in rules if rule.trigger == "series"]
        self._picked = truths.of(rule.compiled for rule in self._series)
        images = any(rule.trigger == "image" for rule in rules)
        self._remembers = remember and not self._quotas and not images and not configuration.timed_studies
        self._memory: dict[Any, Any] = {}
        self._decisions: dict[Any, Any] = {}
        self._same: dict[Judgement, Judgement] = {}
        self._used: Counter[tuple[str, str]] = Counter()
        self._went: dict[tuple[str, str, str], tuple[str, ...]] = {}
        self._waiting: dict[tuple[str, str], list[_Waiting]] = {}
        self.longest_wait_s = max(
            (rule.study_terms.max_wait_s for rule in rules if rule.trigger == "study"), default=0.0
        )

    def arrival(self, past: Past, answers: Answers) -> Judgement | None:
        """The judgement, given what clauses come to; None while it waits for its study (`study` tells it then)."""
        key = self._key(past, answers)
        found = self._memory.get(key, _FORGOTTEN) if key is not None else _FORGOTTEN
        if found is _FORGOTTEN:
            found = self._anew(past, answers, key)
        if found is None:
            waiting = _Waiting(past, answers, self._used_at(past), self._in_force(past))
            self._waiting.setdefault(past.record.study, []).append(waiting)
            return None
        assert isinstance(found, Judgement)
        return self._with_earlier(past.record, found)

    def _anew(self, past: Past, answers: Answers, key: Any) -> Judgement | None:
        """Decide, unless other clauses came to the same for every rule before."""
        if key is None:
            return self._decided(past, answers)
        if len(self._memory) >= REMEMBERED:
            self._memory.clear()
        same = (self._picked.truths(answers, past), self._terms(past))
        found = self._decisions.get(same, _FORGOTTEN)
        if found is _FORGOTTEN:
            if len(self._decisions) >= REMEMBERED:
                self._decisions.clear()
            found = self._decisions[same] = self._decided(past, answers)
        self._memory[key] = found
        return cast("Judgement | None", found)

    def study(self, study: tuple[str, str], members: list[Past]) -> Iterator[tuple[Past, Judgement]]:
        """The judgements of its arrivals that wait, now that the study is complete with these `members`, in their order."""
        waiting = self._waiting.pop(study, [])
        if not waiting:
            return
        first, *others = _with_renewed(members)
        case = Case(first.together(others), first.received, self._used_at(first))
        answered = {rule.name: _answer(rule, case) for rule in self._rules if rule.trigger == "study"}
        self._count(answered.values())
        untold = tuple(rule.name for rule in self._rules if rule.trigger == "study" and _any_untold(rule, members))
        for one in waiting:
            past = one.past
            decision = decide(
                self._configuration, 0, self._case(past, one.used), complete=True, answered=answered, explained=False
            )
            judgement = self._judgement(decision, past, self._untold(past, one.answers) + untold)
            yield past, self._with_earlier(past.record, judgement)

    # ---- parts ----------------------------------------------------------------------------------------------------
    def _key(self, past: Past, answers: Answers) -> Any:
        """Everything that a decision depends on, or None if that is not known beforehand."""
        if not self._remembers or past.record.addendum_of:
            return None
        key = self._picked.key(answers, past)
        return (key, self._terms(past)) if self._timed else key

    def _terms(self, past: Past) -> tuple[tuple[str, bool], ...]:
        """Which terms that depend on the time alone let their rule act."""
        if not self._timed:
            return ()
        received = past.received
        return tuple(
            [
                (not_in_force(rule.expires, rule.off_until, received), within(rule.schedule, received))
                for rule in self._timed
            ]
        )

    def _decided(self, past: Past, answers: Answers) -> Judgement | None:
        decision = decide(self._configuration, 0, self._case(past, self._used_at(past)), explained=False)
        self._count(result for result in decision.results if result.trigger != "study")
        return None if decision.waits else self._judgement(decision, past, self._untold(past, answers))

    def _in_force(self, past: Past) -> tuple[str, ...]:
        """The study rules that were when it came."""
        return tuple(
            rule.name for rule in self._rules
            if rule.trigger == "study" and not not_in_force(rule.expires, rule.off_until, past.received)
        )  # fmt: skip

    def _case(self, past: Past, used: Mapping[str, int]) -> Case:
        awaited = {name for one in self._waiting.get(past.record.study, ()) for name in one.rules}
        return replace(past.case(used, went=_series_of(past.record) in self._went), awaited=awaited)

    def _untold(self, past: Past, answers: Answers) -> tuple[str, ...]:
        """The rules about arrivals that the kept values cannot tell."""
        truths = zip(self._series, self._picked.truths(answers, past), strict=True)
        found = {rule.name for rule, truth in truths if truth == UNTOLD}
        asked = self._series if past.record.earlier else ()
        found |= {rule.name for rule in (*asked, *self._configuration.image_rules) if past.untold(rule)}
        return tuple(rule.name for rule in self._rules if rule.name in found)

    def _used_at(self, past: Past) -> Mapping[str, int]:
        if not self._quotas:
            return {}
        received = past.received
        return {rule.name: self._used[rule.name, _period(rule, received)] for rule in self._quotas}

    def _count(self, results: Any) -> None:
        """What counts against quotas."""
        if self._quotas:
            for result in results:
                if result.acts and result.period:
                    self._used[result.rule, result.period] += 1

    def _judgement(self, decision: Decision, past: Past, untold: tuple[str, ...]) -> Judgement:
        told = [result for result in decision.results if result.rule not in untold]
        outcome, targets = decision.outcome, tuple(sorted(one.name for one in decision.deliveries))
        singles: tuple[str, ...] = ()
        if self._active.intersection(untold):
            outcome, targets = CANNOT_TELL, ()  # type: ignore[assignment]
        elif outcome == "route":
            singles = tuple(sorted({*self._single_images(told)} - {*targets}))
            targets = tuple(sorted({*targets, *singles}))
        return self._interned(Judgement(
            outcome, targets if outcome == "route" else (), _named(told, Truth.TRUE), _named(told, Truth.UNKNOWN),
            _named(told, Truth.ERROR), untold, tuple(result.rule for result in told if result.blocked), singles,
        ))  # fmt: skip

    def _single_images(self, results: list[RuleResult]) -> Iterator[str]:
        """Targets that got single images of an arrival."""
        sent = {result.rule for result in results if result.images_sent}
        if sent:
            for rule in self._rules:
                yield from rule.targets if rule.name in sent else ()

    def _with_earlier(self, record: RecordedArrival, found: Judgement) -> Judgement:
        """An addendum goes at least where the earlier arrivals of its series went, unless it is held."""
        key = _series_of(record)
        if record.addendum_of and found.outcome in ("route", "discard") and (went := self._went.get(key)):
            targets = tuple(sorted({*found.targets, *went}))
            singles = tuple(one for one in found.singles if one not in went)
            found = self._interned(replace(found, outcome="route", targets=targets, singles=singles))
        if whole := tuple(one for one in found.targets if one not in found.singles):
            self._went[key] = whole
        return found

    def _interned(self, judgement: Judgement) -> Judgement:
        """One object for equal judgements: there are few, and they are compared often."""
        return self._same.setdefault(judgement, judgement)


def _answer(rule: Rule, study: Case) -> RuleResult:
    """What a rule says of a study that is over; one that never became complete may have to be held (the router's `then`)."""
    result = decide_study(rule, study, explained=False)
    complete = rule.study_complete
    if rule.study_terms.then == "decide" or complete is None or not result.acts:
        return result
    is_complete = complete.result(study.subject) is Truth.TRUE
    return result if is_complete else replace(result, action="hold", period="")


def _series_of(record: RecordedArrival) -> tuple[str, str, str]:
    """Its series, as one sender sent it."""
    return (*record.study, record.series_uid)


def _any_untold(rule: Rule, members: list[Past]) -> bool:
    return any(one.untold(rule) for one in members)


def _named(results: list[RuleResult], truth: Truth) -> tuple[str, ...]:
    return tuple(result.rule for result in results if result.result is truth)


def _period(rule: Rule, received: Any) -> str:
    assert rule.quota is not None
    return period_of(rule.quota, received)


def _with_renewed(members: list[Past]) -> list[Past]:
    """The members of a study, those of series with addenda in the form in which single images are known."""
    renewed = {record.arrival: record for one in members for record in one.record.earlier}
    return [one.reopened(renewed.get(one.record.arrival)) for one in members]
