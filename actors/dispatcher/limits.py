"""How many deliveries each target may have under way now, from the current routing configuration and its state.
It must not claim or count anything under way: the claim itself does, in one statement.
"""

from __future__ import annotations

from collections.abc import Mapping

from actors.groups import is_paused
from protocol.clock import Clock
from protocol.routing.model import RoutingConfiguration
from protocol.routing.versions import RoutingVersions
from protocol.spool import Spool
from protocol.spool.targets import TargetState

FEWEST_SLOTS = 4  # assumed even if fewer run: half of them must leave room for others
LOOK_EVERY_S = 1.0  # how often a delivery under way asks whether its target is still to be served
COUNT_EVERY_S = 5.0  # how often live slots are counted anew


def limits(
    configuration: RoutingConfiguration, states: Mapping[str, TargetState], slots: int, now: float
) -> dict[str, int]:
    """Target -> most deliveries at once; a target that is paused or left alone is not in it. Pure.

    No target gets more than half of all slots, so that one that hangs leaves the other half to the others. One that
    failed and did not answer since gets a single delivery: the probe.
    """
    share = max(1, max(slots, FEWEST_SLOTS) // 2)
    allowed: dict[str, int] = {}
    for name, target in configuration.targets.items():
        state = states.get(name)
        if state is not None and (is_paused(state, now) or state.not_before > now):
            continue
        failing = state is not None and state.not_before > 0
        allowed[name] = 1 if failing else min(target.concurrency, share)
    return allowed


class Limits:
    """The limits as they are now; used by slots before each claim and by their parent to see whether there is work."""

    def __init__(self, spool: Spool, routing: RoutingVersions, clock: Clock, slots: int) -> None:
        self._spool, self._routing, self._clock = spool, routing, clock
        self._configured = slots
        self._slots, self._counted = slots, float("-inf")
        self.configuration = RoutingConfiguration()

    def now(self) -> dict[str, int]:
        """Read configuration and states again."""
        self.configuration = self._routing.current().configuration
        if self._clock.monotonic() - self._counted >= COUNT_EVERY_S:
            self._counted = self._clock.monotonic()
            self._slots = max(self._configured, self._spool.workers.count("dispatcher"))
        return limits(self.configuration, self._spool.targets.all(), self._slots, self._clock.now())

    def serves(self, target: str) -> bool:
        """Whether deliveries to it may go on: it is configured, and nobody has paused it."""
        if target not in self._routing.current().configuration.targets:
            return False
        state = self._spool.targets.all().get(target)
        return state is None or not is_paused(state, self._clock.now())


class Unwanted:
    """Asked between images: has the target been paused or removed meanwhile? Looks once a second."""

    def __init__(self, limits: Limits, target: str, clock: Clock) -> None:
        self._limits, self._target, self._clock = limits, target, clock
        self._due = clock.monotonic() + LOOK_EVERY_S
        self._said = False

    def __call__(self) -> bool:
        now = self._clock.monotonic()
        if not self._said and now >= self._due:
            self._due = now + LOOK_EVERY_S
            self._said = not self._limits.serves(self._target)
        return self._said
