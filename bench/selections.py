"""The queue with 100,000 parked deliveries: pages of lists by each filter, causes, and one act on all of them with the time
that a part of it holds the write lock. No peer keeps such a queue, so there is no ratio.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from actors.router.queue import CHUNK
from bench.large_spool import Row, _original, _row
from bench.runs import Result, Session, measured
from protocol.causes import Cause
from protocol.selection import Selection
from protocol.spool import Spool, open_spool
from protocol.spool.acts import Act
from protocol.spool.looking import UNFINISHED
from protocol.spool.selecting import DELIVERIES
from protocol.spool.steps import Wish

MANY = 100_000
HOLD_MS = 10.0
SOURCES = 20
FILTERS = {
    "all unfinished": {}, "target": {"target": "pacs"}, "source": {"source": "SCANNER1"}, "rule": {"rule": "ct"},
    "cause": {"cause": str(Cause.TIMEOUT)}, "study": {"study": "1.2.9.7"}, "nothing found": {"source": "NOBODY"},
}  # fmt: skip


def selections(session: Session) -> None:
    """Lists first, then every delivery is retried."""
    count = max(1000, int(MANY * session.share))
    spool = _filled(session.folder / "queue", count)
    try:
        session.add([*_lists(spool, count, session.repetitions), *_act(spool, count)])
    finally:
        spool.close()


def _lists(spool: Spool, count: int, repetitions: int) -> list[Result]:
    title, found = f"the first page of {count} deliveries, 50 a page", []
    looks: dict[str, Callable[[], object]] = {
        name: lambda given=given: spool.deliveries.select(Selection(states=UNFINISHED, **given))  # type: ignore[misc]
        for name, given in FILTERS.items()
    }
    looks["causes"] = spool.deliveries.causes
    for name, look in looks.items():
        times = []
        for _ in range(repetitions):
            begun = time.perf_counter()
            look()
            times.append((time.perf_counter() - begun) * 1000)
        found.append(measured(title, name, times, "ms"))
    return found


def _act(spool: Spool, count: int) -> list[Result]:
    """As the router does it, part by part."""
    id = spool.commands.ask("queue.retry", "bench", {"all_parked": True})
    command, selection = spool.commands.find(id), Selection(states=("parked",))
    progress, holds, begun = spool.bulk.begin(command, DELIVERIES, selection), [], time.perf_counter()
    while (part := spool.bulk.next(command, DELIVERIES, selection, progress, CHUNK)) is not None:
        before = time.perf_counter()
        progress = spool.bulk.deliveries(command, *part, Wish("retry"), Act(id, "bench"), progress)
        holds.append((time.perf_counter() - before) * 1000)
    spool.bulk.finish(command, progress, progress.answer("retry", "deliveries"))
    rate = progress.done / (time.perf_counter() - begun)
    title = f"retry of {count} deliveries, {CHUNK} in one transaction"
    return [
        measured(title, "rate", [rate], "deliveries/s"),
        measured(title, "write lock held", holds, "ms", limit=HOLD_MS, goal=f"median < {HOLD_MS:g} ms"),
    ]


def _filled(home: Path, count: int) -> Spool:
    """One series went the real way; its rows are multiplied, one delivery each, all parked."""
    spool = open_spool(home, create=True)
    _original(spool)
    arrival, delivery = _row(spool, "arrival"), _row(spool, "delivery")
    rows: dict[str, list[Row]] = {"arrival": [], "delivery": [], "arrival_rule": []}
    for at in range(1, count + 1):
        number = arrival["id"] + at
        rows["arrival"].append(arrival | {
            "id": number, "series_key": b"%016d" % at, "study_uid": f"1.2.9.{at}", "series_uid": f"1.2.9.{at}.1",
            "calling_ae": f"SCANNER{at % SOURCES}",
        })  # fmt: skip
        rows["delivery"].append(delivery | {
            "id": delivery["id"] + at, "arrival": number, "state": "parked", "error": "no answer", "cause": str(Cause.TIMEOUT),
        })  # fmt: skip
        rows["arrival_rule"].append({"rule": "ct", "arrival": number})
    with spool.database.write() as tx:
        for table, new in rows.items():
            marks = ", ".join("?" * len(new[0]))
            tx.many(f"INSERT INTO {table} ({', '.join(new[0])}) VALUES ({marks})", [tuple(row.values()) for row in new])
    return spool
