"""Whether a daily window of the settings is open: `HH:MM-HH:MM`, "always" or "never". Pure; it must not read a clock."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo


def in_window(window: str, now: float, zone: tzinfo | None = None) -> bool:
    """Is the window open at `now` (seconds UTC)? `HH:MM-HH:MM` by the clock on the wall of `zone` (None: this machine's).

    It may go over midnight; equal ends mean always. Where daylight saving skips an hour, a window within it does not
    open that day; where an hour comes twice, it opens twice (known-failures 33).
    """
    if window in ("always", "never"):
        return window == "always"
    local = datetime.fromtimestamp(now, UTC).astimezone(zone)
    minute = local.hour * 60 + local.minute
    start, end = (int(text[:2]) * 60 + int(text[3:]) for text in window.split("-"))
    if start == end:
        return True
    if start < end:
        return start <= minute < end
    return minute >= start or minute < end
