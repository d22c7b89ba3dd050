"""Asks study rules about studies that are complete, and gives their series the answers.
It must not judge: `waiting` says when a study is complete, `protocol/routing/decide` what a rule says of it.

Everything is read from the spool in each round, so dying anywhere and starting again does nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import Any

from actors.router.patience import Patience, for_everybody, where
from actors.router.routing import Routing
from actors.router.underway import UnderWay
from actors.router.verdicts import case_of, choices, counted, failed_rules, periods, study_case
from actors.router.waiting import COMPLETE, GONE, LATE, QUIET, Ask, Seen, judge, look
from protocol.clock import Clock
from protocol.routing.decide import RuleResult, decide, decide_study, planned
from protocol.routing.judging import not_asked, result_data
from protocol.routing.model import Rule
from protocol.routing.rules.values import Truth
from protocol.spool import Spool
from protocol.spool.arrivals import Verdict
from protocol.spool.headers import StudyHeaders
from protocol.spool.studies import NOTHING, Answer, StudyWait

FAILED = "could not be asked"
KILLS = "asking it ended the router's process time and again"
AGAIN = "acted on earlier series of this study"
INCOMPLETE = "its study is not complete after the longest wait"


class Studies:
    """Studies that rules wait for; remembers when each last changed."""

    def __init__(self, spool: Spool, routing: Routing, under_way: UnderWay, clock: Clock, log: Any) -> None:
        self._spool, self._routing, self._under_way, self._clock, self._log = spool, routing, under_way, clock, log
        self._seen: dict[int, Seen] = {}
        self._patience = Patience()
        self._joined: dict[int, int] = {}  # by which revision the series of a wait were held against the others
        self.waiting = 0  # how many waits were open when last looked at
        self.failed_rules: dict[str, str] = {}  # of the last round

    def round(self, now: float) -> float | None:
        """Ask what can be asked at `now` (monotonic) and hand out answers. When to look again, None if nothing waits."""
        self.failed_rules = {}
        waits = self._spool.studies.open_ones()
        self._seen = {one.id: look(one, self._seen.get(one.id), now) for one in waits}
        self._joined = {one.id: self._joined[one.id] for one in waits if one.id in self._joined}
        self.waiting = len(waits)
        dues = [due for one in waits if (due := self._one(one, now)) is not None]
        for id in self._spool.studies.deciding():
            if self._spool.studies.apply(id):
                dues.append(now)
        return min(dues, default=None)

    def _one(self, wait: StudyWait, now: float) -> float | None:
        rule = self._rule(wait.rule)
        if rule is None or not wait.linked:
            self._join_others(wait)
            self._conclude(wait, None, Verdict(NOTHING, self._routing.revision, reason="nobody waits any more"), GONE)
            return None
        terms, usual_s = rule.study_terms, self._routing.study_quiet_s
        judged = judge(wait, self._seen[wait.id], now, self._clock.now(), terms, usual_s)
        if not isinstance(judged, Ask):
            return judged.until
        if self._under_way.killed_too_often(-wait.id):
            self._hold(wait, KILLS)
            return None
        try:
            with self._under_way.work(-wait.id):  # arrivals have positive numbers
                self._join_others(wait)
                done = self._ask(wait, rule, judged.why)
        except Exception as exc:
            if for_everybody(exc):
                raise
            self._log.error("study_failed", wait=wait.id, rule=wait.rule, error=where(exc))
            if self._patience.failed(wait.id):
                self._hold(wait, f"{FAILED}: {type(exc).__name__}")
                self._patience.forget(wait.id)
            return None
        self._patience.forget(wait.id)
        return None if done else now

    def _join_others(self, wait: StudyWait) -> None:
        """Series that are on their way already join the study rules of today, so that these act on the whole study. What
        waits is decided anew in any case.
        """
        configuration, revision = self._routing.configuration, self._routing.revision
        if self._joined.get(wait.id) == revision:
            return
        self._joined[wait.id] = revision
        for arrival in self._spool.studies.under_way(wait, revision):
            headers = self._spool.arrivals.subject(arrival)
            decision = decide(configuration, revision, case_of(headers, self._routing.zone), explained=False)
            self._spool.studies.join(arrival, [(one.rule, one.counts) for one in decision.waits])

    def _rule(self, name: str) -> Rule | None:
        for rule in self._routing.configuration.rules:
            if rule.name == name and rule.trigger == "study" and rule.mode != "off":
                return rule
        return None

    def _ask(self, wait: StudyWait, rule: Rule, why: str) -> bool:
        """Whether the rule has its answer; else it goes on waiting."""
        headers = self._spool.studies.headers(wait)
        first = headers.arrivals[0]["opened"]
        used = self._spool.rules.used(periods(self._routing.configuration, first, self._routing.zone))
        case = study_case(headers, self._routing.zone, used, again=wait.before)
        complete = rule.study_complete is None or rule.study_complete.result(case.subject) is Truth.TRUE
        seen = self._seen[wait.id]
        if why == COMPLETE and not complete:
            self._seen[wait.id] = replace(seen, checked=True)
            return False
        result = decide_study(rule, case)
        if why == QUIET and not complete and result.acts:
            self._seen[wait.id] = replace(seen, refused=True)
            return False
        if wait.before and rule.action == "route" and not result.acts and not result.blocked and result.counts:
            result = replace(result, result=Truth.TRUE, why=AGAIN)
        if why == LATE and rule.study_terms.then == "hold" and not complete_by_itself(rule, complete) and result.acts:
            result = replace(result, action="hold", why=INCOMPLETE, period="")
        return self._answer(wait, rule, headers, result, why)

    def _answer(self, wait: StudyWait, rule: Rule, headers: StudyHeaders, result: RuleResult, why: str) -> bool:
        outcome = result.action if result.applied else NOTHING
        targets = choices(planned([rule], self._routing.configuration)) if outcome == "route" else []
        reason = f"{'routed' if outcome == 'route' else outcome} by rule '{rule.name}', study {why}"
        if outcome == "hold":
            reason = f"held by rule '{rule.name}'" + (f": {result.why}" if result.why else "")
        explanation = {
            "revision": self._routing.revision, "outcome": outcome, "reason": reason, "rules": [result_data(result)],
            "study": {"why": why, "arrivals": [one["id"] for one in headers.arrivals], "images": len(headers.differing)},
        }  # fmt: skip
        failed = failed_rules([result])
        self.failed_rules.update(failed)
        verdict = Verdict(
            outcome, self._routing.revision, targets, [rule.name] if result.applied else [], reason, explanation, failed,
            counted=counted([result]),
            quotas=[(rule.name, result.period)] if result.applied and result.period else [],
        )  # fmt: skip
        return self._conclude(wait, result, verdict, why, self._opened(wait) - rule.study_terms.max_wait_s)

    def _opened(self, wait: StudyWait) -> float:
        """When the study began to be waited for (seconds UTC): not later than the router has known it, or one that began
        while the clock was ahead would leave out the series that came shortly before.
        """
        return min(wait.opened, self._clock.now() - (self._clock.monotonic() - self._seen[wait.id].first))

    def _hold(self, wait: StudyWait, reason: str) -> None:
        """What cannot be asked sets the series aside that wait for it."""
        result = RuleResult(wait.rule, "hold", Truth.TRUE, reason, trigger="study")
        verdict = Verdict("hold", self._routing.revision, rules=[wait.rule], reason=f"rule '{wait.rule}' {reason}")
        self._conclude(wait, result, verdict, LATE)

    def _conclude(
        self, wait: StudyWait, result: RuleResult | None, verdict: Verdict, why: str, since: float = inf
    ) -> bool:
        said = "unknown" if result is None or result.result is None else str(result.result)
        kept = {} if result is None else answer_data(result)
        if not self._spool.studies.conclude(wait, verdict, result=said, why=why, answer=kept, since=since):
            return False
        self._log.info("study_decided", wait=wait.id, rule=wait.rule, why=why, result=said, outcome=verdict.outcome,
                       arrivals=wait.linked)  # fmt: skip
        return True


def complete_by_itself(rule: Rule, complete: bool) -> bool:
    """At the end of the longest wait: was the study complete after all? Without a condition only quiet would say so."""
    return complete and rule.study_complete is not None


def answer_data(result: RuleResult) -> dict[str, Any]:
    """What a study rule came to, as it is kept for the arrivals of the study."""
    return {**result_data(result), "images": 0}


def result_of(rule: Rule | None, answer: Answer) -> RuleResult | None:
    """The result that was kept, for `decide`; None if the rule is not there any more."""
    kept: Mapping[str, Any] = answer.answer
    if rule is None or not kept:
        return None
    if kept.get("result") is None:
        return not_asked(rule, str(kept.get("why", "")))
    return RuleResult(
        rule.name, kept["action"], Truth(kept["result"]), kept["why"], kept["counts"], kept["explanation"],
        kept.get("blocked", ""), 0, "study",
    )  # fmt: skip
