"""Whether a daily window of the settings is open: `HH:MM-HH:MM`, "always" or "never". Pure; it must not read a clock."""

from __future__ import annotations

from datetime import tzinfo

from protocol.routing.origin import moment
from protocol.routing.terms import Window, within


def in_window(window: str, now: float, zone: tzinfo | None = None) -> bool:
    """Is the window open at `now` (seconds UTC)? By the clock on the wall of `zone` (None: this machine's).

    It may go over midnight; equal ends mean always. Where daylight saving skips an hour, a window within it does not
    open that day; where an hour comes twice, it opens twice (known-failures 33).
    """
    if window in ("always", "never"):
        return window == "always"
    start, _, end = window.partition("-")
    return within((Window(start=start, end=end),), moment(now, zone))
