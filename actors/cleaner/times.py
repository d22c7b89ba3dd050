"""When the cleaner's window opens. Pure: no clock is read and no setting looked up here."""

from __future__ import annotations

from datetime import tzinfo

from actors.window import in_window

DAY_S, MINUTE_S = 86_400.0, 60.0
LOOK_AHEAD_S = 2 * DAY_S  # a window shorter than the hour that daylight saving skips may not open for a day


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
