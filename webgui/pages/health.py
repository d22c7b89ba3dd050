"""/healthz and /readyz for supervisors and load balancers, without log-in. They must stay tiny and name no patient."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from webgui.attention import STOPPED
from webgui.hub import Hub
from webgui.keys import HUB

ANSWER_S = 3.0


async def alive(request: web.Request) -> web.Response:
    """200 while this process answers; looks at nothing else."""
    return web.json_response({"alive": True})


async def ready(request: web.Request) -> web.Response:
    """200 if images can be received and stored, else 503; why, and how the rest stands, is in the body."""
    body = await _readiness(request.app[HUB])
    return web.json_response(body, status=200 if body["ready"] else 503)


async def _readiness(hub: Hub) -> dict[str, Any]:
    try:
        async with asyncio.timeout(ANSWER_S):
            await hub.fresh()
    except TimeoutError:
        return {"ready": False, "reasons": ["the spool does not answer"]}
    status, error = hub.reading.status, hub.reading.error
    if error:
        return {"ready": False, "reasons": [error]}
    actors = {name: actor.get("state") for name, actor in status.get("actors", {}).items()}
    reasons = [f"{name} is {state}" for name, state in actors.items() if state in STOPPED]
    if status.get("draining"):
        reasons.append("the node is being drained: new images are refused")
    return {
        "ready": bool(status.get("ready")),
        "serving": bool(status.get("serving")),
        "draining": bool(status.get("draining")),
        "reasons": reasons,
        "actors": actors,
        "targets": {name: target.get("state") for name, target in status.get("targets", {}).items()},
        "disk": status.get("disk", {}),
    }
