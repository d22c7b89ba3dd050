"""The counts of a backtest as a document: matched n of N, forecasts per day, busiest hours, the difference in lists of arrivals.
Pure; free text out of images stands in it only if asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from protocol.routing.backtest.report import GROUPS, PRIVATE, TOP, RuleCounts, SetCounts
from protocol.routing.backtest.whole import Backtest
from protocol.routing.model import RoutingConfiguration

DAY_S = 86_400.0


def document_of(
    made: Backtest, draft: RoutingConfiguration, active: RoutingConfiguration | None, window: tuple[float, float],
    *, unrecorded: int = 0, values: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Everything as JSON data. `window` in seconds UTC; `unrecorded` arrivals in it have no header values (any more).

    `values`: also the most frequent study and series descriptions, which are free text about patients.
    """
    days = max((window[1] - window[0]) / DAY_S, 1 / 24)
    total = made.totals["arrivals"]
    sets = [(made.sets[0], draft)] + ([(made.sets[1], active)] if active is not None else [])
    told = [_set(counts, configuration, total, days, values) for counts, configuration in sets]
    return {
        "window": {"since": window[0], "until": window[1], "days": round(days, 3)},
        "arrivals": total,
        "images": made.totals["images"],
        "bytes": made.totals["bytes"],
        "without_headers": unrecorded,
        "damaged": made.totals["damaged"],
        "draft": told[0],
        "active": told[1] if active is not None else None,
        "difference": made.difference.state() if active is not None else None,
    }


def _set(
    counts: SetCounts, configuration: RoutingConfiguration, total: int, days: float, values: bool
) -> dict[str, Any]:
    counts.settle()
    rules = [
        {"rule": rule.name, "mode": rule.mode, "action": rule.action, "trigger": rule.trigger}
        | _rule(counts.rules.get(rule.name) or RuleCounts(), total, values)
        for rule in configuration.rules
    ]
    return {
        "outcomes": {name: counts.outcomes[name] for name in ("route", "hold", "discard", "cannot_tell")},
        "rules": rules,
        "targets": {name: _load(hours, days) for name, hours in sorted(counts.targets.items())},
    }


def _rule(rule: RuleCounts, total: int, values: bool) -> dict[str, Any]:
    return {
        "matched": rule.matched,
        "of": total,
        **{place: rule.odd[place] for place in ("unknown", "error", "untold", "blocked")},
        "by": {name: _top(rule.by[name]) for name in GROUPS if values or name not in PRIVATE},
        "examples": {place: found for place, found in rule.examples.items() if found},
    }


def _top(counts: Mapping[str, int]) -> list[list[Any]]:
    """The most frequent values, most frequent first."""
    return [[value, count] for value, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:TOP]]


def _load(hours: Mapping[str, Sequence[int]], days: float) -> dict[str, Any]:
    by_day: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for hour, (series, size) in hours.items():
        sums = by_day[hour[:10]]
        sums[0] += series
        sums[1] += size
    series, size = (sum(one[at] for one in hours.values()) for at in (0, 1))
    return {
        "series": series,
        "bytes": size,
        "series_per_day": round(series / days, 2),
        "gb_per_day": round(size / 1e9 / days, 4),
        "busiest_hour": _busiest(hours),
        "busiest_day": _busiest(by_day),
    }


def _busiest(sums: Mapping[str, Sequence[int]]) -> dict[str, Any] | None:
    """By bytes: that is what lines and disks are sized for."""
    if not sums:
        return None
    at = max(sorted(sums), key=lambda name: sums[name][1])
    return {"at": at, "series": sums[at][0], "gb": round(sums[at][1] / 1e9, 4)}
