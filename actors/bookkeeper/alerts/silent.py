"""Whether a source is silent for longer than is usual for it, learned from the hours in which it was seen. Pure.
It must not know what a source is; few data mean no answer.

Not time by the clock is compared but time in which the source is usually there: an hour counts as much as the share of
weeks in which it was seen in that hour of the week. So nights and weekends count nothing for who never works then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from functools import lru_cache

from protocol.records import record

HOUR_S = 3600.0
WEEK_H = 168
LEAST_SPAN_H, LEAST_HOURS, LEAST_DAYS = 14 * 24, 30, 6
GONE_H = 14 * 24
"""Who is silent for longer has left; nobody needs to hear of it for ever."""
USUAL = 0.98
"""Quantile of its own gaps."""
TIMES_USUAL, LEAST_GAP_H = 3.0, 2.0


@record
class Silent:
    """Last seen in the hour that ends at `since` (seconds UTC); `hours` of its usual time ago; `usual` is its longest usual gap."""

    since: float
    hours: float
    usual: float


def slots(zone: tzinfo | None) -> Callable[[int], int]:
    """Which hour of the week (0: Monday, midnight) an hour since 1970 UTC is on the wall of `zone` (None: this machine's)."""

    @lru_cache(maxsize=4096)
    def slot(hour: int) -> int:
        wall = datetime.fromtimestamp(hour * HOUR_S, zone)
        return wall.weekday() * 24 + wall.hour

    return slot


def silence(hours: Sequence[int], now: float, slot: Callable[[int], int]) -> Silent | None:
    """None: not longer than usual, or too little is known. `hours` (since 1970 UTC) in which it was seen, ascending."""
    if not hours:
        return None
    first, last, present = hours[0], hours[-1], int(now // HOUR_S)
    seen_days = len({hour // 24 for hour in hours})
    if last - first < LEAST_SPAN_H or len(hours) < LEAST_HOURS or seen_days < LEAST_DAYS:
        return None
    if last >= present or present - last > GONE_H:
        return None
    weight = _weights(hours, slot)
    passed = sum(weight[slot(hour)] for hour in range(last + 1, present))
    passed += weight[slot(present)] * (now / HOUR_S - present)
    usual = _usual_gap(hours, weight, slot)
    if passed <= max(LEAST_GAP_H, TIMES_USUAL * usual):
        return None
    return Silent((last + 1) * HOUR_S, passed, usual)


def _weights(hours: Sequence[int], slot: Callable[[int], int]) -> list[float]:
    """By hour of the week: in what share of the weeks it was seen then."""
    were = Counter(slot(hour) for hour in range(hours[0], hours[-1] + 1))
    seen = Counter(slot(hour) for hour in hours)
    return [seen[one] / were[one] if were[one] else 0.0 for one in range(WEEK_H)]


def _usual_gap(hours: Sequence[int], weight: Sequence[float], slot: Callable[[int], int]) -> float:
    gaps = sorted(
        sum(weight[slot(hour)] for hour in range(before + 1, after))
        for before, after in zip(hours, hours[1:], strict=False)
    )
    return gaps[min(len(gaps) - 1, int(len(gaps) * USUAL))]
