"""What takes a look back: figures of the last hour and day, flows, charts. Read every ten seconds for all viewers.
It must not know pages; everything here may block (source.py calls it in the hub's thread).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import field

from protocol.records import record
from protocol.routing.model import RoutingConfiguration
from protocol.spool import Spool
from protocol.spool.figures.reading import Flow

HOUR_S, DAY_S = 3600.0, 86_400.0
MINUTE_S = 60.0


@record
class Mark:
    """A version of the routing configuration came into force. `at`: seconds UTC."""

    at: float
    number: int
    author: str


@record
class Outlook:
    """Figures of the last hour or day; rates by target in images per second; empty where nothing was counted yet."""

    series_in_h: int = 0
    series_out_h: int = 0
    failed_day: int = 0
    discarded_day: int = 0
    net_bytes_day: float = 0.0
    """Received minus deleted within a day: what the disk fills by."""
    rates: Mapping[str, float] = field(default_factory=dict)
    flows: tuple[Flow, ...] = ()
    rules: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Active rules that route, in their order, with their targets and groups."""
    marks: tuple[Mark, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Target groups with their members."""


def look(spool: Spool, configuration: RoutingConfiguration, marks: tuple[Mark, ...], now: float) -> Outlook:
    """Ask the statistics of the node. Raises SpoolError."""
    told = spool.statistics
    hour, day = now - HOUR_S, now - DAY_S
    sent = told.totals("sent_images", now - MINUTE_S, by=("target",))
    return Outlook(
        series_in_h=int(told.total("opened_arrivals", hour)),
        series_out_h=int(told.total("sends", hour, result="delivered")),
        failed_day=int(told.total("sends", day, result="failed") + told.total("sends", day, result="parked")),
        discarded_day=int(told.total("discarded_arrivals", day)),
        net_bytes_day=told.total("received_bytes", day) - told.total("deleted_bytes", day),
        rates={key[0]: value / MINUTE_S for key, value in sent.items()},
        flows=tuple(told.flows(hour)),
        rules=tuple(
            (rule.name, rule.targets)
            for rule in configuration.rules
            if rule.action == "route" and rule.mode == "active" and rule.targets
        ),
        marks=marks,
        groups={name: tuple(group.members) for name, group in configuration.groups.items()},
    )


@record
class Curves:
    """What a chart shows: starts of buckets (seconds UTC) and values per second; a backlog is None where nobody looked."""

    starts: list[int]
    images_in: list[float]
    images_out: list[float]
    bytes_in: list[float]
    bytes_out: list[float]
    backlog: Mapping[str, list[int | None]] = field(default_factory=dict)


def curves(spool: Spool, width: int, since: float, until: float, backlog: Backlog) -> Curves:
    """Of whole buckets of `width` seconds (10, 60) between two moments. Raises SpoolError."""
    found = {
        name: spool.statistics.series(name, width=width, since=since, until=until)
        for name in ("received_images", "sent_images", "received_bytes", "sent_bytes")
    }
    starts = [start for start, _ in found["received_images"]]
    per_second = {name: [round(value / width, 3) for _, value in points] for name, points in found.items()}
    return Curves(
        starts, per_second["received_images"], per_second["sent_images"], per_second["received_bytes"],
        per_second["sent_bytes"], backlog.series(width, starts),
    )  # fmt: skip


STILL_S = 60  # who looks again after less has seen everything: the page looks seldom while nothing happens


class Backlog:
    """How many deliveries waited for each target, as somebody of this process saw it: ten seconds apart for an hour, a
    minute apart for a day. It is not kept over a restart.
    """

    KEPT = {10: 400, 60: 1500}
    """Width in seconds -> how many samples."""

    def __init__(self) -> None:
        self._seen: dict[int, dict[int, dict[str, int]]] = {width: {} for width in self.KEPT}

    def add(self, now: float, waiting: Mapping[str, int]) -> None:
        """The queue as it is (`now`: seconds UTC); the last word of a bucket counts. Since the last time nothing happened."""
        for width, seen in self._seen.items():
            start, last = int(now // width) * width, max(seen, default=0)
            for missed in range(last + width, start, width) if start - last <= STILL_S else ():
                seen[missed] = seen[last]
            seen[start] = dict(waiting)
            while len(seen) > self.KEPT[width]:
                del seen[min(seen)]

    def series(self, width: int, starts: list[int]) -> dict[str, list[int | None]]:
        """By target, the longest queues first, at most eight and the rest together; only targets that had one."""
        seen = [self._seen[width].get(start) for start in starts]
        peaks: dict[str, int] = defaultdict(int)
        for one in seen:
            for name, count in (one or {}).items():
                peaks[name] = max(peaks[name], count)
        named = sorted((name for name, peak in peaks.items() if peak), key=lambda name: (-peaks[name], name))
        shown, rest = named[:8], named[8:]
        found: dict[str, list[int | None]] = {
            name: [None if one is None else one.get(name, 0) for one in seen] for name in shown
        }
        if rest:
            found["others"] = [None if one is None else sum(one.get(name, 0) for name in rest) for one in seen]
        return found


def days_left(free: float | None, reserve: float | None, net_bytes_day: float) -> float | None:
    """How long the disk lasts if every day is like the last one; None: it does not fill, or nobody can tell."""
    if free is None or net_bytes_day <= 0:
        return None
    return max(0.0, (free - (reserve or 0)) / net_bytes_day)
