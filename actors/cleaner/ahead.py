"""Whether the wall clock went far ahead while nobody cleaned: a machine that boots with a wrong clock looks like one that was off.
It must not judge a clock that jumps while this program runs, or that is behind (`actors.clocks` does).

Nobody can tell the two apart, so both wait: a wrong clock is usually set right, or seen by a person, within a day of running;
and what was kept for a month may be kept for a day more. Only running counts, and what was waited survives restarts.
"""

from __future__ import annotations

from actors.clocks import AHEAD_S, BELIEVED, believed
from protocol.clock import Clock
from protocol.errors import OutOfSpace
from protocol.spool.notices import Notices

HOUR_S, DAY_S = 3600.0, 86_400.0
_WAITED_EVERY_S = 600.0  # what is waited is written down in units of that


class Ahead:
    """One for the life of a cleaner; what it has seen stands in the spool."""

    def __init__(self, notices: Notices, clock: Clock, wait_s: float) -> None:
        self._notices, self._clock, self._wait_s = notices, clock, wait_s
        self._told = notices.standing(BELIEVED).get(BELIEVED, "")
        # The wall clock as it was last believed, and seconds of running since then.
        self._seen, self._waited = believed(self._told) or (clock.now(), 0.0)
        self._looked = clock.monotonic()

    def trouble(self) -> str:
        """Why the clock cannot be trusted with deleting yet, or "". To be asked only while there is no other trouble with it."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        self._waited += monotonic - self._looked
        self._looked = monotonic
        ahead_s = now - self._seen - self._waited
        waits = ahead_s > AHEAD_S and self._waited < self._wait_s
        if not waits:
            self._seen, self._waited = now, 0.0
        self._write()
        if not waits:
            return ""
        return (
            f"the clock is {ahead_s / DAY_S:.0f} days ahead of when the cleaner worked last: this machine was off, or its clock is"
            f" wrong; then set it right. Nothing is deleted in the first {self._wait_s / HOUR_S:g} hours of running"
        )

    def _write(self) -> None:
        """At most once an hour, or every ten minutes of waiting."""
        told = f"{self._seen // HOUR_S * HOUR_S:.0f} {self._waited // _WAITED_EVERY_S * _WAITED_EVERY_S:.0f}"
        if told == self._told:
            return
        try:
            self._notices.tell(BELIEVED, told)
        except OutOfSpace:  # with the next look; a full disk is the last reason not to clean
            return
        self._told = told
