"""How fast files are deleted: a token bucket on the monotonic clock, so that no step of the wall clock changes it.
It must not sleep: it says how many may go now, and when to ask again.
"""

from __future__ import annotations

import math

BURST_S = 0.2  # of deleting at once; what a disk can take without others noticing


class Pace:
    """So many files per second, in bursts; None is no limit. Times are seconds of the monotonic clock."""

    def __init__(self, files_per_s: float | None, now: float) -> None:
        self._rate, self._asked = files_per_s, now
        self._most = 1.0 if files_per_s is None else max(1.0, files_per_s * BURST_S)
        self._left = self._most

    def allows(self, now: float) -> int | None:
        """How many files may go now; None: any number."""
        if self._rate is None:
            return None
        self._left = min(self._most, self._left + (now - self._asked) * self._rate)
        self._asked = now
        return max(0, math.floor(self._left))

    def spend(self, files: int) -> None:
        """So many went; more than were allowed are paid for later."""
        self._left -= files

    def wait_s(self) -> float:
        """How long until half a burst may go, or one file; less is not worth a pass."""
        if self._rate is None:
            return 0.0
        return max(0.0, (max(1.0, self._most / 2) - self._left) / self._rate)
