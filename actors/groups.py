"""Target groups of the routing configuration as the spool binds deliveries to them, and which targets can be used now.
It must not choose a member: the claim does.
"""

from __future__ import annotations

from collections.abc import Mapping

from protocol.routing.model import RoutingConfiguration
from protocol.spool.binding import Binding
from protocol.spool.targets import TargetState


def bindings(configuration: RoutingConfiguration) -> dict[str, Binding]:
    """The groups as the claim needs them."""
    return {name: Binding(group.mode, group.members, group.sticky_by) for name, group in configuration.groups.items()}


def is_paused(state: TargetState, now: float) -> bool:
    """By a person, and not over; `now` in seconds UTC."""
    return state.paused and (state.until is None or state.until > now)


def usable(configuration: RoutingConfiguration, states: Mapping[str, TargetState], now: float) -> set[str]:
    """Targets that are neither paused nor left alone because they failed; `now` in seconds UTC."""
    names = set(configuration.targets)
    return names - {
        name for name, state in states.items() if is_paused(state, now) or state.not_before > now
    }  # fmt: skip
