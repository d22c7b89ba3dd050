"""What an unfinished delivery waits for, as the queue and the page of its series say it alike. Pure.

It must not judge whether a target is there; the dispatcher does.
"""

from __future__ import annotations

from protocol.records import record
from protocol.spool.targets import TargetState


@record
class Holdup:
    """Why a delivery does not go now; all empty where nothing is known to keep it. Times in seconds UTC.

    Attributes:
        due: the next try, where one failed.
        probed: at `due` the target is asked whether it is there again.
        overdue: `due` is past; a slot, the target's limit or its schedule is what it waits for.
        paused: who paused its target and why.
        until: when that pause ends by itself.
    """

    due: float | None = None
    probed: bool = False
    overdue: bool = False
    paused: str = ""
    until: float | None = None


def holdup(state: str, due: float, target: TargetState | None, now: float) -> Holdup:
    """Of a delivery in `state` to `target` (None: nothing ever happened to it)."""
    if state not in ("waiting", "retrying"):
        return Holdup()
    target = target or TargetState("")
    at = target.next_try(due) if state == "retrying" else None
    paused = target.pause(now)
    return Holdup(
        at,
        at is not None and target.breaker == "open",
        at is not None and at <= now,
        paused,
        target.until if paused else None,
    )
