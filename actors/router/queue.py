"""Acts on deliveries and targets: retry, hold, release, cancel, priority, redirect; pause and resume.
It must not work on more than a slice of a long list at once: the write lock and the heartbeat have to get their turn.
"""

from __future__ import annotations

from dataclasses import dataclass

from actors.router.arguments import Arguments
from actors.router.routing import Routing
from protocol.clock import Clock
from protocol.errors import NotFound, StepRefused
from protocol.spool import Spool
from protocol.spool.arrivals import TargetChoice
from protocol.spool.commands import Command
from protocol.states import Priority

CHUNK = 100  # deliveries in one transaction
CHUNKS_AT_ONCE = 10  # in one pass of the router
# What an act means for all deliveries of a target: those that can do it.
CAN = {
    "retry": ("parked", "retrying"),
    "hold": ("waiting", "sending", "retrying", "parked"),
    "release": ("held",),
    "cancel": ("waiting", "retrying", "parked", "held"),
    "priority": ("waiting", "retrying", "parked", "held"),
    "redirect": ("waiting", "retrying", "parked", "held"),
}


@dataclass
class Slice:
    """How far a long list is. In memory: a router that starts begins again, and finds only what is left to do."""

    before: int | None = None
    changed: int = 0
    skipped: int = 0


class QueueActs:
    """What people do to deliveries and targets."""

    def __init__(self, spool: Spool, routing: Routing, clock: Clock) -> None:
        self._spool, self._routing, self._clock = spool, routing, clock
        self._slices: dict[int, Slice] = {}

    def act(self, command: Command) -> bool:
        """One of `queue.*`, by ids (all or none), for a target, or for all parked; False if more is left to do."""
        act, arguments = command.kind.partition(".")[2], Arguments(command)
        ids, target, parked = arguments.ids(), arguments.target(), arguments.all_parked()
        if bool(ids) + (target is not None) + parked != 1:
            raise StepRefused(f"{command.kind} needs either ids, or a target, or all_parked")
        priority = arguments.priority(needed=True) if act == "priority" else None
        reason = arguments.reason(f"{act} by {command.by}")
        to = self._to(arguments.to()) if act == "redirect" else None
        if ids:
            self._spool.deliveries.change(ids, act, command.id, reason=reason, priority=priority, to=to)
            return True
        states = ("parked",) if parked else CAN[act]
        if not set(states) <= set(CAN[act]):
            raise StepRefused(f"{command.kind} is not for parked deliveries; name ids or a target")
        if target is not None and target not in self._routing.names | self._spool.deliveries.targets_in_use().keys():
            raise NotFound(f"there is no target {target!r}")
        return self._many(command, act, states, target, reason, priority, to)

    def _many(
        self, command: Command, act: str, states: tuple[str, ...], target: str | None, reason: str,
        priority: Priority | None, to: TargetChoice | None,
    ) -> bool:  # fmt: skip
        part = self._slices.setdefault(command.id, Slice())
        for _ in range(CHUNKS_AT_ONCE):
            rows = self._spool.deliveries.list(states=states, target=target, before=part.before, limit=CHUNK)
            if not rows:
                left = f", {part.skipped} were under way meanwhile" if part.skipped else ""
                self._spool.commands.finish(command.id, f"{act}: {part.changed} deliveries{left}")
                del self._slices[command.id]
                return True
            part.before = rows[-1]["id"]
            changed = self._change([row["id"] for row in rows], act, command.id, reason, priority, to)
            part.changed += changed
            part.skipped += len(rows) - changed
        return False

    def _change(
        self, ids: list[int], act: str, command: int, reason: str, priority: Priority | None, to: TargetChoice | None
    ) -> int:
        """All at once; if one was taken by a dispatcher meanwhile, each alone. How many."""
        change = self._spool.deliveries.change
        try:
            return change(ids, act, command, reason=reason, priority=priority, to=to, more=True)
        except (StepRefused, NotFound):
            pass
        done = 0
        for id in ids:
            try:
                done += change([id], act, command, reason=reason, priority=priority, to=to, more=True)
            except (StepRefused, NotFound):
                continue
        return done

    def _to(self, name: str) -> TargetChoice:
        if name not in self._routing.names:
            raise NotFound(f"there is no target or group {name!r} in the routing configuration")
        return TargetChoice(name, name in self._routing.configuration.groups)

    def pause(self, command: Command) -> None:
        """Claim nothing for a target until it is resumed."""
        arguments = Arguments(command)
        name, until = self._target(arguments), arguments.until(self._clock.now())
        self._spool.targets.pause(name, arguments.reason(f"paused by {command.by}"), command.by, until, command.id)

    def resume(self, command: Command) -> None:
        """Go on with a target."""
        self._spool.targets.resume(self._target(Arguments(command)), command.by, command.id)

    def _target(self, arguments: Arguments) -> str:
        name = arguments.target()
        if name is None or name not in self._routing.configuration.targets:
            raise NotFound(f"there is no target {name!r} in the routing configuration")
        return name
