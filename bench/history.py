"""How long the questions of the history's pages take, on PostgreSQL and SQLite with years of history. Goal: 100 ms each.

A full one has 10 million images of 1 million arrivals (`--share 10 --keep FOLDER`, which both databases then fill, 40 GB); by
default PostgreSQL has a tenth of that, and SQLite a hundredth. The database makes the rows itself; each question is asked once
to warm up and then as often as asked for, and the worst median is shown first.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from sqlalchemy import Engine

from bench.peers import Absent
from bench.postgres import server
from bench.questions import questions
from bench.runs import Result, Session, measured
from bench.years import fill
from protocol.ledger.engine import reader, reading, writer

ARRIVALS, EACH = 100_000, 10
LIMIT_MS = 100.0
SHOWN = 12  # the slowest


def history(session: Session) -> None:
    """Fill each database once, and ask."""
    arrivals = max(1000, round(ARRIVALS * session.share) // 10 * 10)
    few = arrivals if session.keep is not None else max(1000, arrivals // 100 * 10)
    folder = session.kept("history")
    _asked(session, "SQLite", f"sqlite:///{folder / f'ledger{few}.sqlite3'}", few, folder / f"ledger{few}.made")
    try:
        with server(kept=folder / f"postgres{arrivals}" if session.keep is not None else None) as url:
            _asked(session, "PostgreSQL", url, arrivals, folder / f"postgres{arrivals}.made")
    except Absent as exc:
        session.absent([str(exc)])


def _asked(session: Session, name: str, url: str, arrivals: int, made: Path) -> None:
    if not made.exists():
        engine, begun = writer(url), time.perf_counter()
        fill(engine, arrivals, EACH)
        engine.dispose()
        made.touch()
        print(f"  history: {name} filled in {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    found = _ask(reader(url), f"{name}, {arrivals * EACH:,} images", arrivals, max(3, session.repetitions))
    session.add(sorted(found, key=lambda one: one.median, reverse=True)[:SHOWN])


def _ask(engine: Engine, title: str, arrivals: int, repetitions: int) -> list[Result]:
    found = []
    with reading(engine) as connection:
        for name, question in questions(arrivals, EACH).items():
            took = []
            for _ in range(repetitions + 1):
                begun = time.perf_counter()
                question(connection)
                took.append(1000 * (time.perf_counter() - begun))
            del took[0]
            print(f"  {title}: {name} {statistics.median(took):.1f} ms", file=sys.stderr, flush=True)
            found.append(measured(title, name, took, "ms", limit=LIMIT_MS, goal=f"< {LIMIT_MS:g} ms"))
    return found
