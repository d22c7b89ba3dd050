"""The first page: how the node is doing, at a glance. It must not format figures (figures.py does)."""

from __future__ import annotations

import socket
from collections import defaultdict
from typing import Any

import aiohttp_jinja2
from aiohttp import web

from webgui import words
from webgui.chart import chart
from webgui.keys import CONFIG, HUB


async def show(request: web.Request) -> web.Response:
    """The page with the figures in it; live.js takes over from there."""
    hub, config = request.app[HUB], request.app[CONFIG]
    topics = await hub.fresh()
    context = {
        "topics": topics,
        "blank": defaultdict(str),
        "chart": chart(topics["chart"]),
        "as_of": words.local_time(hub.reading.at, hub.reading.at),
        "point_at": {
            "ae_title": config.ae_title,
            "host": config.dicom_host or socket.gethostname(),
            "port": config.dicom_port,
        },
    }
    return aiohttp_jinja2.render_template("dashboard.html", request, context)


async def api(request: web.Request) -> web.Response:
    """The same as JSON: the status document."""
    hub = request.app[HUB]
    await hub.fresh()
    body: dict[str, Any] = hub.reading.status | ({"error": hub.reading.error} if hub.reading.error else {})
    return web.json_response(body, status=503 if hub.reading.error else 200)
