"""Puts the web application together. It must not hold behaviour of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp_jinja2
import jinja2
from aiohttp import web

from protocol.accounts import Accounts
from protocol.clock import Clock, SystemClock
from webgui import live
from webgui.assets import Assets
from webgui.config import WebConfig
from webgui.errorpages import error_pages
from webgui.guards import PERMISSIONS, add_headers, origin, permission
from webgui.hub import Hub
from webgui.jobs import Jobs
from webgui.keys import ACCOUNTS, ASSETS, CONFIG, HASHING, HUB, JOBS, LIMITER, RULES, SESSION
from webgui.limits import LoginLimiter
from webgui.routes import RULE_ROUTES, add_routes
from webgui.rules_source import RulesSource
from webgui.source import Source

MAX_FORM_BYTES = 64 * 1024


def init_app(
    config: WebConfig, accounts: Accounts, source: Source, clock: Clock | None = None, rules: RulesSource | None = None
) -> web.Application:
    """The application; whoever passes `accounts` closes them. Without `rules` it has no API about rules."""
    clock = clock or SystemClock()
    app = web.Application(middlewares=[error_pages, origin, permission], client_max_size=MAX_FORM_BYTES)
    app[CONFIG], app[ACCOUNTS], app[ASSETS] = config, accounts, Assets()
    app[HUB] = Hub(source, config, clock)
    app[LIMITER], app[HASHING] = LoginLimiter(clock), asyncio.Semaphore(2)
    app[PERMISSIONS], app[live.SOCKETS] = {}, set()
    app[JOBS] = Jobs(clock)
    add_routes(app)
    if rules is not None:
        app[RULES] = rules
        add_routes(app, RULE_ROUTES)
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
    session = request.get(SESSION)
    return {
        "asset": request.app[ASSETS].url,
        "user": session.user if session else None,
        "version": request.app[CONFIG].version,
        "path": request.path,
    }


async def _end_jobs(app: web.Application) -> None:
    await app[JOBS].close()


async def _tick(app: web.Application) -> AsyncIterator[None]:
    """The hub looks at the node for as long as the application runs."""
    task = asyncio.create_task(app[HUB].run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    app[HUB].close()
