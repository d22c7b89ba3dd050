"""What people can do to deliveries and arrivals, and in which states: agreed on by who asks (pages, commands) and the router.
It must not carry anything out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    "series.keep": ("open", "closed", "waiting", "held", "in_delivery", "delivered", "discarded"),
}
# What an act on all that match means where no states are named, if that is less than it can: those that a person has in mind.
USUAL: Mapping[str, tuple[str, ...]] = {
    "series.reroute": ("held", "delivered", "discarded"),
    "series.hold": ("open", "closed", "waiting", "in_delivery"),
}


# Act -> the act that takes it back, and the states of what is still as the first one left it.
_UNDO: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "queue.hold": ("queue.release", ("held",)),
    "queue.release": ("queue.hold", ("waiting", "retrying")),
    "queue.priority": ("queue.priority", _IDLE),
    "series.hold": ("series.release", ("held",)),
    "series.release": ("series.hold", ("closed", "waiting", "in_delivery")),
    # Held, not decided anew: undoing something sends nothing by itself.
    "series.discard": ("series.hold", ("discarded",)),
    "series.keep": ("series.keep", CAN["series.keep"]),
}


def can_undo(kind: str) -> bool:
    """Whether there is an act that takes one of this kind back."""
    return kind in _UNDO


def undo_of(kind: str, id: int) -> tuple[str, dict[str, Any]]:
    """Kind and arguments of the act that takes act `id` back where it was done. Raises StepRefused if none does."""
    if kind not in _UNDO:
        raise StepRefused(f"{kind} cannot be undone")
    back, states = _UNDO[kind]
    return back, {"where": {"act": id, "states": list(states)}, "restore": id}


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
