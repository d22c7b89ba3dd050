"""Percentiles out of the counts of a histogram. Pure; it must not read anything."""

from __future__ import annotations

from collections.abc import Sequence

from protocol.records import record
from protocol.spool.figures.metrics import BOUNDS_S


@record
class Latency:
    """What a histogram says, in seconds; None where nothing was counted. Percentiles are interpolated within a bucket."""

    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None


def latency_of(counts: Sequence[int], total_s: float) -> Latency:
    """Of the counts by bucket (one per bound and one beyond) and the sum of all values."""
    count = sum(counts)
    if not count:
        return Latency(0, None, None, None, None)
    return Latency(count, total_s / count, *(quantile(counts, q) for q in (0.5, 0.95, 0.99)))


def quantile(counts: Sequence[int], q: float) -> float:
    """The value that a share `q` of all is at most, values spread evenly within their bucket; beyond the last bound that bound."""
    wanted, below, lower = q * sum(counts), 0, 0.0
    for count, upper in zip(counts, (*BOUNDS_S, BOUNDS_S[-1]), strict=True):
        if count and below + count >= wanted:
            return lower + (upper - lower) * max(0.0, wanted - below) / count
        below, lower = below + count, float(upper)
    return float(BOUNDS_S[-1])
