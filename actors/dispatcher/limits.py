"""How many deliveries each target may have under way now, from the current routing configuration and its state.
It must not claim or count anything under way: the claim itself does, in one statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo

from actors.dispatcher.builtin import with_sink
from actors.groups import is_open, is_paused
from actors.window import in_window
from protocol.clock import Clock
from protocol.records import record
from protocol.routing.model import RoutingConfiguration
from protocol.routing.targets import Target
from protocol.routing.versions import RoutingVersions
from protocol.selftest import SINK
from protocol.settings import Settings
from protocol.spool import Spool
from protocol.spool.claiming import Order
from protocol.spool.targets import TargetState

FEWEST_SLOTS = 4  # assumed even if fewer run: half of them must leave room for others
LOOK_EVERY_S = 1.0  # how often a delivery under way asks whether its target is still to be served
COUNT_EVERY_S = 5.0  # how often live slots are counted anew


def asked_first(target: Target) -> bool:
    """Whether one that failed is asked before a delivery goes there. Where attempts are counted, each has to be one."""
    return bool(getattr(target, "probe", False)) and target.retry.max_attempts is None


def probes(
    configuration: RoutingConfiguration, states: Mapping[str, TargetState], now: float, zone: tzinfo | None = None
) -> dict[str, float]:
    """Targets that failed and may be asked now whether they are there again, with their `not_before`. Pure."""
    found = {}
    for name, target in configuration.targets.items():
        state = states.get(name)
        if state is None or state.breaker != "open" or state.not_before > now or not asked_first(target):
            continue
        if not is_paused(state, now) and is_open(target, now, zone):
            found[name] = state.not_before
    return found


def limits(
    configuration: RoutingConfiguration, states: Mapping[str, TargetState], slots: int, now: float,
    zone: tzinfo | None = None,
) -> dict[str, int]:  # fmt: skip
    """Target -> most deliveries at once; a target that is paused, left alone, or outside its schedule is not in it. Pure.

    No target gets more than half of all slots, so that one that hangs leaves the other half to the others. One that
    failed and did not answer since gets a single delivery; if it can be asked without one (`probes`) that comes first.
    """
    share = max(1, max(slots, FEWEST_SLOTS) // 2)
    allowed: dict[str, int] = {}
    for name, target in configuration.targets.items():
        state = states.get(name)
        if state is not None and (is_paused(state, now) or state.not_before > now):
            continue
        if not is_open(target, now, zone):
            continue
        breaker = "closed" if state is None else state.breaker
        if breaker == "open" and asked_first(target):
            continue
        allowed[name] = min(target.concurrency, share) if breaker == "closed" else 1
    return allowed


@record
class Terms:
    """Of the settings: see `dispatcher` there. Seconds; `zone` is the node's, None the machine's."""

    aging_s: float = 0.0
    offpeak_window: str = "always"
    offpeak_after_s: float = float("inf")
    zone: tzinfo | None = None


USUAL = Terms()


def terms_of(settings: Settings) -> Terms:
    """What the settings say."""
    own = settings.dispatcher
    return Terms(own.aging_s, own.offpeak_window, own.offpeak_after_h * 3600, settings.node.zone)


class Limits:
    """The limits as they are now; used by slots before each claim and by their parent to see whether there is work."""

    def __init__(
        self, spool: Spool, routing: RoutingVersions, clock: Clock, slots: int, terms: Terms = USUAL
    ) -> None:  # fmt: skip
        self._spool, self._routing, self._clock, self._terms = spool, routing, clock, terms
        self._configured = slots
        self._slots, self._counted = slots, float("-inf")
        self._seen: RoutingConfiguration | None = None
        self.configuration = RoutingConfiguration()
        self._probes: dict[str, float] = {}

    @property
    def zone(self) -> tzinfo | None:
        """In which schedules are meant."""
        return self._terms.zone

    def now(self) -> dict[str, int]:
        """Read configuration and states again."""
        current = self._routing.current().configuration
        if current is not self._seen:
            self._seen, self.configuration = current, with_sink(current, self._spool.places.run)
        if self._clock.monotonic() - self._counted >= COUNT_EVERY_S:
            self._counted = self._clock.monotonic()
            self._slots = max(self._configured, self._spool.workers.count("dispatcher"))
        states, now, zone = self._spool.targets.all(), self._clock.now(), self._terms.zone
        self._probes = probes(self.configuration, states, now, zone)
        return limits(self.configuration, states, self._slots, now, zone)

    def awaited_probes(self) -> dict[str, float]:
        """Of the last look: targets to be asked whether they are there again, since a delivery waits for them."""
        groups = self.configuration.groups
        return {
            name: seen
            for name, seen in self._probes.items()
            if self._spool.deliveries.awaited([name, *(one for one, group in groups.items() if name in group.members)])
        }

    def order(self, allowed: Mapping[str, int], *, only_urgent: bool = False) -> Order:
        """In which order deliveries are taken now, of targets with these limits."""
        terms, targets = self._terms, self.configuration.targets
        return Order(
            terms.aging_s or None,
            in_window(terms.offpeak_window, self._clock.now(), terms.zone),
            terms.offpeak_after_s,
            only_urgent,
            {name: 1 for name, limit in allowed.items() if 1 < limit < targets[name].concurrency}
            if only_urgent
            else {},
        )

    def serves(self, target: str) -> bool:
        """Whether deliveries to it may go on: it is configured, and nobody has paused it."""
        if target != SINK and target not in self._routing.current().configuration.targets:
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
