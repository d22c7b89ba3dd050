"""Reads the node once per tick for all viewers and tells each what changed. It must not know HTTP or HTML.

One thread call per tick however many watch. Each viewer has a bounded memory of unsent changes in which the last
value per field wins; a viewer too slow even for that is told to start over (`resync`).
"""

from __future__ import annotations

import asyncio
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from protocol.clock import Clock
from protocol.errors import ScanpostError
from webgui.config import WebConfig
from webgui.figures import Reading, Row, Topics, topics
from webgui.measures import Measures
from webgui.rates import Rates
from webgui.source import Source

ARRIVALS_SHOWN = 20
MAX_PENDING_ROWS = 2000
MIN_GAP_S = 0.5
"""Wake-ups make ticks earlier, but not more frequent than 2 Hz."""

log = logging.getLogger(__name__)


class Frame:
    """Changes of one topic; encoded once for all viewers that take it unmerged."""

    def __init__(self, kind: str, topic: str, seq: int, data: dict[str, Row | None]) -> None:
        self.kind, self.topic, self.seq, self.data = kind, topic, seq, data
        self._text: str | None = None

    @property
    def text(self) -> str:
        """The frame as JSON."""
        if self._text is None:
            fields = {"t": self.kind, "topic": self.topic, "seq": self.seq, "d": self.data}
            self._text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        return self._text

    def then(self, later: Frame) -> Frame:
        """Both changes as one."""
        data = dict(self.data)
        for key, row in later.data.items():
            former = data.get(key)
            data[key] = {**former, **row} if former and row is not None else row
        return Frame(self.kind, self.topic, later.seq, data)


class Viewer:
    """One live page: what it asked for and what it has not been sent yet."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self._topics: frozenset[str] = frozenset()
        self._pending: dict[str, Frame] = {}
        self._snapshot_due = self._overflown = False

    @property
    def watching(self) -> bool:
        """Whether it wants anything now."""
        return bool(self._topics)

    def subscribe(self, names: frozenset[str]) -> None:
        """Send these topics from now on, beginning with snapshots. None: pause."""
        self._topics, self._snapshot_due = names, bool(names)
        self._pending.clear()
        self.wake.set()

    def offer(self, frames: list[Frame]) -> None:
        """Take changes. Never blocks and never grows beyond its bound."""
        for frame in frames:
            if frame.topic in self._topics and not self._snapshot_due:
                held = self._pending.get(frame.topic)
                self._pending[frame.topic] = held.then(frame) if held else frame
        if sum(len(frame.data) for frame in self._pending.values()) > MAX_PENDING_ROWS:
            self._pending.clear()
            self._snapshot_due = self._overflown = True
        if self._pending or self._snapshot_due:
            self.wake.set()

    def take(self, hub: Hub) -> list[str]:
        """What to send now, in order."""
        self.wake.clear()
        frames, self._pending = list(self._pending.values()), {}
        texts = ['{"t":"resync"}'] if self._overflown else []
        if self._snapshot_due:
            frames = hub.snapshot(self._topics)
            self._snapshot_due = self._overflown = False
        return texts + [frame.text for frame in frames]


class Hub:
    """The newest reading, its topics, and the viewers."""

    def __init__(self, source: Source, config: WebConfig, clock: Clock) -> None:
        self._source, self._config, self._clock = source, config, clock
        self.rates = Rates()
        self._lock = asyncio.Lock()
        self._poked = asyncio.Event()
        self._viewers: set[Viewer] = set()
        self._thread = ThreadPoolExecutor(1, "source")
        self.reading = Reading(at=float("-inf"), monotonic=float("-inf"))
        self.topics: Topics = {}
        self.seq = 0

    def join(self) -> Viewer:
        """A new viewer; it subscribes by itself."""
        viewer = Viewer()
        self._viewers.add(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer."""
        self._viewers.discard(viewer)

    def poke(self) -> None:
        """Something happened in the node: look soon."""
        self._poked.set()

    def close(self) -> None:
        """Let go of the thread that reads."""
        self._thread.shutdown(wait=False)

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            try:
                await self.tick()
            except Exception:  # a document we cannot show must not end the feed for good
                log.exception("figures cannot be made", extra={"action": "webgui_tick_failed"})
            await asyncio.sleep(MIN_GAP_S if self._config.tick_s > MIN_GAP_S else 0)
            watched = any(viewer.watching for viewer in self._viewers)
            rest = (self._config.tick_s if watched else self._config.idle_tick_s) - MIN_GAP_S
            try:
                await asyncio.wait_for(self._poked.wait(), max(rest, 0.01))
            except TimeoutError:
                pass
            self._poked.clear()

    async def fresh(self, max_age_s: float = 2.0) -> Topics:
        """Topics that are at most this old; looks itself if nobody did."""
        if self._clock.monotonic() - self.reading.monotonic > max_age_s:
            await self.tick(max_age_s)
        return self.topics

    async def tick(self, max_age_s: float = 0.0) -> None:
        """Look at the node and offer every viewer what changed."""
        async with self._lock:
            if max_age_s and self._clock.monotonic() - self.reading.monotonic <= max_age_s:
                return
            self.reading = await asyncio.get_running_loop().run_in_executor(self._thread, self._read)
            if not self.reading.error:
                images = self.reading.status.get("images", {})
                self.rates.add(self.reading.monotonic, images.get("received") or 0, sent_so_far(self.reading.status))
            former, self.topics = self.topics, topics(self.reading, self.rates.history)
            self.seq += 1
            frames = [
                Frame("d", topic, self.seq, changed)
                for topic, rows in self.topics.items()
                if (changed := changes(former.get(topic, {}), rows))
            ]
            for viewer in self._viewers:
                viewer.offer(frames)

    async def measures(self) -> Measures | None:
        """What /metrics tells beyond the status document; None if it cannot be read now."""
        async with self._lock:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._measure)

    def _measure(self) -> Measures | None:
        try:
            return self._source.measures()
        except ScanpostError as exc:
            log.warning("metrics cannot be read: %s", exc, extra={"action": "webgui_measures_failed"})
            return None

    def snapshot(self, names: frozenset[str]) -> list[Frame]:
        """The current rows of these topics."""
        return [Frame("snap", topic, self.seq, dict(rows)) for topic, rows in self.topics.items() if topic in names]

    def _read(self) -> Reading:
        """In a thread. A source that fails is shown on the page, with the last figures; it never ends the page."""
        try:
            status, arrivals, error = self._source.status(), self._source.last_arrivals(ARRIVALS_SHOWN), ""
        except ScanpostError as exc:
            status, arrivals, error = self.reading.status, self.reading.arrivals, str(exc)
        except Exception as exc:
            log.exception("status cannot be read", extra={"action": "webgui_status_failed"})
            status, arrivals, error = self.reading.status, self.reading.arrivals, type(exc).__name__
        return Reading(status, arrivals, error, self._clock.now(), self._clock.monotonic())


def sent_so_far(status: dict[str, Any]) -> int:
    """Images that the deliveries still on record have brought to targets (each target counts); falls when rows go."""
    return int(status.get("sent") or 0)


def changes(before: dict[str, Row], after: dict[str, Row]) -> dict[str, Row | None]:
    """Rows that are new (whole), differ (the fields that do) or are gone (None)."""
    found: dict[str, Row | None] = dict.fromkeys(before.keys() - after.keys())
    for key, row in after.items():
        former = before.get(key)
        if former is None:
            found[key] = row
        elif former != row:
            found[key] = {name: value for name, value in row.items() if former.get(name) != value}
    return found
