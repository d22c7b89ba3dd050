"""One look at the node for all viewers: the status at each tick, what takes a look back less often. It runs in the hub's thread.
A source that fails is told with the last figures; it never ends the page.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from protocol.clock import Clock
from protocol.errors import ScanpostError
from webgui.figures import Reading
from webgui.news import News
from webgui.outlook import Curves
from webgui.source import Source

T = TypeVar("T")
ARRIVALS_SHOWN = 20
OUTLOOK_S = 10.0
WIDTH_S, CHART_S = 10, 3600
OVERLAP = 3
"""So many of the newest buckets of the live chart may still change: the bookkeeper counts a moment later."""

log = logging.getLogger(__name__)


class Looker:
    """Keeps what it need not read again."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self._source, self._clock = source, clock
        self._outlook_at = float("-inf")
        self._chart: dict[str, dict[str, Any]] = {}

    def look(self, before: Reading) -> tuple[Reading, News]:
        """The node as it is now; of what cannot be read, as it was."""
        at, monotonic = self._clock.now(), self._clock.monotonic()
        now = replace(before, error="", at=at, monotonic=monotonic)
        try:
            now = replace(now, status=self._source.status(), arrivals=self._source.last_arrivals(ARRIVALS_SHOWN))
            now = replace(now, alerts=self._source.alerts())
            news = self._source.news()
        except ScanpostError as exc:
            return replace(now, error=str(exc)), News()
        except Exception as exc:
            log.exception("status cannot be read", extra={"action": "webgui_status_failed"})
            return replace(now, error=type(exc).__name__), News()
        if monotonic - self._outlook_at >= OUTLOOK_S:
            self._outlook_at = monotonic
            now = replace(now, outlook=_quietly(self._source.outlook, now.outlook))
        return replace(now, chart=_quietly(lambda: self._newest(at), self._chart)), news

    def _newest(self, now: float) -> dict[str, dict[str, Any]]:
        """Rows of the last hour by start of the bucket; the one under way is not shown."""
        until = int((now - 2) // WIDTH_S) * WIDTH_S - WIDTH_S
        first = until - CHART_S + WIDTH_S
        known = max((int(key) for key in self._chart), default=first - WIDTH_S)
        if known > until:  # the clock was set back
            self._chart, known = {}, first - WIDTH_S
        since = max(first, known - OVERLAP * WIDTH_S)
        fresh = rows_of(self._source.curves(WIDTH_S, since, until))
        kept = {key: row for key, row in self._chart.items() if int(key) >= first}
        self._chart = {**kept, **fresh}
        return self._chart


def rows_of(curves: Curves) -> dict[str, dict[str, Any]]:
    """By start of the bucket: images and bytes per second in and out, and the queue of each target."""
    return {
        str(start): {
            "in": curves.images_in[place],
            "out": curves.images_out[place],
            "bin": round(curves.bytes_in[place]),
            "bout": round(curves.bytes_out[place]),
            "q": {name: points[place] for name, points in curves.backlog.items()},
        }
        for place, start in enumerate(curves.starts)
    }


def _quietly(ask: Callable[[], T], former: T) -> T:
    """Statistics that cannot be read must not hide the rest."""
    try:
        return ask()
    except Exception as exc:
        log.warning("statistics cannot be read: %s", exc, extra={"action": "webgui_statistics_failed"})
        return former
