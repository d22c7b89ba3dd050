"""Acts on arrivals: route, reroute, hold, release, discard. Each is one transaction that also answers the command.
It must not catch what it cannot do: StepRefused and NotFound become the command's answer.
"""

from __future__ import annotations

from actors.router.arguments import Arguments
from actors.router.routing import Routing
from actors.router.singles import Singles
from actors.router.verdicts import case_of, verdict_for
from protocol.errors import NotFound, StepRefused
from protocol.spool import Spool
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.commands import Command
from protocol.states import ARRIVAL_UNDECIDED, ArrivalState

FINISHED = ("delivered", "cancelled")


class SeriesActs:
    """What people do to arrivals."""

    def __init__(self, spool: Spool, routing: Routing, singles: Singles) -> None:
        self._spool, self._routing, self._singles = spool, routing, singles

    def route(self, command: Command) -> None:
        """Send an arrival to targets, whatever the rules say: also a discarded, delivered or held one."""
        arguments = Arguments(command)
        arrival, names, priority = arguments.arrival(), arguments.targets(), arguments.priority()
        for name in names:
            if name not in self._routing.names:
                raise NotFound(f"there is no target or group {name!r} in the routing configuration")
        state = ArrivalState(self._spool.arrivals.get(arrival)["state"])
        if state in ARRIVAL_UNDECIDED:
            raise StepRefused(f"arrival {arrival} is {state}; it can be routed once the rules have decided")
        self._refuse_under_way(arrival, names)
        groups = self._routing.configuration.groups
        targets = [TargetChoice(name, name in groups, priority) for name in names]
        reason = f"routed by {command.by}"
        self._spool.arrivals.decide(
            arrival, Verdict("route", self._routing.revision, targets, reason=reason, command=command.id)
        )

    def _refuse_under_way(self, arrival: int, names: list[str]) -> None:
        """A second delivery to the same target would not be made, and a silent "done" would be a lie."""
        for row in self._spool.arrivals.story(arrival)["deliveries"]:
            if row["target"] in names and row["state"] not in FINISHED:
                raise StepRefused(
                    f"arrival {arrival} has delivery {row['id']} to {row['target']} already, it is {row['state']};"
                    " use the queue's retry or release"
                )

    def reroute(self, command: Command) -> None:
        """Let the rules of today decide again."""
        arrival = Arguments(command).arrival()
        if ArrivalState(self._spool.arrivals.get(arrival)["state"]) in ARRIVAL_UNDECIDED:
            raise StepRefused(f"arrival {arrival} is not decided yet; the rules of today will")
        self._spool.arrivals.reroute(arrival, command.id)

    def hold(self, command: Command) -> None:
        """Set an arrival aside."""
        arguments = Arguments(command)
        self._spool.arrivals.hold(arguments.arrival(), arguments.reason(f"held by {command.by}"), command.id)

    def release(self, command: Command) -> None:
        """Let go of a held arrival: its held deliveries go on; without any, the rules decide, and hold does not count."""
        arrival = Arguments(command).arrival()
        story = self._spool.arrivals.story(arrival)
        held = [row for row in story["deliveries"] if row["state"] == "held" and not row["singles"]]
        if held or story["arrival"]["state"] != ArrivalState.HELD:
            self._spool.arrivals.release(arrival, command.id)
            return
        if not self._routing.usable:
            raise StepRefused("the routing configuration cannot be read; repair it first (scanpost routing check)")
        self._singles.catch_up(arrival)
        headers = self._spool.arrivals.subject(arrival)
        verdict = verdict_for(
            self._routing.configuration, self._routing.revision, headers, case_of(headers, self._routing.zone, lifted=True),
            command=command.id,
        )  # fmt: skip
        if verdict.outcome == "hold":
            raise StepRefused(f"the rules name no target for arrival {arrival}: {verdict.reason}; route or discard it")
        self._spool.arrivals.decide(arrival, verdict, released=True)

    def discard(self, command: Command) -> None:
        """Give up a held or waiting arrival; it is kept for its retention."""
        arguments = Arguments(command)
        self._spool.arrivals.discard(arguments.arrival(), arguments.reason(f"discarded by {command.by}"), command.id)
