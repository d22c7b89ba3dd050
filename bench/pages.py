"""Pages of series and queue over a spool with 100,000 waiting deliveries, without a ledger: how long each takes to answer."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from aiohttp import ClientSession, CookieJar, web

from bench import large_spool
from bench.runs import Session, measured, percentile
from protocol.accounts import Accounts
from protocol.clock import SystemClock
from protocol.fsops import RealFs
from protocol.routing.parse import build
from protocol.routing.versions import RoutingVersions
from protocol.settings import load_settings
from protocol.spool import open_spool
from webgui.app import init_app
from webgui.config import WebConfig
from webgui.node import Node
from webgui.source import SpoolSource

WAITING = 100_000
TARGETS = ("pacs", "a", "b", "c")
ASKED = 10
PATHS = ("/queue", "/queue?state=waiting", "/queue?cause=timeout", "/queue?rule=all", "/queue?source=SCANNER",
         "/queue?group=target", "/queue?group=rule", "/queue?group=study", "/series", "/series?target=a", "/acts")  # fmt: skip


def pages(session: Session) -> None:
    """The whole answer of each, as a browser on this machine waits for it."""
    home = session.folder / "pages"
    large_spool.make_waiting(home, round(WAITING * session.share), TARGETS)
    _prepare(home)
    waits = asyncio.run(_ask(home, ASKED * session.repetitions))
    for part in (0.5, 0.95):
        title = f"page, {part:.0%} are below"
        session.add([measured(title, path, [percentile(found, part)], "ms") for path, found in waits.items()])


def _prepare(home: Path) -> None:
    """Targets and a rule, some that gave up, and the rule by which all were routed."""
    target = {"type": "dicom", "host": "127.0.0.1", "called_ae": "A"}
    rule = {"name": "all", "when": "True", "action": "route", "targets": ["pacs"]}
    data = {"targets": {name: {**target, "port": port} for port, name in enumerate(TARGETS, 1)}, "rules": [rule]}
    spool = open_spool(home, durability="relaxed")
    RoutingVersions(spool.places.routing, RealFs(), SystemClock()).publish(build(data, "bench"), "bench", "", 0)
    with spool.database.write() as tx:
        tx.execute("UPDATE delivery SET state = 'parked', cause = 'timeout', error = 'no answer' WHERE id % 50 = 0")
        tx.execute("INSERT OR IGNORE INTO arrival_rule SELECT 'all', id FROM arrival")
    spool.close()


async def _ask(home: Path, times: int) -> dict[str, list[float]]:
    """Milliseconds of each answer."""
    clock, settings = SystemClock(), load_settings(home=home, environ={})
    accounts = Accounts(home / "accounts.sqlite3", clock)
    accounts.add_user("bench", "viewer", "a password for the bench")
    cookies = {"scanpost": accounts.open_session("bench", "127.0.0.1")}
    source, node = SpoolSource(settings, clock), Node(settings, clock)
    runner = web.AppRunner(init_app(WebConfig(), accounts, source, clock, None, node))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url, waits = f"http://127.0.0.1:{runner.addresses[0][1]}", {path: list[float]() for path in PATHS}
    try:
        async with ClientSession(cookies=cookies, cookie_jar=CookieJar(unsafe=True)) as client:
            for _ in range(times):
                for path in PATHS:
                    begun = time.perf_counter()
                    async with client.get(url + path, headers={"Accept": "text/html"}) as answer:
                        answer.raise_for_status()
                        await answer.read()
                    waits[path].append(1000 * (time.perf_counter() - begun))
    finally:
        await runner.cleanup()
        node.close()
        source.close()
        accounts.close()
    return waits
