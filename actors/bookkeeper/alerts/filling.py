"""How fast the disk fills up, and when it reaches its reserve at that rate. Pure; it must not look at any disk.
It knows the last hours alone: after a restart it says nothing until it has seen enough.
"""

from __future__ import annotations

from collections import deque

EVERY_S = 300.0
WINDOW_S = 6 * 3600.0
LEAST_S = 3600.0
HOUR_S = 3600.0


class Filling:
    """Free bytes over time; times are monotonic seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def look(self, now: float, free: int) -> None:
        """Remember one look, at most every EVERY_S."""
        if self._seen and now - self._seen[-1][0] < EVERY_S:
            return
        self._seen.append((now, free))
        while self._seen and now - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()

    @property
    def known(self) -> bool:
        """Enough was seen to say how fast it fills up."""
        return bool(self._seen) and self._seen[-1][0] - self._seen[0][0] >= LEAST_S

    @property
    def bytes_per_h(self) -> float | None:
        """How much less is free each hour; None: too little was seen, or it becomes more."""
        if not self.known:
            return None
        (begin, before), (end, after) = self._seen[0], self._seen[-1]
        rate = (before - after) / (end - begin) * HOUR_S
        return rate if rate > 0 else None

    def hours_left(self, free: int, reserve: float) -> float | None:
        """Hours until no more than the reserve is free, at the rate of the last hours; None: not foreseeable."""
        rate = self.bytes_per_h
        return None if rate is None else max(0.0, free - reserve) / rate
