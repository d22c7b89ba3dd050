"""Reading the statistics: series for charts, sums since a moment, latencies, flows, and what /metrics shows.
It never writes. Without a file, or with one that has counted nothing yet, everything is empty or zero.

    spool.statistics.series("received_images", width=60, since=now - 3600)
    spool.statistics.total("sends", now - 86400, target="pacs", result="failed")
    spool.statistics.totals("rule_results", now - 86400, by=("rule",), result="true")
    spool.statistics.latency("pacs", now - 3600).p95

Metrics and their labels stand in metrics.py. All times are seconds UTC. Every call may raise SpoolError (the file cannot
be read) and KeyError (no such metric or label); none takes longer than some milliseconds.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from protocol.clock import Clock
from protocol.records import record
from protocol.spool.figures.file import open_file, transaction
from protocol.spool.figures.metrics import BOUNDS_S, METRICS, SUM, WIDTHS_S, labels_of, start_of
from protocol.spool.figures.quantiles import Latency, latency_of

Labels = tuple[str, ...]


@record
class Flow:
    """Series that one rule sent from one source to one target (or group). `per_hour` is dense, oldest hour first, the hour
    under way last; `failing`: the last attempt to that target failed.
    """

    source: str
    rule: str
    target: str
    series: int
    per_hour: list[int]
    failing: bool


@record
class Histogram:
    """Counts by bucket since counting began: one per bound of BOUNDS_S and one beyond; not added up. `sum` in seconds."""

    counts: list[int]
    sum: float


@record
class _Line:
    id: int
    labels: Labels
    total: float
    last: float


class Statistics:
    """The figures of a node. Safe to use from several threads; opens the file at the first look."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._opened: int | None = None

    def close(self) -> None:
        """Let go of the file; the next look opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # ---- charts ---------------------------------------------------------------------------------------------------
    def series(
        self, metric: str, *, width: int, since: float, until: float | None = None, **labels: str
    ) -> list[tuple[int, float]]:
        """[(start of the bucket, value)], dense and oldest first, of all lines with these labels together.

        `width` is 10, 60 or 3600 seconds; the buckets of `since` and `until` (default now) are the first and the last. What is
        older than the width is kept (WIDTHS_S) is zero.
        """
        return next(iter(self.series_by(metric, (), width=width, since=since, until=until, **labels).values()))

    def series_by(
        self, metric: str, by: Sequence[str], *, width: int, since: float, until: float | None = None, **labels: str
    ) -> dict[Labels, list[tuple[int, float]]]:
        """The same for each combination of the labels `by`: {("pacs",): [(start, value), ...]}. `by` () gives one, {(): ...}."""
        starts = _starts(width, since, self._clock.now() if until is None else until)
        sums: dict[Labels, dict[int, float]] = defaultdict(lambda: dict.fromkeys(starts, 0))
        if not by:
            sums[()] = dict.fromkeys(starts, 0)
        with self._look() as db:
            for line, key in _lines(db, metric, by, labels):
                rows = db.all(
                    "SELECT start, value FROM bucket WHERE line = ? AND width = ? AND start BETWEEN ? AND ?",
                    (line.id, width, starts[0], starts[-1]),
                )
                for start, value in rows:
                    sums[key][start] += value
        return {key: list(values.items()) for key, values in sums.items()}

    # ---- sums -----------------------------------------------------------------------------------------------------
    def total(self, metric: str, since: float | None = None, **labels: str) -> float:
        """How much since a moment (None: since counting began), of all lines with these labels together.

        The moment is rounded down to 10 s if it is at most two hours ago, to a minute within three days, else to an hour.
        """
        return self.totals(metric, since, **labels).get((), 0)

    def totals(
        self, metric: str, since: float | None = None, *, by: Sequence[str] = (), **labels: str
    ) -> dict[Labels, float]:
        """The same for each combination of the labels `by`; combinations that never occurred are not there."""
        sums: dict[Labels, float] = defaultdict(int)
        width = 0 if since is None else _finest(self._clock.now() - since)
        with self._look() as db:
            for line, key in _lines(db, metric, by, labels):
                sums[key] += line.total if since is None else _sum(db, line.id, width, since)
        return dict(sums)

    def last(self, metric: str, **labels: str) -> float | None:
        """When the newest event of these lines happened; None if there was none."""
        with self._look() as db:
            return max((line.last for line, _ in _lines(db, metric, (), labels)), default=None)

    # ---- latencies ------------------------------------------------------------------------------------------------
    def latency(self, target: str | None = None, since: float | None = None, metric: str = "end_to_end_s") -> Latency:
        """Median, 95th and 99th percentile and mean of a histogram since a moment; None where nothing was counted.

        `metric` is end_to_end_s or sending_s (of one target or all), or completion_s (then `target` is a source).
        """
        labels = {} if target is None else {METRICS[metric].labels[0]: target}
        counts, total = self._histogram(metric, since, labels)
        return latency_of(counts, total)

    def latencies(self, since: float | None = None, metric: str = "end_to_end_s") -> dict[str, Latency]:
        """The same for every target (or source) at once."""
        names = {key[0] for key in self.totals(metric, by=METRICS[metric].labels)}
        return {name: self.latency(name, since, metric) for name in sorted(names)}

    def _histogram(self, metric: str, since: float | None, labels: Mapping[str, str]) -> tuple[list[int], float]:
        counts = [0] * (len(BOUNDS_S) + 1)
        for key, count in self.totals(metric, since, by=("bucket",), **labels).items():
            counts[int(key[0])] += int(count)
        return counts, self.total(metric + SUM, since, **labels)

    # ---- the flow map -----------------------------------------------------------------------------------------------
    def flows(self, since: float) -> list[Flow]:
        """Who sent by which rule where, the busiest first; those without a series since then are left out."""
        hours = self.series_by("flow", ("source", "rule", "target"), width=3600, since=since)
        failing = self.failing()
        flows = [
            Flow(source, rule, target, int(sum(v for _, v in points)), [int(v) for _, v in points], target in failing)
            for (source, rule, target), points in hours.items()
        ]
        return sorted(
            (one for one in flows if one.series), key=lambda one: (-one.series, one.source, one.rule, one.target)
        )

    def failing(self) -> set[str]:
        """Targets whose last ended attempt failed."""
        newest: dict[str, tuple[float, bool]] = {}
        with self._look() as db:
            for line, (target, result) in _lines(db, "sends", ("target", "result"), {}):
                if result != "interrupted":
                    newest[target] = max(newest.get(target, (0.0, False)), (line.last, result != "delivered"))
        return {target for target, (_, failed) in newest.items() if failed}

    # ---- /metrics ---------------------------------------------------------------------------------------------------
    def lifetime(self, metric: str) -> dict[Labels, float]:
        """What every line came to since counting began: counters that survive restarts."""
        return self.totals(metric, by=labels_of(metric))

    def histograms(self, metric: str) -> dict[Labels, Histogram]:
        """Every histogram of this metric since counting began, by target or source."""
        sums = self.lifetime(metric + SUM)
        counts: dict[Labels, list[int]] = defaultdict(lambda: [0] * (len(BOUNDS_S) + 1))
        for key, count in self.totals(metric, by=(*METRICS[metric].labels, "bucket")).items():
            counts[key[:-1]][int(key[-1])] += int(count)
        return {key: Histogram(found, float(sums.get(key, 0))) for key, found in counts.items()}

    def counted_until(self) -> tuple[int, int, float]:
        """(epoch, seq, time in seconds UTC) of the newest event that is counted; zeros if none is."""
        with self._look() as db:
            rows = db.all("SELECT epoch, seq, time FROM place")
        return (int(rows[0][0]), int(rows[0][1]), float(rows[0][2])) if rows else (0, 0, 0.0)

    def _reopen(self) -> None:
        """Open the file that has its name now: a damaged one is set aside while others still have it open."""
        inode = _inode(self._path)
        if self._connection is not None and inode != self._opened:
            self._connection.close()
            self._connection = None
        if self._connection is None:
            self._connection, self._opened = open_file(self._path), inode

    @contextmanager
    def _look(self) -> Iterator[_Look]:
        """One consistent look; without a file an empty one."""
        with self._lock:
            self._reopen()
            if self._connection is None:
                yield _Look(None)
                return
            with transaction(self._connection, "read the figures", "DEFERRED"):
                yield _Look(self._connection)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


class _Look:
    """Statements within one look; none finds anything where there is no file."""

    def __init__(self, connection: sqlite3.Connection | None) -> None:
        self._connection = connection

    def all(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        return [] if self._connection is None else self._connection.execute(statement, values).fetchall()


def _lines(db: _Look, metric: str, by: Sequence[str], wanted: Mapping[str, str]) -> list[tuple[_Line, Labels]]:
    """The lines of a metric that have the wanted labels, each with its values of the labels `by`."""
    names = labels_of(metric)
    if not metric.endswith(SUM) and METRICS[metric].histogram:
        names = (*names, "bucket")
    for label in (*by, *wanted):
        if label not in names:
            raise KeyError(f"{metric} has no label {label}; it has {', '.join(names)}")
    places = [names.index(label) for label in by]
    rows = db.all("SELECT id, labels, total, last FROM line WHERE metric = ? ORDER BY id", (metric,))
    lines = [_Line(id, tuple(json.loads(labels)), total, last) for id, labels, total, last in rows]
    return [
        (line, tuple(line.labels[place] for place in places))
        for line in lines
        if all(line.labels[names.index(label)] == value for label, value in wanted.items())
    ]


def _sum(db: _Look, line: int, width: int, since: float) -> float:
    rows = db.all(
        "SELECT coalesce(sum(value), 0) FROM bucket WHERE line = ? AND width = ? AND start >= ?",
        (line, width, start_of(since, width)),
    )
    return rows[0][0] if rows else 0


def _starts(width: int, since: float, until: float) -> range:
    if width not in WIDTHS_S:
        raise KeyError(f"there are buckets of {', '.join(map(str, WIDTHS_S))} seconds, not of {width}")
    return range(start_of(since, width), max(start_of(until, width), start_of(since, width)) + 1, width)


def _finest(age_s: float) -> int:
    """The finest width whose buckets still cover what is this old."""
    return next((width for width, kept_s in WIDTHS_S.items() if age_s <= kept_s), max(WIDTHS_S))
