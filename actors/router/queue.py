"""Acts on deliveries and targets: retry, hold, release, cancel, priority, redirect; pause and resume.
It must not work on more than a slice of a long list at once: the write lock and the heartbeat have to get their turn.
"""

from __future__ import annotations

from dataclasses import replace

from actors.router.arguments import Arguments
from actors.router.routing import Routing
from protocol.acts import states_for
from protocol.clock import Clock
from protocol.errors import NotFound, StepRefused
from protocol.selection import Selection
from protocol.spool import Spool
from protocol.spool.acts import Act
from protocol.spool.arrivals import TargetChoice
from protocol.spool.commands import Command
from protocol.spool.selecting import DELIVERIES
from protocol.spool.steps import Wish

CHUNK = 50  # deliveries in one transaction: it holds the write lock for about 10 ms
CHUNKS_AT_ONCE = 20  # in one pass of the router


class QueueActs:
    """What people do to deliveries and targets."""

    def __init__(self, spool: Spool, routing: Routing, clock: Clock) -> None:
        self._spool, self._routing, self._clock = spool, routing, clock

    def act(self, command: Command) -> bool:
        """One of `queue.*`: by ids (all or none), or on all that match; False if more is left to do."""
        what, arguments = command.kind.partition(".")[2], Arguments(command)
        ids, selection = arguments.ids(), arguments.selection("delivery")
        if bool(ids) == (selection is not None):
            raise StepRefused(f"{command.kind} needs either ids, or what they have in common: a target, a state, ...")
        restore = arguments.restore()
        priority = arguments.priority(needed=True) if what == "priority" and not restore else None
        to = self._to(arguments.to()) if what == "redirect" else None
        if selection is None:
            reason = arguments.reason("")
            self._spool.deliveries.change(ids, what, command.id, reason=reason, priority=priority, to=to)
            return True
        self._check_target(selection.target)
        states = states_for(command.kind, selection)
        whose = Act(command.id, command.by, arguments.reason(""))
        return self._many(command, replace(selection, states=states), Wish(what, priority, to, restore), whose)

    def _check_target(self, target: str | None) -> None:
        if target is not None and target not in self._routing.names | self._spool.deliveries.targets_in_use().keys():
            raise NotFound(f"there is no target {target!r}")

    def _many(self, command: Command, selection: Selection, wish: Wish, whose: Act) -> bool:
        bulk = self._spool.bulk
        progress = bulk.begin(command, DELIVERIES, selection)
        for _ in range(CHUNKS_AT_ONCE):
            part = bulk.next(command, DELIVERIES, selection, progress, CHUNK)
            if part is None:
                bulk.finish(command, progress, progress.answer(wish.what, "deliveries"))
                return True
            progress = bulk.deliveries(command, *part, wish, whose, progress)
        return False

    def _to(self, name: str) -> TargetChoice:
        if name not in self._routing.names:
            raise NotFound(f"there is no target or group {name!r} in the routing configuration")
        return TargetChoice(name, name in self._routing.configuration.groups)

    def pause(self, command: Command) -> None:
        """Claim nothing for a target until it is resumed."""
        arguments = Arguments(command)
        name, until = self._target(arguments), arguments.until(self._clock.now())
        self._spool.targets.pause(name, arguments.reason("no reason given"), command.by, until, command.id)

    def resume(self, command: Command) -> None:
        """Go on with a target."""
        self._spool.targets.resume(self._target(Arguments(command)), command.by, command.id)

    def _target(self, arguments: Arguments) -> str:
        name = arguments.target()
        if name is None or name not in self._routing.configuration.targets:
            raise NotFound(f"there is no target {name!r} in the routing configuration")
        return name
