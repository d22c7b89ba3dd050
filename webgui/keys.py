"""Typed keys of what the web application carries. It must not hold behaviour."""

from __future__ import annotations

import asyncio

from aiohttp import web

from protocol.accounts import Accounts, Session
from webgui.assets import Assets
from webgui.config import WebConfig
from webgui.hub import Hub
from webgui.jobs import Jobs
from webgui.limits import LoginLimiter
from webgui.node import Node
from webgui.rules_source import RulesSource

CONFIG = web.AppKey("config", WebConfig)
ACCOUNTS = web.AppKey("accounts", Accounts)
HUB = web.AppKey("hub", Hub)
NODE = web.AppKey("node", Node)
RULES = web.AppKey("rules", RulesSource)
JOBS = web.AppKey("jobs", Jobs)
LADDERS = web.AppKey("ladders", Jobs)
SELF_TESTS = web.AppKey("self_tests", Jobs)
ASSETS = web.AppKey("assets", Assets)
LIMITER = web.AppKey("limiter", LoginLimiter)
HASHING = web.AppKey("hashing", asyncio.Semaphore)
"""At most two password hashes at a time: each takes 64 MiB and a core."""

REVEALED: web.AppKey[dict[tuple[str, str], float]] = web.AppKey("revealed", dict)
"""(session id, path) -> until when, seconds since 1970 UTC: where patient data are shown to whom they are masked for."""

SESSION: web.RequestKey[Session] = web.RequestKey("session", Session)

SEQ: web.RequestKey[int] = web.RequestKey("seq", int)
"""Where the feed was when a request came in: what changed later is not on its page."""
