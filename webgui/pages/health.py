"""/healthz and /readyz for supervisors and load balancers, without log-in. They must stay tiny and name no patient."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from webgui import words
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
    return {
        "ready": bool(status.get("ready")),
        "serving": bool(status.get("serving")),
        "draining": bool(status.get("draining")),
        "reasons": list(_reasons(status, actors)),
        "actors": actors,
        "targets": {name: target.get("state") for name, target in status.get("targets", {}).items()},
        "disk": status.get("disk", {}),
    }


def _reasons(status: dict[str, Any], actors: dict[str, Any]) -> Iterator[str]:
    """Who is not there, what keeps images out; while it does not serve also who is not ready yet."""
    for name, state in actors.items():
        if state in STOPPED or (not status.get("serving") and state != "ready"):
            yield f"{name} is {state}"
    disk = status.get("disk", {})
    if disk.get("state", "ok") != "ok":
        left, reserve = words.size(disk.get("free_bytes")), words.size(disk.get("reserve_bytes"))
        yield f"the disk has {left} left, less than its reserve of {reserve}: new images are refused"
    if status.get("draining"):
        yield "the node is being drained: new images are refused"
