"""Target groups of the routing configuration as the spool binds deliveries to them, and which targets can be used now.
It must not choose a member: the claim does, and who hands a delivery on (standing_in).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import tzinfo

from protocol.routing.model import RoutingConfiguration
from protocol.routing.origin import moment
from protocol.routing.targets import Target
from protocol.routing.terms import within
from protocol.spool import Spool
from protocol.spool.binding import Binding
from protocol.spool.targets import TargetState


def bindings(configuration: RoutingConfiguration) -> dict[str, Binding]:
    """The groups as the claim needs them."""
    return {name: Binding(group.mode, group.members, group.sticky_by) for name, group in configuration.groups.items()}


def others(
    spool: Spool, configuration: RoutingConfiguration, group: str, member: str, arrival: int, usable: Collection[str]
) -> list[str]:  # fmt: skip
    """The other members of a group that can be used, in the order in which the claim would take them for this arrival."""
    binding = bindings(configuration).get(group)
    if binding is None:
        return []
    limits = {
        name: configuration.targets[name].concurrency for name in binding.members if name in usable and name != member
    }
    return spool.deliveries.standing_in(arrival, binding, limits)


def is_paused(state: TargetState, now: float) -> bool:
    """By a person, and not over; `now` in seconds UTC."""
    return state.paused and (state.until is None or state.until > now)


def is_open(target: Target, now: float, zone: tzinfo | None) -> bool:
    """Whether deliveries to it may begin by its schedule; `now` in seconds UTC, `zone` the node's, None the machine's."""
    return target.schedule is None or within(target.schedule, moment(now, zone))


def usable(
    configuration: RoutingConfiguration, states: Mapping[str, TargetState], now: float, zone: tzinfo | None = None
) -> set[str]:
    """Targets that are neither paused, nor left alone because they failed, nor outside their schedule; see `is_open`."""
    names = {name for name, target in configuration.targets.items() if is_open(target, now, zone)}
    return names - {
        name for name, state in states.items() if is_paused(state, now) or state.not_before > now
    }  # fmt: skip
