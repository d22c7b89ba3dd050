"""How fast the bookkeeper carries events into the ledger when it has to catch up: SQLite and PostgreSQL, fsync and all.

A spool holds the events of series of 100 images, each with one delivery; the bookkeeper's own passes carry them, reading,
syncs and confirmation included. Goal: 10,000 events/s.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from pathlib import Path

import structlog

from actors.base import make_context
from actors.bookkeeper.actor import BookkeeperActor
from actors.garbage import collect_rarely
from bench.peers import Absent
from bench.postgres import server
from bench.runs import Result, Session
from bench.stream import EVENTS, series
from protocol.ledger.engine import writer
from protocol.ledger.migrate import upgrade
from protocol.settings import load_settings
from protocol.spool import open_spool
from protocol.spool.spool import Spool
from protocol.wire.nudges import NoWire

SERIES = 1000
GOAL = 10_000  # events/s


def ledger(session: Session) -> None:
    """Catch up once into each database, as often as asked."""
    count = max(20, round(SERIES * session.share))
    collect_rarely()
    session.add([_measured(session, "SQLite", count, "")])
    try:
        with server() as url:
            session.add([_measured(session, "PostgreSQL", count, url)])
    except Absent as exc:
        session.absent([str(exc)])


def _measured(session: Session, name: str, count: int, url: str) -> Result:
    rates, used = [], []
    for repetition in range(session.repetitions):
        home = session.folder / f"{name}{repetition}"
        spool = fill(home, count)
        try:
            seconds, cpu = _catch_up(spool, home, url or f"sqlite:///{home}/ledger.sqlite3", f"n{repetition}")
        finally:
            spool.close()
        rates.append(count * EVENTS / seconds)
        used.append(cpu)
        print(f"  ledger: {name} {rates[-1]:.0f} events/s", file=sys.stderr, flush=True)
    median = statistics.median(rates)
    notes = f"{count * EVENTS:,} events, {1e6 * min(used) / count / EVENTS:.0f} µs CPU of the bookkeeper for each"
    return Result("catching up", name, [round(rate) for rate in rates], "events/s", round(median),
                  goal=f"≥ {GOAL:,} events/s" if session.share >= 1 else "", notes=notes,
                  met=median >= GOAL if session.share >= 1 else None)  # fmt: skip


def fill(home: Path, count: int) -> Spool:
    """A spool whose outbox holds the events of so many series."""
    spool = open_spool(home, create=True, source="/bench/receiver/0")
    for number in range(1, count + 1):
        with spool.database.write() as tx:
            for told in series(number):
                tx.emit(told.event, phi=told.phi, correlation=number)
    return spool


def _catch_up(spool: Spool, home: Path, url: str, node: str) -> tuple[float, float]:
    """Seconds, and CPU seconds of this process, from an open ledger to an empty backlog."""
    engine = writer(url)
    upgrade(engine)
    engine.dispose()
    settings, wire = load_settings(home, {"ledger.url": url, "node.name": node}), NoWire()
    bookkeeper = BookkeeperActor(make_context(settings, spool, wire=wire, log=structlog.get_logger()))
    head = spool.outbox.head()
    begun, cpu = time.perf_counter(), _cpu_s()
    while spool.outbox.confirmed("bookkeeper") != head:
        wait = bookkeeper.one_pass([])
        if wait > 0:
            wire.wait(wait)
    found = time.perf_counter() - begun, _cpu_s() - cpu
    bookkeeper.stop()
    wire.close()
    return found


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
