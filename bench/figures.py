"""Statistics: counting the events of a busy node into buckets, and what pages and /metrics read of them.

No peer keeps such figures, so there is no ratio: 2,000 images a second must be counted beside everything else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from bench.runs import Result, Session, measured
from protocol.clock import SystemClock
from protocol.spool.figures.keeping import Keeper
from protocol.spool.figures.reading import Statistics
from protocol.spool.outbox import Raw
from protocol.wire.codec import pack
from protocol.wire.events import DeliveryCompleted, ImageReceived, ImagesSent

SOURCES, TARGETS, PAGE, PAGES = 20, 10, 2000, 100
PAGE_MS, MOST_MS = 200.0, 50.0


def figures(session: Session) -> None:
    """20 sources, 10 targets, pages of 2,000 events; a second of the node's time passes with each page."""
    pages, now = max(5, int(PAGES * session.share)), time.time()
    path = session.folder / "figures.sqlite3"
    took = [_count(path.with_suffix(f".{n}"), pages, now - pages) for n in range(session.repetitions)]
    title = f"figures of {pages} pages of {PAGE:,} events"
    goal = f"≥ {PAGE / PAGE_MS * 1000:,.0f} events/s"
    counted = measured(title, f"counting {PAGE:,} events", took, "ms", limit=PAGE_MS, goal=goal)
    statistics = Statistics(path.with_suffix(".0"), SystemClock())
    hour: dict[str, Callable[[], object]] = {
        "chart of an hour in steps of 10 s": lambda: statistics.series("received_images", width=10, since=now - 3600),
        "sums of a day by source": lambda: statistics.totals("received_images", now - 86_400, by=("source",)),
        "percentiles of all targets": lambda: statistics.latencies(now - 3600),
    }
    session.add([counted, *(_read(title, what, ask, session.repetitions) for what, ask in hour.items())])
    statistics.close()


def _count(path: Path, pages: int, begun: float) -> float:
    """Milliseconds for a page."""
    received = [pack(asdict(_image(number))) for number in range(SOURCES)]
    sent = [pack(asdict(_sent(number))) for number in range(TARGETS)]
    keeper, took = Keeper(path), 0.0
    for page in range(pages):
        events = [
            Raw(1, page * PAGE + n + 1, *_event(n, received, sent, begun + page)) for n in range(PAGE)
        ]  # fmt: skip
        before = time.perf_counter()
        keeper.add(events, keeper.place(), begun + page)
        took += time.perf_counter() - before
    keeper.close()
    return took / pages * 1000


def _event(n: int, received: list[bytes], sent: list[bytes], at: float) -> tuple[str, float, bytes]:
    if n % 200 == 7:
        return DeliveryCompleted.TYPE, at, _done(n // 200, at - n % 90)
    if n % 20:
        return ImageReceived.TYPE, at, received[n % SOURCES]
    return ImagesSent.TYPE, at, sent[n // 20 % TARGETS]


def _image(number: int) -> ImageReceived:
    return ImageReceived(
        "0" * 32, "0" * 32, 1, f"CT{number}", "1.2", "1.2.3", "1.2.3.4", "1.2", "1.2", 524_288, "0" * 32
    )


def _sent(number: int) -> ImagesSent:
    return ImagesSent(1, 1, f"target{number}", [["0" * 32, 0]] * 20, 20, 10_000_000)


def _done(number: int, last_image: float) -> bytes:
    return pack(asdict(DeliveryCompleted(1, 1, f"target{number}", 20, 10_000_000, 3.0, 0, 0.5, last_image)))


def _read(title: str, what: str, ask: Callable[[], object], times: int) -> Result:
    values = []
    for _ in range(times):
        before = time.perf_counter()
        ask()
        values.append((time.perf_counter() - before) * 1000)
    return measured(title, what, values, "ms", limit=MOST_MS, goal=f"< {MOST_MS:g} ms")
