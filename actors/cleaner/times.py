"""The cleaner's rules about time: whether the clock can be trusted, when the window opens.
Pure: no clock is read and no setting looked up here.
"""

from __future__ import annotations

from datetime import tzinfo

from actors.window import in_window

HOUR_S, DAY_S, MINUTE_S = 3600.0, 86_400.0, 60.0
CLOCK_PART_S = HOUR_S  # wall and monotonic clock may part this far: leap seconds and slewing are far below
CLOCK_BEHIND_S = 5.0  # the newest event may be this far ahead: other processes stamp theirs a moment later
LOOK_AHEAD_S = 2 * DAY_S  # a window shorter than the hour that daylight saving skips may not open for a day


def clock_trouble(parted_s: float, now: float, newest_event: float) -> str:
    """Why the wall clock cannot be trusted with deleting, or "". `parted_s`: how far it moved against the monotonic one."""
    if abs(parted_s) > CLOCK_PART_S:
        return (
            f"the clock jumped by {parted_s / HOUR_S:+.1f} hours; nothing is deleted until it is back,"
            " or until the cleaner is restarted because the new time is right"
        )
    if now < newest_event - CLOCK_BEHIND_S:
        return f"the clock is {newest_event - now:.0f} s behind the newest event; nothing is deleted until it is right"
    return ""


def opens_at(window: str, now: float, zone: tzinfo | None = None) -> float | None:
    """When the window is open next, `now` if it is (seconds UTC); None: not in the next two days."""
    if in_window(window, now, zone):
        return now
    minute = now - now % MINUTE_S + MINUTE_S
    while minute < now + LOOK_AHEAD_S:
        if in_window(window, minute, zone):
            return minute
        minute += MINUTE_S
    return None
