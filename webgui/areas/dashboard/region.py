"""The map of flows alone, for pages that are open already: drawn once for all of them, as it is the same for everybody.
It must not hold anything that depends on who asks.
"""

from __future__ import annotations

from typing import Any

import aiohttp_jinja2
from aiohttp import web

from webgui.areas.dashboard.flowmap import flow_map
from webgui.figures import Reading, mapped
from webgui.keys import HUB, SEQ

REFRESH, FLOW = "X-Refresh", "flow"
"""The header in which app.js names the regions that it takes out of the answer; the map's."""
HEAD = '<!doctype html><html lang="en"><head><title>Flow</title></head><body data-seq="{seq}">'


class FlowRegion:
    """The newest map and what it was made of."""

    def __init__(self) -> None:
        self._of: tuple[Any, ...] | None = None
        self._text = ""

    def text(self, request: web.Request, reading: Reading) -> str:
        """The region as HTML; rendered if it differs from the last one."""
        if self._of != (of := mapped(reading)):
            outlook = reading.outlook
            flow = flow_map(outlook.flows, outlook.rules, reading.status.get("targets", {}), outlook.groups)
            self._text = aiohttp_jinja2.render_string("dashboard/flow.html", request, {"flow": flow})
            self._of = of
        return self._text


FLOW_REGION = web.AppKey("flow_region", FlowRegion)


async def flow(request: web.Request) -> web.Response:
    """A page with nothing but the map; `data-seq` says how far the feed was."""
    hub = request.app[HUB]
    await hub.fresh()
    text = request.app[FLOW_REGION].text(request, hub.reading)
    return web.Response(text=HEAD.format(seq=request.get(SEQ, 0)) + text, content_type="text/html")
