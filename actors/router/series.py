"""Acts on arrivals: route, reroute, hold, release, discard, keep; on one, on several, on all that match.
Each arrival is a transaction of its own, which also keeps how far a long act is, or answers the command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from actors.router.arguments import Arguments
from actors.router.patience import for_everybody, where
from actors.router.routing import Routing
from actors.router.singles import Singles
from actors.router.studies import result_of
from actors.router.verdicts import case_of, verdict_for
from protocol.acts import states_for
from protocol.clock import Clock
from protocol.errors import NotFound, SpoolError, StepRefused
from protocol.routing.decide import RuleResult
from protocol.routing.judging import let_go
from protocol.selection import Selection
from protocol.spool import Spool
from protocol.spool.acts import Progress
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.commands import Command
from protocol.spool.handling import GONE
from protocol.spool.selecting import ARRIVALS
from protocol.states import ARRIVAL_UNDECIDED, ArrivalState

AT_ONCE = 50  # arrivals in one pass of the router
FINISHED = ("delivered", "cancelled")
Do = Callable[[int, Progress | None], object]
"""What an act does to one arrival; the progress is to be kept with it, None: the command is to be answered with it."""


class SeriesActs:
    """What people do to arrivals."""

    def __init__(self, spool: Spool, routing: Routing, singles: Singles, clock: Clock, log: Any) -> None:
        self._spool, self._routing, self._singles, self._clock, self._log = spool, routing, singles, clock, log
        self._prepare: dict[str, Callable[[Command, Arguments], Do]] = {
            "route": self._route,
            "reroute": self._reroute,
            "hold": self._hold,
            "release": self._release,
            "discard": self._discard,
            "keep": self._keep,
        }

    def act(self, command: Command) -> bool:
        """One of `series.*`; False if more is left to do. One arrival that cannot do it is StepRefused or NotFound."""
        what, arguments = command.kind.partition(".")[2], Arguments(command)
        ids, selection = arguments.arrivals(), arguments.selection("arrival")
        if bool(ids) == (selection is not None):
            raise StepRefused(
                f"{command.kind} needs either arrivals, or what they have in common: a source, a state, ..."
            )
        do = self._prepare[what](command, arguments)
        if len(ids) == 1:
            do(ids[0], None)
            return True
        if selection is not None:
            selection = replace(selection, states=states_for(command.kind, selection))
        return self._many(command, what, ids, selection, do)

    def _many(self, command: Command, what: str, ids: list[int], selection: Selection | None, do: Do) -> bool:
        bulk = self._spool.bulk
        if selection is None:
            progress = command.progress or Progress(0, len(ids))
        else:
            progress = bulk.begin(command, ARRIVALS, selection)
        found = 0
        for id, cursor in self._next(command, ids, selection, progress):
            found += 1
            after = progress.did().at(cursor)
            try:
                do(id, after)
            except (StepRefused, NotFound) as exc:
                after = bulk.skip_arrival(command, id, cursor, str(exc), progress)
            except Exception as exc:
                if isinstance(exc, SpoolError) or for_everybody(exc):
                    raise
                self._log.error("series_act_broke", command=command.id, arrival=id, error=where(exc))
                words = f"it went wrong inside ({type(exc).__name__}), the router's log says where"
                after = bulk.skip_arrival(command, id, cursor, words, progress)
            progress = after
        if not found:
            bulk.finish(command, progress, progress.answer(what, "arrivals"))
        return not found

    def _next(
        self, command: Command, ids: list[int], selection: Selection | None, progress: Progress
    ) -> Iterator[tuple[int, tuple[object, ...]]]:
        """The next arrivals, each with where the walk goes on if the router dies behind it."""
        if selection is None:
            start = progress.cursor[0] if progress.cursor else 0
            for at in range(start, min(start + AT_ONCE, len(ids))):
                yield ids[at], (at + 1,)
            return
        part = self._spool.bulk.next(command, ARRIVALS, selection, progress, AT_ONCE)
        if part is not None:
            some, behind = part
            for id in some:  # what was touched is not found again, so the walk may begin at the same place
                yield id, behind if id == some[-1] else progress.cursor

    # ---- the acts ---------------------------------------------------------------------------------------------------
    def _route(self, command: Command, arguments: Arguments) -> Do:
        """Send to targets, whatever the rules say: also what is discarded, delivered or held."""
        names, priority = arguments.targets(), arguments.priority()
        for name in names:
            if name not in self._routing.names:
                raise NotFound(f"there is no target or group {name!r} in the routing configuration")
        groups = self._routing.configuration.groups
        targets = [TargetChoice(name, name in groups, priority) for name in names]
        why = arguments.reason("")
        reason = f"routed by {command.by}" + (f": {why}" if why else "")
        verdict = Verdict("route", self._routing.revision, targets, reason=reason, command=command.id)

        def do(arrival: int, part: Progress | None) -> None:
            state = ArrivalState(self._spool.arrivals.get(arrival)["state"])
            if state in ARRIVAL_UNDECIDED:
                raise StepRefused(f"arrival {arrival} is {state}; it can be routed once the rules have decided")
            if state is ArrivalState.DELETED:
                raise StepRefused(f"arrival {arrival} {GONE}")
            self._refuse_under_way(arrival, names)
            self._spool.arrivals.decide(arrival, verdict, part=part)

        return do

    def _refuse_under_way(self, arrival: int, names: list[str]) -> None:
        """A second delivery to the same target would not be made, and a silent "done" would be a lie."""
        for row in self._spool.deliveries.of_arrival(arrival):
            if row["singles"] or row["state"] in FINISHED:
                continue
            if row["target"] in names or row["target_group"] in names:
                of_group = row["target_group"] not in ("", row["target"])
                to = f"{row['target']} (of {row['target_group']})" if of_group else row["target"]
                raise StepRefused(
                    f"arrival {arrival} has delivery {row['id']} to {to} already, it is {row['state']};"
                    " use the queue's retry or release"
                )

    def _reroute(self, command: Command, arguments: Arguments) -> Do:
        """Let the rules of today decide again."""

        def do(arrival: int, part: Progress | None) -> None:
            if ArrivalState(self._spool.arrivals.get(arrival)["state"]) in ARRIVAL_UNDECIDED:
                raise StepRefused(f"arrival {arrival} is not decided yet; the rules of today will")
            self._spool.arrivals.reroute(arrival, command.id, part)

        return do

    def _hold(self, command: Command, arguments: Arguments) -> Do:
        """Set aside."""
        reason = arguments.reason(f"held by {command.by}")
        return lambda arrival, part: self._spool.arrivals.hold(arrival, reason, command.id, part)

    def _discard(self, command: Command, arguments: Arguments) -> Do:
        """Give up what is held or waits; it is kept for its retention."""
        reason = arguments.reason(f"discarded by {command.by}")
        return lambda arrival, part: self._spool.arrivals.discard(arrival, reason, command.id, part)

    def _keep(self, command: Command, arguments: Arguments) -> Do:
        """Keep it longer than its retention, or no longer than that."""
        until, restore = arguments.until(self._clock.now()), arguments.restore()

        def do(arrival: int, part: Progress | None) -> None:
            wanted = until
            if restore:
                before = self._spool.arrivals.before(restore, arrival)
                wanted = float(before) if before else None
            self._spool.arrivals.keep(arrival, wanted, command.id, part)

        return do

    def _release(self, command: Command, arguments: Arguments) -> Do:
        restore = arguments.restore()

        def do(arrival: int, part: Progress | None) -> None:
            if restore and self._spool.arrivals.before(restore, arrival) in ("delivered", "discarded"):
                raise StepRefused(
                    f"arrival {arrival} was finished before; releasing it would let the rules send it again"
                )
            self._let_go(arrival, command.id, part)

        return do

    def _let_go(self, arrival: int, command: int, part: Progress | None) -> None:
        """Its held deliveries go on; without any, or if rules hold it, the rules decide, and hold does not count."""
        held = [
            row for row in self._spool.deliveries.of_arrival(arrival) if row["state"] == "held" and not row["singles"]
        ]
        by_rules = not held or self._spool.arrivals.held_by_rules(arrival)
        if not by_rules or self._spool.arrivals.get(arrival)["state"] != ArrivalState.HELD:
            self._spool.arrivals.release(arrival, command, part)
            return
        if not self._routing.usable:
            raise StepRefused("the routing configuration cannot be read; repair it first (scanpost routing check)")
        self._judge_images(arrival)
        headers = self._spool.arrivals.subject(arrival)
        verdict = verdict_for(
            self._routing.configuration, self._routing.revision, headers, case_of(headers, self._routing.zone, lifted=True),
            answered=self._answered(arrival), command=command,
        )  # fmt: skip
        # To let it go must not be a way to throw it away, unless a rule says so.
        nowhere = verdict.outcome == "discard" and not verdict.rules and not held and not self._sent_singly(arrival)
        if verdict.outcome == "hold" or nowhere:
            raise StepRefused(f"the rules name no target for arrival {arrival}: {verdict.reason}; route or discard it")
        self._spool.arrivals.decide(arrival, verdict, released=True, part=part)

    def _answered(self, arrival: int) -> dict[str, RuleResult]:
        """What study rules said before the series was held, of those that count as they did then. One that was an error, or
        that could not be asked, is asked again.
        """
        rules = {rule.name: rule for rule in self._routing.configuration.rules}
        answers = {one.rule: one for one in self._spool.studies.answers_before_hold(arrival)}
        found: dict[str, RuleResult] = {}
        for name, answer in answers.items():
            result = result_of(rules.get(name), answer)
            if result is None or result.failed or result.counts != (rules[name].mode == "active"):
                continue
            if result.result is None or result.explanation:
                found[name] = let_go(rules[name], result)
        return found

    def _sent_singly(self, arrival: int) -> bool:
        """Whether image rules sent of it what they want."""
        rows = self._spool.deliveries.of_arrival(arrival)
        return any(row["singles"] and row["state"] != "cancelled" for row in rows)

    def _judge_images(self, arrival: int) -> None:
        """Image rules have the word before the others. Raises SpoolError (the command is tried again), StepRefused."""
        looked = self._singles.catch_up(arrival)
        if looked.again:
            raise SpoolError(f"image rules could not look at arrival {arrival}")
        if looked.given_up:
            self._singles.forget(arrival)
            raise StepRefused(
                f"image rules cannot look at the images of arrival {arrival}, the router's log says why;"
                " release it again when that is mended, or route or discard it"
            )
        self._singles.let_go(arrival)
