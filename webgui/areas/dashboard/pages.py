"""The first page, and the same for a screen on the wall. It must not format figures (figures.py does)."""

from __future__ import annotations

import json
import socket
import time
from collections import defaultdict
from dataclasses import asdict
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from webgui import answers, inputs, words
from webgui.areas.dashboard import region
from webgui.areas.dashboard.charts import RANGES, Range, Rows, drawing
from webgui.areas.dashboard.flowmap import flow_map
from webgui.hub import Hub
from webgui.keys import CONFIG, HUB, SESSION
from webgui.looking import CHART_S, rows_of
from webgui.viewing import zone_of

ENDS_SOON_S = 86_400.0


class ChartQuery(BaseModel):
    """Which part of the past a chart shows."""

    model_config = ConfigDict(extra="ignore")
    range: Literal["10min", "1h", "8h", "1d"] = Field("10min", description="How far back")


async def show(request: web.Request) -> web.Response:
    """The page with the figures in it; live.js takes over from there. An open one asks for the map of flows alone."""
    if request.headers.get(region.REFRESH) == region.FLOW:
        return await region.flow(request)
    chosen = RANGES[inputs.query(request, ChartQuery).range]
    return answers.page(request, "dashboard/dashboard.html", **await _context(request, chosen))


async def wall(request: web.Request) -> web.Response:
    """Big figures without a menu. Who stays for days is told before the session's last day ends."""
    ends = request[SESSION].expires if SESSION in request else None
    ends_soon = ends if ends is not None and ends - time.time() < ENDS_SOON_S else None
    return answers.page(request, "dashboard/wall.html", ends_soon=ends_soon, **await _context(request, RANGES["1h"]))


async def api(request: web.Request) -> web.Response:
    """The status document."""
    hub = request.app[HUB]
    await hub.fresh()
    body: dict[str, Any] = hub.reading.status | ({"error": hub.reading.error} if hub.reading.error else {})
    return web.json_response(body, status=503 if hub.reading.error else 200)


async def figures(request: web.Request) -> web.Response:
    """Everything that the page shows: topics of rows of fields, as /ws sends them, and flows of the last hour."""
    hub = request.app[HUB]
    topics = await hub.fresh()
    outlook = hub.reading.outlook
    return answers.given({
        "at": hub.reading.at, "topics": {name: rows for name, rows in topics.items() if name != "chart"},
        "flows": [asdict(flow) for flow in outlook.flows], "marks": [asdict(mark) for mark in outlook.marks],
    })  # fmt: skip


async def chart(request: web.Request) -> web.Response:
    """Rates and backlog over time."""
    chosen, hub = RANGES[inputs.query(request, ChartQuery).range], request.app[HUB]
    rows = await _rows(hub, chosen)
    return answers.given({
        "range": chosen.name, "span_s": chosen.span_s, "width_s": chosen.width_s, "rows": rows,
        "marks": _marks(hub),
    })  # fmt: skip


async def _rows(hub: Hub, chosen: Range) -> Rows:
    await hub.fresh()
    if chosen.span_s <= CHART_S:
        newest = max((int(key) for key in hub.reading.chart), default=0)
        return {key: row for key, row in hub.reading.chart.items() if newest - int(key) < chosen.span_s}
    until = hub.reading.at - 2 - chosen.width_s
    return rows_of(await hub.curves(chosen.width_s, until - chosen.span_s, until))


async def _context(request: web.Request, chosen: Range) -> dict[str, Any]:
    hub, config = request.app[HUB], request.app[CONFIG]
    topics = await hub.fresh()
    rows, outlook = await _rows(hub, chosen), hub.reading.outlook
    return {
        "topics": topics,
        "blank": defaultdict(str),
        "ranges": list(RANGES.values()),
        "chosen": chosen,
        "chart": drawing(rows, chosen, outlook.marks),
        "marks": json.dumps(_marks(hub)),
        "flow": flow_map(outlook.flows, outlook.rules, hub.reading.status.get("targets", {}), outlook.groups),
        "as_of": words.local_time(hub.reading.at, hub.reading.at, zone_of(request)),
        "point_at": {
            "ae_title": config.ae_title, "host": config.dicom_host or socket.gethostname(), "port": config.dicom_port,
        },
    }  # fmt: skip


def _marks(hub: Hub) -> list[dict[str, Any]]:
    return [{"at": one.at, "label": f"version {one.number} by {one.author}"} for one in hub.reading.outlook.marks]
