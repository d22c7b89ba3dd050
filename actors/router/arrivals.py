"""Closing and deciding: what the router does to arrivals by itself, one transaction each.
It must not judge: `completion` says when a series is complete, `verdicts` what the rules make of it.

Everything is read from the spool in each round, so dying anywhere and starting again does nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

from actors.router import selftests
from actors.router.completion import Complete, Seen, Wait, judge, look, reason, spreads
from actors.router.patience import Patience, for_everybody, where
from actors.router.routing import Routing
from actors.router.singles import Singles
from actors.router.studies import result_of
from actors.router.underway import UnderWay
from actors.router.verdicts import case_of, periods, verdict_for
from protocol.errors import StepRefused
from protocol.routing.decide import Case
from protocol.spool import Spool
from protocol.spool.arrivals import ArrivalHeaders, OpenArrival, Verdict
from protocol.spool.mined import MinedTerms

KILLS = "working on it ended the router's process time and again"
UNJUDGED = "image rules could not look at all of its images, the router's log says why"
TELL_WAIT_S = 5.0  # how often why an arrival waits goes into the log, if somebody wants debug lines
DECIDED_AT_ONCE = 50  # per pass, so that commands and heartbeats are not kept waiting


class Closing:
    """Closes what is complete; remembers when each open arrival last changed."""

    def __init__(
        self, spool: Spool, routing: Routing, under_way: UnderWay, log: Any, mined: MinedTerms = MinedTerms()
    ) -> None:
        self._spool, self._routing, self._under_way, self._log = spool, routing, under_way, log
        self._mined = mined
        self._seen: dict[int, Seen] = {}
        self._told: dict[int, tuple[str, float]] = {}
        self._patience = Patience()
        self.open = 0  # how many arrivals were open when last looked at

    def round(self, now: float) -> float | None:
        """Close what is complete at `now` (monotonic). Returns when the next could be, None if nothing is open."""
        arrivals = self._spool.arrivals.open_ones()
        self._seen = {one.id: look(one, self._seen.get(one.id), now) for one in arrivals}
        self._told = {one.id: self._told[one.id] for one in arrivals if one.id in self._told}
        self.open = len(arrivals)
        waits = [until for one in arrivals if (until := self._one(one, now)) is not None]
        return min(waits, default=None)

    def _one(self, arrival: OpenArrival, now: float) -> float | None:
        seen = self._seen[arrival.id]
        times = self._routing.times(arrival)
        judged = judge(arrival, seen, now, times)
        if not isinstance(judged, Complete):
            self._tell_wait(arrival, judged, now)
            return judged.until
        if self._under_way.killed_too_often(arrival.id):
            self._spool.arrivals.hold(arrival.id, KILLS)
            return None
        try:
            with self._under_way.work(arrival.id):
                closed = self._spool.arrivals.close(
                    arrival.id, judged.why, images=seen.images, spread=spreads(arrival, times),
                    mined=self._spool.mined.of(arrival.id, self._mined),
                )  # fmt: skip
        except Exception as exc:
            if for_everybody(exc):
                raise
            self._log.error("close_failed", arrival=arrival.id, error=where(exc))
            if self._patience.failed(arrival.id):
                self._spool.arrivals.hold(arrival.id, f"could not be closed: {type(exc).__name__}")
                self._patience.forget(arrival.id)
            return None
        self._patience.forget(arrival.id)
        if not closed:
            return now  # an image came in between: look again
        self._log.info("arrival_closed", arrival=arrival.id, why=judged.why, images=seen.images)
        return None

    def _tell_wait(self, arrival: OpenArrival, wait: Wait, now: float) -> None:
        why, told = self._told.get(arrival.id, ("", 0.0))
        if why == wait.why and now < told + TELL_WAIT_S:
            return
        self._told[arrival.id] = (wait.why, now)
        self._log.debug(
            "arrival_waits", arrival=arrival.id, why=reason(arrival, wait.why), closes_in_s=round(wait.until - now, 1),
            images=arrival.images, associations=arrival.associations, open=arrival.associations_open,
            released=arrival.associations_released, aborted=arrival.associations_aborted,
        )  # fmt: skip


@dataclass
class Round:
    """What one round of deciding did."""

    decided: int = 0
    deliveries: int = 0
    more: bool = False
    failed_rules: dict[str, str] = field(default_factory=dict)


def timed(judge: Callable[[], Verdict]) -> Verdict:
    """A verdict with how long the rules took."""
    begun = perf_counter()
    verdict = judge()
    return replace(verdict, seconds=perf_counter() - begun)


class Deciding:
    """Decides what is closed, and what has every answer about its study; what cannot be decided is held after a few tries."""

    def __init__(self, spool: Spool, routing: Routing, under_way: UnderWay, singles: Singles, log: Any) -> None:
        self._spool, self._routing, self._under_way, self._log = spool, routing, under_way, log
        self._singles = singles
        self._patience = Patience()
        self._anew = -1  # by this revision what waits has been decided

    def closed(self) -> Round:
        """Decide the oldest closed arrivals. Raises what concerns the whole spool."""
        waiting, done = self._spool.arrivals.undecided(DECIDED_AT_ONCE), Round()
        for arrival in waiting:
            looked = self._singles.catch_up(arrival)  # what image rules sent is not sent again with the series
            if not looked.again:  # images that were not judged are never judged once the series is decided
                self._one(arrival, self._set_aside if looked.given_up else self._decide, done)
        done.more = done.decided > 0 and len(waiting) == DECIDED_AT_ONCE
        return done

    def outdated(self, done: Round) -> bool:
        """Decide anew what waits for its study by the rules of another revision, oldest first; adds to what `closed` did.
        Whether some is left: no study rule is to be asked before, or it would send what the rules of today hold.
        """
        if self._anew == self._routing.revision:
            return False
        waiting = self._spool.studies.outdated(self._routing.revision, DECIDED_AT_ONCE)
        for arrival in waiting:
            self._one(arrival, self._wait_anew, done)
        if not waiting:  # also none that failed and is to be tried again
            self._anew = self._routing.revision
        done.more = done.more or bool(waiting)
        return bool(waiting)

    def answered(self, done: Round) -> None:
        """Decide the oldest arrivals that have every answer about their study; adds to what `closed` did."""
        before, waiting = done.decided, self._spool.studies.answered_arrivals(DECIDED_AT_ONCE)
        for arrival in waiting:
            self._one(arrival, self._finish, done)
        done.more = done.more or (done.decided > before and len(waiting) == DECIDED_AT_ONCE)

    def _one(self, arrival: int, decide: Callable[[int], Verdict], done: Round) -> None:
        after_waiting = decide in (self._finish, self._wait_anew)
        if self._under_way.killed_too_often(arrival):
            self._hold(arrival, KILLS, after_waiting)
            return
        try:
            with self._under_way.work(arrival):
                verdict = decide(arrival)
        except Exception as exc:
            if for_everybody(exc):
                raise
            self._failed(arrival, exc, after_waiting)
            return
        self._patience.forget(arrival)
        done.decided += 1
        done.deliveries += len(verdict.targets)
        done.failed_rules.update(verdict.failed_rules)
        self._log.info("arrival_decided", arrival=arrival, outcome=verdict.outcome, revision=verdict.revision,
                       targets=[target.name for target in verdict.targets])  # fmt: skip

    def _decide(self, arrival: int) -> Verdict:
        headers = self._spool.arrivals.subject(arrival)
        case = self._case(headers)
        verdict = timed(lambda: verdict_for(self._routing.configuration, self._routing.revision, headers, case))
        if (test := selftests.announced(self._spool, headers.arrival)) is not None:
            verdict = selftests.verdict_of(test, verdict)
        self._spool.arrivals.decide(arrival, verdict)
        return verdict

    def _set_aside(self, arrival: int) -> Verdict:
        """Some images were not judged: only a person may say that they need not go where image rules would send them."""
        verdict = Verdict("hold", self._routing.revision, reason=UNJUDGED)
        self._spool.arrivals.decide(arrival, verdict)
        self._singles.forget(arrival)
        return verdict

    def _wait_anew(self, arrival: int) -> Verdict:
        """The rules are other ones now: they decide from the start."""
        return self._finish(arrival)

    def _finish(self, arrival: int) -> Verdict:
        """Every study rule that it waited for was asked. If the rules are other ones now, they decide from the start."""
        headers = self._spool.arrivals.subject(arrival)
        revision, answers = self._spool.studies.answers(arrival)
        rules = {rule.name: rule for rule in self._routing.configuration.rules}
        found = {one.rule: result for one in answers if (result := result_of(rules.get(one.rule), one)) is not None}
        case, complete = self._case(headers), revision == self._routing.revision
        verdict = timed(lambda: verdict_for(
            self._routing.configuration, self._routing.revision, headers, case, complete=complete, answered=found
        ))  # fmt: skip
        self._spool.arrivals.decide(arrival, verdict, after_waiting=True)
        return verdict

    def _case(self, headers: ArrivalHeaders) -> Case:
        named = periods(self._routing.configuration, headers.arrival["opened"], self._routing.zone)
        awaited = self._spool.studies.awaited(headers.arrival) if self._routing.configuration.timed_studies else ()
        return case_of(headers, self._routing.zone, self._spool.rules.used(named), awaited=awaited)

    def _failed(self, arrival: int, exc: Exception, after_waiting: bool) -> None:
        self._log.error("decide_failed", arrival=arrival, error=where(exc))
        if not self._patience.failed(arrival):
            return
        self._hold(arrival, f"could not be decided: {type(exc).__name__}", after_waiting)
        self._patience.forget(arrival)

    def _hold(self, arrival: int, reason: str, after_waiting: bool) -> None:
        try:
            verdict = Verdict("hold", self._routing.revision, reason=reason)
            self._spool.arrivals.decide(arrival, verdict, after_waiting=after_waiting)
        except StepRefused as exc:
            self._log.warning("hold_refused", error=str(exc))  # a person was faster
