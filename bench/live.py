"""Whether the ledger keeps up while 2,000 images a second come in: SQLite and PostgreSQL, for a minute.

A process of its own commits the events of series to the spool's outbox at that pace, as receivers, router and dispatchers do; the
bookkeeper's own passes carry them on, told by nobody (without a bus, so it looks by itself). What counts is how old the oldest
event is that the ledger does not have yet. Goal: at no time more than five seconds.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import structlog

from actors.base import make_context
from actors.bookkeeper.actor import BookkeeperActor
from actors.garbage import collect_rarely
from bench.peers import Absent
from bench.postgres import server
from bench.runs import Result, Session, measured
from bench.stream import EVENTS, SERIES_IMAGES, series
from protocol.ledger.engine import writer
from protocol.ledger.migrate import upgrade
from protocol.settings import load_settings
from protocol.spool import open_spool
from protocol.spool.spool import Spool
from protocol.wire.nudges import NoWire

IMAGES_PER_S, LONG_S = 2000, 60.0
GROUP = 25  # events in one commit, about what a receiver commits together
LIMIT_S = 5.0


def live(session: Session) -> None:
    """A minute for each database."""
    collect_rarely()
    long_s = max(3.0, LONG_S * session.share)
    session.add(_measured(session, "SQLite", long_s, ""))
    try:
        with server() as url:
            session.add(_measured(session, "PostgreSQL", long_s, url))
    except Absent as exc:
        session.absent([str(exc)])


def _measured(session: Session, name: str, long_s: float, url: str) -> list[Result]:
    home = session.folder / f"live-{name}"
    spool = open_spool(home, create=True, source="/bench/bookkeeper/0", durability="relaxed")
    try:
        ages, rate, left_s = _keep_up(spool, home, url or f"sqlite:///{home}/ledger.sqlite3", long_s)
    finally:
        spool.close()
    title = f"{IMAGES_PER_S:,} images/s for {long_s:.0f} s, {name}"
    print(f"  live: {name} {rate:.0f} images/s, at most {max(ages):.2f} s behind", file=sys.stderr, flush=True)
    notes = f"{rate:.0f} images/s came, {rate * EVENTS / SERIES_IMAGES:.0f} events/s; all carried {left_s:.2f} s after the last"
    return [
        measured(
            title, "ledger behind by at most", [max(ages)], "s", limit=LIMIT_S, goal=f"< {LIMIT_S:g} s", notes=notes
        )
    ]


def _keep_up(spool: Spool, home: Path, url: str, long_s: float) -> tuple[list[float], float, float]:
    """How far the ledger was behind (s) after each pass, images/s that came, seconds from the last event to an empty backlog."""
    engine = writer(url)
    upgrade(engine)
    engine.dispose()
    settings, wire = load_settings(home, {"ledger.url": url, "node.name": "live"}), NoWire()
    bookkeeper = BookkeeperActor(make_context(settings, spool, wire=wire, log=structlog.get_logger()))
    feeder = subprocess.Popen(
        [sys.executable, "-m", "bench.live", str(home), str(long_s)], stdout=subprocess.PIPE, text=True
    )
    ages = [0.0]
    try:
        while feeder.poll() is None or spool.outbox.lag_s("bookkeeper") > 0:
            wait = bookkeeper.one_pass([])
            ages.append(spool.outbox.lag_s("bookkeeper"))
            if wait > 0:
                wire.wait(min(wait, 0.2))
        ended = time.time()
    finally:
        feeder.kill()
        bookkeeper.stop()
        wire.close()
    assert feeder.stdout is not None
    images, seconds, last = map(float, feeder.stdout.read().split())
    return ages, images / seconds, max(0.0, ended - last)


def feed(home: Path, long_s: float) -> None:
    """Commit series at the pace; then say how many images that were, in how many seconds, and when the last one came."""
    spool = open_spool(home, source="/bench/receiver/0", durability="relaxed")
    begun, images, number = time.perf_counter(), 0, 0
    while (elapsed := time.perf_counter() - begun) < long_s:
        number += 1
        told = list(series(number))
        for first in range(0, len(told), GROUP):
            with spool.database.write() as tx:
                for one in told[first : first + GROUP]:
                    tx.emit(one.event, phi=one.phi, correlation=number)
        images += SERIES_IMAGES
        time.sleep(max(0.0, images / IMAGES_PER_S - elapsed))
    print(images, time.perf_counter() - begun, time.time())
    spool.close()


if __name__ == "__main__":
    feed(Path(sys.argv[1]), float(sys.argv[2]))
