"""Reads the node once per tick for all viewers and tells each what changed. It must not know HTTP or HTML.

One thread call per tick however many watch; a viewer too slow for its bounded memory is told to start over (`resync`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from datetime import tzinfo
from typing import Any

from protocol.clock import Clock
from protocol.errors import ScanpostError
from webgui.config import WebConfig
from webgui.figures import Reading, Row, Topics, mapped, topics
from webgui.looking import Looker
from webgui.measures import Measures
from webgui.outlook import Curves
from webgui.progress import Progress
from webgui.rates import Rates
from webgui.source import Source
from webgui.viewer import Frame, Viewer

MIN_GAP_S = 0.5
"""Wake-ups make ticks earlier, but not more frequent than 2 Hz."""
MARK_GAP_S = 1.0
"""A page is told at most this often that a list of its changed."""
PROGRESS_GAP_S = 0.25
MOST_REMEMBERED = 5000
"""Topics whose last change is known; each series has one of its own."""
CURVES_S, CURVES_KEPT = 30.0, 4
MEASURED_S = 1.0
"""Whoever asks for /metrics within so long gets the same answer: reading the statistics takes the thread that the pages need."""
PROGRESS = "progress"

log = logging.getLogger(__name__)


class Hub:
    """The newest reading, its topics, and the viewers."""

    def __init__(self, source: Source, config: WebConfig, clock: Clock) -> None:
        self.source, self._config, self._clock = source, config, clock
        self._looker = Looker(source, clock)
        self.rates, self._progress = Rates(), Progress()
        self._lock = asyncio.Lock()
        self._poked, self._came, self._heard = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._hurried = False  # the last pause was cut short
        self.told = False
        """Whether there is a bus that pokes; without one nobody says that nothing happened."""
        self._viewers: set[Viewer] = set()
        self._thread = ThreadPoolExecutor(1, "source")
        self._due: set[str] = set()
        self._marked: dict[str, float] = {}
        self._bars: dict[str, Row] = {}
        self._curves: OrderedDict[tuple[int, int, int], Curves] = OrderedDict()
        self._measured: Measures | None = None
        self._measured_at = float("-inf")  # monotonic
        self.reading = Reading(at=float("-inf"), monotonic=float("-inf"))
        self.topics: Topics = {}
        # Begins later than any process before it came: a page that is open all the time may ask with an older number.
        self.seq = self._known_from = int(clock.now() * 1000)
        self._changed: OrderedDict[str, int] = OrderedDict()

    def join(self, zone: tzinfo | None = None) -> Viewer:
        """A new viewer in this time zone, None: the machine's; it subscribes by itself."""
        viewer = Viewer(zone)
        self._viewers.add(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer."""
        self._viewers.discard(viewer)

    def poke(self) -> None:
        """Something happened in the node: look soon."""
        self._poked.set()

    def look(self) -> None:
        """Somebody began to watch."""
        self._came.set()
        self._poked.set()

    def hear(self, delivery: int, sent: int, total: int) -> None:
        """A dispatcher says how far it is."""
        self._progress.hear(delivery, sent, total, self._clock.monotonic())
        self._heard.set()

    def close(self) -> None:
        """Let go of the thread that reads."""
        self._thread.shutdown(wait=False)

    async def run(self) -> None:
        """Tick until cancelled."""
        bars = asyncio.create_task(self._show_progress())
        try:
            while True:
                try:
                    await self.tick()
                except Exception:  # a document we cannot show must not end the feed for good
                    log.exception("figures cannot be made", extra={"action": "webgui_tick_failed"})
                await (self._pause() if self._watched else self._doze())
                self._poked.clear()
                self._came.clear()
        finally:
            bars.cancel()
            await asyncio.gather(bars, return_exceptions=True)

    @property
    def _watched(self) -> bool:
        return any(viewer.watching for viewer in self._viewers)

    async def _pause(self) -> None:
        """Between two looks for somebody: a wake-up makes it shorter, the next one of a stream of them does not."""
        tick_s = self._config.tick_s
        gap_s = 0.0 if tick_s <= MIN_GAP_S else tick_s if self._hurried else MIN_GAP_S
        await asyncio.sleep(gap_s)
        self._hurried = await _set_within(self._poked, tick_s - gap_s)

    async def _doze(self) -> None:
        """Between two looks for nobody, until somebody comes; what happens does not make it shorter, only what does not longer."""
        idle_s, begun = self._config.idle_tick_s, time.monotonic()
        if self.told and not await _set_within(self._poked, self._config.still_tick_s):
            return
        if not self._came.is_set():
            await _set_within(self._came, idle_s - (time.monotonic() - begun))

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
            former = self.reading
            look = self._looker.look
            self.reading, news = await asyncio.get_running_loop().run_in_executor(self._thread, look, former)
            if not self.reading.error:
                images = self.reading.status.get("images", {})
                self.rates.add(self.reading.monotonic, images.get("received") or 0, sent_so_far(self.reading.status))
            before, self.topics = self.topics, topics(self.reading, self.rates.now)
            self.seq += 1
            frames = [
                Frame("d", topic, self.seq, changed)
                for topic, rows in self.topics.items()
                if (changed := changes(before.get(topic, {}), rows))
            ]
            told = [Frame("event", "", self.seq, toast) for toast in news.toasts]
            marks = news.topics | {"flow"} if mapped(self.reading) != mapped(former) else news.topics
            self._offer([*frames, *self._marks(marks), *told])
            self._offer_progress()

    async def curves(self, width: int, since: float, until: float) -> Curves:
        """What charts of a longer time show; kept for a while, as everybody asks for the same few."""
        key = (width, int(since // CURVES_S), int(until // CURVES_S))
        if key not in self._curves:
            look = self.source.curves
            self._curves[key] = await asyncio.get_running_loop().run_in_executor(
                self._thread, look, width, since, until
            )
            while len(self._curves) > CURVES_KEPT:
                self._curves.popitem(last=False)
        return self._curves[key]

    async def measures(self) -> Measures | None:
        """What /metrics tells beyond the status document; None if it cannot be read now."""
        async with self._lock:  # who asks meanwhile gets the same answer
            now = self._clock.monotonic()
            if now - self._measured_at >= MEASURED_S:
                self._measured = await asyncio.get_running_loop().run_in_executor(self._thread, self._measure)
                self._measured_at = now
            return self._measured

    def _measure(self) -> Measures | None:
        try:
            return self.source.measures()
        except ScanpostError as exc:
            log.warning("metrics cannot be read: %s", exc, extra={"action": "webgui_measures_failed"})
            return None

    def snapshot(self, names: frozenset[str]) -> list[Frame]:
        """The current rows of these topics."""
        every = {**self.topics, PROGRESS: self._bars}
        return [Frame("snap", topic, self.seq, dict(rows)) for topic, rows in every.items() if topic in names]

    def missed(self, marks: frozenset[str], since: int) -> list[Frame]:
        """What to fetch again of what a page shows that was made when `seq` was `since`: what changed until it subscribed."""
        known = since >= self._known_from
        changed = sorted(topic for topic in marks if not known or self._changed.get(topic, 0) > since)
        return [Frame("inv", topic, self.seq, {}) for topic in changed]

    def _offer(self, frames: list[Frame]) -> None:
        for viewer in self._viewers:
            viewer.offer(frames)

    def _marks(self, changed: frozenset[str]) -> list[Frame]:
        """What to fetch again; a topic that was said a moment ago waits for a later tick."""
        now = self._clock.monotonic()
        self._due |= changed
        ready = [topic for topic in self._due if now - self._marked.get(topic, float("-inf")) >= MARK_GAP_S]
        self._marked = {topic: at for topic, at in self._marked.items() if now - at < MARK_GAP_S}
        self._marked.update(dict.fromkeys(ready, now))
        self._due.difference_update(ready)
        self._remember(ready)
        return [Frame("inv", topic, self.seq, {}) for topic in sorted(ready)]

    def _remember(self, topics: list[str]) -> None:
        for topic in topics:
            self._changed[topic] = self.seq
            self._changed.move_to_end(topic)
        while len(self._changed) > MOST_REMEMBERED:
            self._known_from = self._changed.popitem(last=False)[1]

    async def _show_progress(self) -> None:
        """What dispatchers say, at most four times a second, while somebody looks at it."""
        while True:
            await self._heard.wait()
            self._heard.clear()
            self._offer_progress()
            await asyncio.sleep(PROGRESS_GAP_S)

    def _offer_progress(self) -> None:
        former, self._bars = self._bars, self._progress.rows(self._clock.monotonic())
        if changed := changes(former, self._bars):
            self.seq += 1
            self._offer([Frame("d", PROGRESS, self.seq, changed)])


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for it, at most so long; whether it is set."""
    try:
        await asyncio.wait_for(event.wait(), max(seconds, 0.01))
        return True
    except TimeoutError:
        return False


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
