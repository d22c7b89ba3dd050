"""Puts the web application together. It must not hold behaviour of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import aiohttp_jinja2
import jinja2
from aiohttp import web

from protocol.accounts import Accounts, Preferences, User
from protocol.clock import Clock, SystemClock
from protocol.errors import ScanpostError
from webgui import columns, live, patients, words
from webgui.areas.audit import pages as audit
from webgui.areas.dashboard.region import FLOW_REGION, FlowRegion
from webgui.areas.rules.routes import ASKING
from webgui.areas.system.pages import CLEANING
from webgui.areas.upload.taking import UPLOADS, Uploads
from webgui.areas.welcome import sending
from webgui.assets import Assets
from webgui.config import WebConfig
from webgui.errorpages import error_pages
from webgui.guards import PERMISSIONS, Need, add_headers, may, origin, permission
from webgui.hub import Hub
from webgui.jobs import LADDER, SELF_TEST, Jobs
from webgui.keys import (
    ACCOUNTS,
    ASSETS,
    CONFIG,
    HASHING,
    HUB,
    JOBS,
    LADDERS,
    LIMITER,
    NODE,
    REVEALED,
    RULES,
    SELF_TESTS,
    SEQ,
    SESSION,
)
from webgui.lately import Lately
from webgui.limits import WINDOW_S, LoginLimiter
from webgui.node import Node
from webgui.route import TABLE
from webgui.routes import NODE_ROUTES, add_routes
from webgui.rules_source import RulesSource
from webgui.searches import SEARCHES, Searches
from webgui.sections import SECTIONS
from webgui.source import Source
from webgui.viewing import zone_of

MAX_FORM_BYTES = 64 * 1024


def init_app(
    config: WebConfig, accounts: Accounts, source: Source, clock: Clock | None = None, rules: RulesSource | None = None,
    node: Node | None = None,
) -> web.Application:  # fmt: skip
    """The application; whoever passes `accounts` or `node` closes them. Without `rules` it has no API about rules, without
    `node` only dashboard and log-in.
    """
    clock = clock or SystemClock()
    app = web.Application(middlewares=[error_pages, origin, permission], client_max_size=MAX_FORM_BYTES)
    app[CONFIG], app[ACCOUNTS], app[ASSETS] = config, accounts, Assets()
    app[HUB], app[FLOW_REGION] = Hub(source, config, clock), FlowRegion()
    app[LIMITER], app[HASHING] = LoginLimiter(clock), asyncio.Semaphore(2)
    app[LIMITER].remember(accounts.trail.refused_since(clock.now() - WINDOW_S))
    app[TABLE] = []
    app[PERMISSIONS], app[live.SOCKETS], app[REVEALED] = {}, set(), {}
    app[JOBS], app[LADDERS] = Jobs(clock), Jobs(clock, LADDER, "target test")
    app[SELF_TESTS] = Jobs(clock, SELF_TEST, "self-test")
    add_routes(app)
    if rules is not None:
        app[RULES] = rules
        add_routes(app, ASKING)
    if node is not None:
        app[NODE] = node
        audit.setup(app)
        sending.setup(app)
        app[SEARCHES], app[UPLOADS], app[CLEANING] = Searches(clock), Uploads(), Lately(clock)
        add_routes(app, NODE_ROUTES)
    _init_templates(app)
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(live.close_all)
    app.on_shutdown.append(_end_jobs)
    app.cleanup_ctx.append(_tick)
    return app


def _init_templates(app: web.Application) -> None:
    aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        context_processors=[_context],
    )


async def _context(request: web.Request) -> dict[str, object]:
    """What every template may use."""
    session, now = request.get(SESSION), time.time()
    wants = session.user.preferences if session else Preferences()
    zone = zone_of(request)
    return {
        "asset": request.app[ASSETS].url,
        "user": session.user if session else None,
        "may": lambda need: may(session.user if session else None, Need(need)),
        "sections": _menu(request, session.user if session else None),
        "has_page": lambda path: ("GET", path) in request.app[PERMISSIONS],
        "flash": None,
        "now_local": lambda: words.local_time(now, now, zone),
        "local": lambda seconds: words.local_time(seconds, now, zone),
        "zone_name": zone.key if zone else "",
        "theme": wants.theme,
        "list_columns": columns.LISTS,
        "hidden_columns": lambda name: columns.hidden(wants.columns, name),
        "patient": lambda value: patients.shown(request, value),
        "sees_patients": patients.sees(request),
        "may_reveal": patients.may_reveal(request),
        "utc": words.utc_time,
        "iso": lambda seconds: datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds"),
        "version": request.app[CONFIG].version,
        "unfinished": await _unfinished(request, session.user if session else None),
        "seq": request.get(SEQ, 0),
        "path": request.path,
        "here": request.rel_url.raw_path_qs,
    }


def _menu(request: web.Request, user: User | None) -> list[dict[str, object]]:
    """The areas that exist and that this user may see."""
    return [
        asdict(one)
        | {"here": request.path == one.path or (one.path != "/" and request.path.startswith(f"{one.path}/"))}
        for one in SECTIONS
        if ("GET", one.path) in request.app[PERMISSIONS] and may(user, one.need)
    ]


async def _unfinished(request: web.Request, user: User | None) -> bool:
    """Whether a node that has no rule yet should lead its admin to the guide; costs nothing once the last look saw a rule."""
    reading = request.app[HUB].reading
    guided = NODE in request.app and request.path not in ("/welcome", "/setup", "/login")
    if not (guided and may(user, Need.ADMIN)) or not reading.status or reading.outlook.rules:
        return False
    node = request.app[NODE]
    try:
        return not any(rule.mode == "active" for rule in (await node.run(node.routing.current)).configuration.rules)
    except ScanpostError:
        return False


async def _end_jobs(app: web.Application) -> None:
    for jobs in (app[JOBS], app[LADDERS], app[SELF_TESTS]):
        await jobs.close()


async def _tick(app: web.Application) -> AsyncIterator[None]:
    """The hub looks at the node for as long as the application runs."""
    task = asyncio.create_task(app[HUB].run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    app[HUB].close()
