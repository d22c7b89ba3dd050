"""Whether the wall clock can be trusted with deleting what is old. Pure: no clock is read here."""

from __future__ import annotations

HOUR_S = 3600.0
CLOCK_PART_S = HOUR_S  # wall and monotonic clock may part this far: leap seconds and slewing are far below
AHEAD_S = 3 * 24 * HOUR_S
"""A node that is off over a long weekend waits for nothing, and its images are kept as long as that by default."""
BELIEVED = "cleaner.clock"
"""What stands in the spool: when the cleaner believed the clock last (seconds UTC), a space, and seconds of running since."""
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


def believed(told: str) -> tuple[float, float] | None:
    """The two numbers of what stands as BELIEVED; None: nothing does."""
    seen, _, waited = told.partition(" ")
    return (float(seen), float(waited or 0.0)) if seen else None


def ahead_trouble(told: str, now: float) -> str:
    """Why the wall clock cannot be trusted with forgetting while the cleaner does not believe it, or ""."""
    found = believed(told)
    ahead_s = 0.0 if found is None else now - sum(found)
    return f"the clock is {ahead_s / HOUR_S / 24:.0f} days ahead of the cleaner's" if ahead_s > AHEAD_S else ""
