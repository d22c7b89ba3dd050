"""All pages, their twins for programs, files and the live page, over a spool with 1,000,000 series, 100,000 of them waiting.

The web interface runs as a process of its own, as an operator has it; the ledger is the kept PostgreSQL of `history` if there
is one, else an SQLite of a hundredth. Each address is asked as a browser on this machine does, and its whole answer counts; of
files that are downloaded the time until they begin. Goal: 100 ms.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from bench import busy_spool
from bench.postgres import server
from bench.runs import Result, Session, measured, percentile
from bench.web import Web, beginning_of, serving, snapshot_of, time_of
from bench.years import fill
from bench.years_rows import BEGIN, NODE, PHANTOM, SECONDS, UID
from protocol.clock import SystemClock
from protocol.fsops import RealFs
from protocol.ledger.engine import writer
from protocol.routing.parse import build
from protocol.routing.versions import RoutingVersions
from protocol.spool import open_spool
from protocol.spool.figures.keeping import Keeper
from protocol.spool.outbox import Raw
from protocol.wire.codec import pack
from protocol.wire.events import DeliveryCompleted, ImageReceived, ImagesSent
from webgui.patientkeys import PatientKeys

ARRIVALS, WAITING = 1_000_000, 100_000
LIMIT_MS = 100.0
SHOWN = 15  # the slowest


def pages(session: Session) -> None:
    """Ask every address, as often as asked for."""
    crowd = busy_spool.Crowd(
        max(1000, round(ARRIVALS * session.share)), max(100, round(WAITING * session.share)), BEGIN + SECONDS
    )
    home = session.kept("pages") / f"spool{crowd.arrivals}"
    if not (home / "made").exists():
        busy_spool.make(home, crowd)
        _prepare(home)
        (home / "made").touch()
    with (
        _ledger(session) as (url, arrivals),
        serving(home, {"SCANPOST_LEDGER__URL": url, "SCANPOST_NODE__NAME": NODE}) as web,
    ):
        paths = _paths(home, crowd.arrivals, arrivals)
        waits = asyncio.run(_ask(web, paths, max(3, session.repetitions)))
    title = f"pages, {crowd.arrivals:,} series in the spool, {arrivals:,} in the ledger"
    session.add(_results(title, waits))


def _results(title: str, waits: dict[str, list[float]]) -> list[Result]:
    found = [
        measured(title, path, took, "ms", limit=LIMIT_MS, goal=f"< {LIMIT_MS:g} ms") for path, took in waits.items()
    ]
    found.sort(key=lambda one: one.median, reverse=True)
    every = [took for one in waits.values() for took in one]
    return [
        *found[:SHOWN],
        measured(title, f"95 % of all answers to {len(waits)} addresses are below", [percentile(every, 0.95)], "ms"),
    ]


@contextmanager
def _ledger(session: Session) -> Iterator[tuple[str, int]]:
    """URL of a ledger full of years, and how many arrivals it has."""
    folder, count = session.kept("history"), max(1000, round(ARRIVALS * session.share))
    if (folder / f"postgres{count}.made").exists():
        with server(kept=folder / f"postgres{count}") as url:
            yield url, count
        return
    file, few = session.folder / "ledger.sqlite3", max(1000, count // 100)
    engine = writer(f"sqlite:///{file}")
    fill(engine, few, 10)
    engine.dispose()
    yield f"sqlite:///{file}", few


# ---- what there is ------------------------------------------------------------------------------------------------
def _prepare(home: Path) -> None:
    """Targets, groups, many rules; acts, alerts, an audit; statistics of a day."""
    target = {"type": "dicom", "host": "127.0.0.1", "called_ae": "A"}
    names = [*busy_spool.TARGETS, *(f"target{number}" for number in range(26))]
    rules = [{"name": name, "when": "True", "action": "route", "targets": ["pacs"]} for name in busy_spool.RULES]
    rules += [{"name": f"rule{n}", "when": f"Modality == 'CT' and StationName == 'S{n}'", "action": "route", "targets": ["ai"]}
              for n in range(38)]  # fmt: skip
    data = {"targets": {name: {**target, "port": port} for port, name in enumerate(names, 1)}, "rules": rules}
    spool = open_spool(home, durability="relaxed")
    RoutingVersions(spool.places.routing, RealFs(), SystemClock()).publish(build(data, "bench"), "bench", "", 0)
    for number in range(200):
        spool.commands.ask("target.resume", "bench", {"target": "pacs", "number": number}, "router")
    spool.close()
    _count(spool.places.figures)


def _count(path: Path) -> None:
    """Statistics of a day and an hour: 20 sources, 10 targets."""
    keeper, now, number = Keeper(path), time.time(), 0
    for minute in range(25 * 60):
        at, events = now - 25 * 3600 + minute * 60, []
        for n in range(30):
            number += 1
            events.append(Raw(1, number, *_event(n, at)))
        keeper.add(events, keeper.place(), at)
    keeper.close()


def _event(n: int, at: float) -> tuple[str, float, bytes]:
    receipt = "0" * 32
    if n < 20:
        image = ImageReceived(receipt, receipt, 1, f"CT{n}", "1.2", "1.2.3", "1.2.3.4", "1.2", "1.2", 524_288, receipt)
        return ImageReceived.TYPE, at, pack(asdict(image))
    if n < 25:
        sent = ImagesSent(1, 1, f"target{n}", [[receipt, 0]] * 20, 20, 10_000_000)
        return ImagesSent.TYPE, at, pack(asdict(sent))
    done = DeliveryCompleted(1, 1, f"target{n - 5}", 20, 10_000_000, 3.0, 0, 0.5, at - 5)
    return DeliveryCompleted.TYPE, at, pack(asdict(done))


# ---- what is asked ------------------------------------------------------------------------------------------------
def _paths(home: Path, spool: int, ledger: int) -> list[str]:
    """Every address that shows something of this size; a path with `format=csv` is a file."""
    keys = PatientKeys(home / "config")
    patient, phantom = keys.key(f"P{ledger // 24}"), keys.key(PHANTOM)
    newest, settled, gone = spool, spool // 2, ledger // 3 // 10 * 10 + 1
    study, crowd = f"{UID}.{ledger // 8}", f"{UID}.0"
    in_spool = f"1.2.826.0.1.3680043.8.498.9.{spool // 4}"
    lists = ("", "?state=waiting", "?state=parked", "?state=held", "?state=retrying", "?state=done", "?cause=timeout", "?rule=all",
             "?rule=odd", "?source=CT3", "?modality=MR", "?target=pacs", f"?study={in_spool}", "?group=target", "?group=rule",
             "?group=study", "?group=source", "?rule=nothing", "?source=NOBODY", f"?after={spool - 50_000}")  # fmt: skip
    series = ("", "?state=held", "?state=in_delivery", "?state=delivered", "?source=CT3", "?modality=MR", "?target=archive",
              "?rule=odd", "?target=archive&source=CT1", "?since=2025-06-01&until=2025-06-02", "?until=2024-06-01&target=ai",
              f"?study={study}")  # fmt: skip
    api = "/api/v1"
    return [
        "/", "/wall", "/alerts", "/system", "/logs", "/audit", "/rules", "/rules/new", "/rules/all", "/targets", "/targets/pacs",
        "/targets/new", "/sources", "/quarantine", "/acts", "/config/versions", "/users", "/users/bench",
        "/account", "/upload", "/help", "/welcome", "/metrics", "/healthz",
        *(f"/queue{one}" for one in lists), *(f"/series{one}" for one in series),
        *(f"/series/{id}{tab}" for id in (newest, settled, gone) for tab in ("", "?tab=deliveries", "?tab=files", "?tab=header",
                                                                               "?tab=events")),
        f"/studies/{study}", f"/studies/{crowd}", f"/studies/{in_spool}", f"/patients/{patient}", f"/patients/{phantom}",
        f"{api}/status", f"{api}/dashboard", f"{api}/dashboard/chart?range=1h", f"{api}/dashboard/chart?range=1d", f"{api}/alerts",
        f"{api}/system", f"{api}/audit", f"{api}/rules", f"{api}/rules/all", f"{api}/targets", f"{api}/targets/pacs", f"{api}/sources",
        f"{api}/quarantine", f"{api}/acts", f"{api}/queue", f"{api}/queue?group=rule", f"{api}/queue/causes", f"{api}/series",
        f"{api}/series/{newest}", f"{api}/series/{gone}", f"{api}/series/{gone}/events", f"{api}/series/{newest}/images",
        f"{api}/series/{newest}/header", f"{api}/studies/{study}", f"{api}/patients/{patient}", f"{api}/logs", f"{api}/openapi.json",
        "/queue?format=csv", "/queue?state=done&format=csv", "/series?format=csv", "/series?target=archive&format=csv",
        "/audit?format=csv",
    ]  # fmt: skip


async def _ask(web: Web, paths: list[str], times: int) -> dict[str, list[float]]:
    """Milliseconds of each answer."""
    waits: dict[str, list[float]] = {}
    async with web.client() as client:
        for path in paths:
            took = beginning_of if "format=csv" in path else time_of
            waits[path] = [await took(client, web.url, path) for _ in range(times + 1)][1:]
            print(f"  pages: {path} {sorted(waits[path])[times // 2]:.1f} ms", file=sys.stderr, flush=True)
        waits["/ws until the first snapshot"] = [await snapshot_of(client, web.url) for _ in range(times)]
    return waits
