"""What people can do to deliveries and arrivals, and in which states: agreed on by who asks (pages, commands) and the router.
It must not carry anything out.
"""

from __future__ import annotations

from collections.abc import Mapping

from protocol.errors import StepRefused
from protocol.selection import Selection

_IDLE = ("waiting", "retrying", "parked", "held")
# Act -> states in which it can be done.
CAN: Mapping[str, tuple[str, ...]] = {
    "queue.retry": ("parked", "retrying"),
    "queue.hold": ("waiting", "sending", "retrying", "parked"),
    "queue.release": ("held",),
    "queue.cancel": _IDLE,
    "queue.priority": _IDLE,
    "queue.redirect": _IDLE,
    "series.route": ("waiting", "held", "in_delivery", "delivered", "discarded"),
    "series.reroute": ("held", "in_delivery", "delivered", "discarded"),
    "series.hold": ("open", "closed", "waiting", "in_delivery", "delivered", "discarded"),
    "series.release": ("held",),
    "series.discard": ("closed", "waiting", "held"),
}
# What an act on all that match means where no states are named, if that is less than it can: those that a person has in mind.
USUAL: Mapping[str, tuple[str, ...]] = {
    "series.reroute": ("held", "delivered", "discarded"),
    "series.hold": ("open", "closed", "waiting", "in_delivery"),
}


def what_of(kind: str) -> str:
    """What an act is done to: "delivery" or "arrival"."""
    return "delivery" if kind.startswith("queue.") else "arrival"


def states_for(kind: str, selection: Selection) -> tuple[str, ...]:
    """The states of a selection that an act goes through. Raises StepRefused if one is named in which it cannot be done."""
    can = CAN[kind]
    for state in selection.states:
        if state not in can:
            raise StepRefused(f"{kind} is not for {state} ones; it can be done to {', '.join(can)}")
    return selection.states or USUAL.get(kind, can)
