"""Whether the wall clock can be trusted with deleting what is old. Pure: no clock is read here."""

from __future__ import annotations

HOUR_S = 3600.0
CLOCK_PART_S = HOUR_S  # wall and monotonic clock may part this far: leap seconds and slewing are far below
CLOCK_BEHIND_S = 5.0  # the newest event may be this far ahead: other processes stamp theirs a moment later


def clock_trouble(parted_s: float, now: float, newest_event: float) -> str:
    """Why the wall clock cannot be trusted with deleting, or "". `parted_s`: how far it moved against the monotonic one."""
    if abs(parted_s) > CLOCK_PART_S:
        return (
            f"the clock jumped by {parted_s / HOUR_S:+.1f} hours; nothing is deleted until it is back,"
            " or until this program is restarted because the new time is right"
        )
    if now < newest_event - CLOCK_BEHIND_S:
        return f"the clock is {newest_event - now:.0f} s behind the newest event; nothing is deleted until it is right"
    return ""
