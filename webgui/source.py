"""Where the figures on the page come from: a small interface, and the spool behind it. It must not know HTTP.

Everything here may block; the hub calls it in one thread of its own.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any, Protocol

from protocol.addresses import with_port
from protocol.clock import Clock
from protocol.dispatchers import dispatchers
from protocol.errors import RoutingError, SpoolMissing
from protocol.fsops import RealFs
from protocol.routing.versions import RoutingVersions
from protocol.settings import Settings
from protocol.spool.alerts import Alert
from protocol.spool.outbox import Cursor
from protocol.spool.places import Places
from protocol.spool.spool import Spool, open_spool
from protocol.spool.status import node_status
from webgui.measures import Measures, measure
from webgui.news import SAYINGS, News, toasts, topics_of
from webgui.outlook import DAY_S, Backlog, Curves, Mark, Outlook, curves, look

GIGABYTE = 1e9
LOUD = 200
MOST_MARKS = 50
RECEIVING = {"receiver": 1}
"""What must be ready so that images can be received and stored."""


class Source(Protocol):
    """The node as the page sees it. All calls may block and are made in a thread, never on the event loop."""

    def status(self) -> dict[str, Any]:
        """The document of `scanpost status --json`. Raises ScanpostError if the spool cannot be read."""

    def last_arrivals(self, limit: int) -> list[dict[str, Any]]:
        """The newest arrivals, newest first, without patient data."""

    def measures(self) -> Measures:
        """What /metrics tells beyond the status document. Raises ScanpostError if the spool cannot be read."""

    def news(self) -> News:
        """What happened since the last call."""

    def alerts(self) -> list[Alert]:
        """What stands and needs a person, worst first."""

    def outlook(self) -> Outlook:
        """Figures of the last hour and day."""

    def curves(self, width: int, since: float, until: float) -> Curves:
        """What charts show, in buckets of `width` seconds between two moments (seconds UTC)."""


class SpoolSource:
    """Reads the spool of this node. It opens it at the first look, so the page is there before the spool is."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._fs, self._places = RealFs(), Places(settings.home)
        self._spool: Spool | None = None
        self._routing = RoutingVersions(self._places.routing, self._fs, clock)
        self._seen: Cursor | None = None
        self._accounts: tuple[int, ...] = ()
        self._backlog = Backlog()
        self._marks: dict[int, Mark] = {}

    def status(self) -> dict[str, Any]:
        """The status document; actors that should be there and are not stand in it as `missing`."""
        routing = self._routing.current()
        configured = routing.configuration.targets
        document = node_status(
            self._open(),
            configured_targets=list(configured),
            needed=RECEIVING,
            reserve_bytes=self._settings.spool.reserve_gb * GIGABYTE,
            reserve2_bytes=self._settings.spool.reserve2_gb * GIGABYTE,
            revision=routing.number,
        )
        _add_missing(document["actors"], expected_actors(self._settings))
        for name, target in document["targets"].items():
            target["address"] = _address(configured.get(name))
        waits = {name: target["waiting"] + target["sending"] for name, target in document["targets"].items()}
        self._backlog.add(document["time"], waits)
        document["problems"] = [problem.message for problem in self._routing.problems()]
        return document

    def last_arrivals(self, limit: int) -> list[dict[str, Any]]:
        """The newest arrivals with their deliveries."""
        spool = self._open()
        arrivals = spool.arrivals.list(limit=limit)
        deliveries = defaultdict(list)
        for row in spool.deliveries.list(limit=5 * limit):
            deliveries[row["arrival"]].append({"target": row["target"], "state": row["state"]})
        return [
            {
                "id": row["id"],
                "opened": row["opened"],
                "source": row["source"] or row["calling_ae"],
                "modality": row["modality"],
                "images": row["images"] - row["superseded"],
                "state": row["state"],
                "deliveries": deliveries[row["id"]][::-1],
            }
            for row in arrivals
        ]

    def measures(self) -> Measures:
        """Counters, histograms, alerts, lags, certificates."""
        return measure(self._open(), self._settings, self._routing.current().configuration)

    def news(self) -> News:
        """What the outbox has since the last call; the first call only takes the place."""
        outbox = self._open().outbox
        before, seen = self._seen, self._accounts
        self._accounts = _touched(self._settings.home / "accounts.sqlite3")
        if before is None:
            self._seen = outbox.head()
            return News()
        happened = outbox.happened(before, SAYINGS, LOUD)
        self._seen = happened.head
        changed = topics_of(happened.kinds)
        return News(changed | {"audit", "users"} if seen != self._accounts else changed, toasts(happened.events))

    def alerts(self) -> list[Alert]:
        """Those of the spool."""
        return self._open().alerts.list()

    def outlook(self) -> Outlook:
        """Out of the statistics that the bookkeeper keeps."""
        now, current = self._clock.now(), self._routing.current()
        if current.number not in self._marks:
            self._marks = {one.number: one for one in _marks(self._routing, current.number, now - DAY_S)}
        marks = tuple(one for one in self._marks.values() if one.at >= now - DAY_S)
        return look(self._open(), current.configuration, marks, now)

    def curves(self, width: int, since: float, until: float) -> Curves:
        """Statistics, and the queues as this page saw them."""
        return curves(self._open(), width, since, until, self._backlog)

    def close(self) -> None:
        """Let go of the spool."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _open(self) -> Spool:
        if self._spool is None:
            if not self._places.database.exists() and not self._has_images():
                raise SpoolMissing("there is no spool here yet; `scanpost up` makes it")
            self._spool = open_spool(
                self._settings.home,
                source=f"/{self._settings.node.name}/webgui/0",
                fs=self._fs,
                clock=self._clock,
                durability=self._settings.receiver.durability,
            )
        return self._spool

    def _has_images(self) -> bool:
        return self._places.images.is_dir() and any(self._places.images.iterdir())


def _marks(routing: RoutingVersions, newest: int, since: float) -> list[Mark]:
    """The versions since then, oldest first; of a long history no more is read than that."""
    found: list[Mark] = []
    for number in range(newest, max(0, newest - MOST_MARKS), -1):
        try:
            version = routing.get(number)
        except RoutingError:
            continue
        found.append(Mark(version.time, version.number, version.author))
        if version.time < since:
            break
    return found[::-1]


def _touched(file: Path) -> tuple[int, ...]:
    """Changes whenever something was written to a database."""
    found = []
    for name in (file, file.with_name(file.name + "-wal")):
        try:
            found.append(name.stat().st_mtime_ns)
        except OSError:
            found.append(0)
    return tuple(found)


def expected_actors(settings: Settings) -> dict[str, int]:
    """Which actors a node runs, and how many of each."""
    expected = {"receiver": 1, "router": 1, "dispatcher": dispatchers(settings), "cleaner": 1, "bookkeeper": 1}
    return {"bus": 1, **expected} if settings.bus.enabled else expected


def _add_missing(actors: dict[str, dict[str, Any]], expected: dict[str, int]) -> None:
    for name, count in expected.items():
        running = [key for key in actors if key.split("-")[0] == name]
        for number in range(len(running), count):
            key = name if not number and name not in actors else f"{name} {number + 1}"
            actors[key] = {"state": "missing", "pid": None, "uptime_s": None, "version": ""}


def _address(target: Any) -> str:
    """Where a target is, in a few characters."""
    if target is None:
        return ""
    if target.type == "dicom":
        return f"{target.called_ae} @ {with_port(target.host, target.port)}"
    place = next((value for part in ("url", "bucket", "host", "path") if (value := getattr(target, part, None))), "")
    return f"{target.type} {place}".strip()
