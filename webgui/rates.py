"""Rates out of counters that only grow: the mean of the last seconds and a short history. It must not read anything."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

MEAN_S = 10.0
"""A rate is the mean over this time: calm to look at, still quick."""

HISTORY_S = 300.0
"""How far the chart goes back."""


class Point(NamedTuple):
    """Rates at one moment, images per second; `at` is monotonic seconds."""

    at: float
    received: float
    sent: float


class Rates:
    """Fed with the counters (images received, images sent) once per sample."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int, int]] = deque()
        self.history: deque[Point] = deque()
        self.sent_total = 0
        """Images sent since this process looks: unlike the figure it is made of, it never falls."""

    @property
    def now(self) -> Point | None:
        """The newest rates; None before two samples."""
        return self.history[-1] if self.history else None

    def add(self, at: float, received: int, sent: int) -> None:
        """Take a sample. Counters that went back (rows cleaned, rebuild) start anew."""
        samples = self._samples
        if samples:
            self.sent_total += max(0, sent - samples[-1][2])
        if samples and (received < samples[-1][1] or sent < samples[-1][2]):
            samples.clear()
        samples.append((at, received, sent))
        while len(samples) > 2 and at - samples[1][0] >= MEAN_S:
            samples.popleft()
        first = samples[0]
        took = at - first[0]
        if took > 0:
            self.history.append(Point(at, (received - first[1]) / took, (sent - first[2]) / took))
        while self.history and at - self.history[0].at > HISTORY_S:
            self.history.popleft()
