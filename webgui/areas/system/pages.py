"""The page of the system, its JSON, and the support bundle. It must not decide what is wrong."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiohttp import hdrs, web

from protocol import dispatchers, following, loglevel
from protocol.errors import LedgerError
from protocol.programs import SLOTS
from protocol.spool import Spool
from webgui import answers, words
from webgui.areas.system import bundle, looks, selftests
from webgui.keys import HUB, NODE
from webgui.lately import QUICK_S, Lately
from webgui.node import ANSWER_WAIT_S
from webgui.outlook import DAY_S, days_left
from webgui.recorded import record

CLEANING: web.AppKey[Lately[dict[str, Any]]] = web.AppKey("cleaning", Lately)
"""What the cleaner would delete: with a million series that takes a second to find out."""
VENDOR = Path(__file__).parents[2] / "static" / "vendor" / "VENDOR.json"


FRESH_S = 0.3
"""Who stopped a program wants to see it stopped."""


async def show(request: web.Request) -> web.Response:
    """The page."""
    found = await _look(request)
    vendor = json.loads(VENDOR.read_text())
    job = selftests.found(request, request.query.get("selftest", ""))
    found |= {"test": None if job is None else selftests.told(job)}
    context = {"size": words.size, "uptime": words.uptime, "number": words.number, "slots": SLOTS, "vendor": vendor}
    context |= {"debug_actors": loglevel.ACTORS, "now": request.app[NODE].clock.now()}
    return answers.page(request, "system/system.html", **context, **found)


async def api(request: web.Request) -> web.Response:
    """The same for programs."""
    found = await _look(request, wait_s=ANSWER_WAIT_S)
    return answers.given({name: value for name, value in found.items() if name not in ("node_status", "targets")})


async def support(request: web.Request) -> web.Response:
    """A ZIP file for whoever helps: no patient data, no secrets."""
    node, hub = request.app[NODE], request.app[HUB]
    await hub.fresh()
    status = hub.reading.status
    routing = await node.run(node.routing.current)
    made = await node.spool(lambda spool: bundle.make(node.settings, routing, status, spool))
    await record(request, "support.bundle", "support bundle", after={"bytes": len(made)})
    name = time.strftime("scanpost-support-%Y%m%d-%H%M%S.zip", time.gmtime(node.clock.now()))
    headers = {hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"'}
    return web.Response(body=made, content_type="application/zip", headers=headers)


async def _look(request: web.Request, wait_s: float = QUICK_S) -> dict[str, Any]:
    node, hub = request.app[NODE], request.app[HUB]
    await hub.fresh(FRESH_S)
    status, settings, now = hub.reading.status, node.settings, node.clock.now()
    programs, away = await node.run(lambda: looks.programs(settings))
    wanted = dispatchers.dispatchers(settings)
    disk = status.get("disk", {})
    left = days_left(disk.get("free_bytes"), disk.get("reserve_bytes"), hub.reading.outlook.net_bytes_day)
    targets = dict((await node.run(node.routing.current)).configuration.targets)

    try:
        starts: Counter[str] | None = await node.ledger(
            lambda connection: looks.starts(connection, node.name, now - DAY_S)
        )
    except LedgerError:
        starts = None

    def spool_part(spool: Spool) -> dict[str, Any]:
        stood = spool.draining.state()
        return {
            "files": looks.files(settings, spool),
            "left": None if stood is None else spool.draining.left().__dict__,
        }

    def cleaning(spool: Spool) -> dict[str, Any]:
        return looks.cleaning_document(looks.cleaning(settings, targets, spool, now))

    followed = await node.run(lambda: following.following(settings, now))
    return {
        "cleaning": await request.app[CLEANING].get(lambda: node.spool(cleaning), wait_s),
        "targets": list(targets),
        "rows": await node.run(lambda: looks.rows(status.get("actors", {}), programs, now, wanted)),
        "starts": starts,
        "manager_away": away,
        "dispatchers": wanted,
        "debug": [asdict(one) for one in await node.run(lambda: loglevel.wishes(settings, now))],
        "following": asdict(followed) if followed else None,
        "draining": status.get("draining"),
        "disk": {**disk, "days_left": left, "net_bytes_day": hub.reading.outlook.net_bytes_day},
        "window": settings.cleaner.window,
        "ledger": await node.run(lambda: looks.ledger(settings, status.get("outbox", {}).get("bookkeeper_behind") or 0)),
        "packages": await node.run(looks.packages),
        "machine": looks.machine(),
        "node_status": status,
        **await node.spool(spool_part),
    }  # fmt: skip
