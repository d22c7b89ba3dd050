"""Series for programs: the list, the search, one series with its timeline, images, header and events. See acts.py for acts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiohttp import web

from webgui import answers, inputs, patients
from webgui.areas.series.asked import SearchSeries, SeriesQuery
from webgui.areas.series.finding import Listing
from webgui.areas.series.pages import FORGOTTEN, number, raw_events, text_of
from webgui.areas.series.seeing import listing, whole
from webgui.areas.series.tags import table
from webgui.inputs import Invalid
from webgui.keys import NODE


def _page(found: Listing) -> web.Response:
    rows = [line.plain() for line in found.lines]
    return answers.given({"series": rows, "next": found.next or None, "notes": found.notes})


async def listed(request: web.Request) -> web.Response:
    """GET /api/v1/series."""
    asked = inputs.query(request, SeriesQuery)
    text = text_of(request, asked)
    if text is None:
        raise Invalid({"s": FORGOTTEN})
    return _page(await listing(request, asked, text))


async def searched(request: web.Request) -> web.Response:
    """POST /api/v1/series/search."""
    asked = await inputs.body(request, SearchSeries)
    return _page(await listing(request, asked, asked.q))


async def shown(request: web.Request) -> web.Response:
    """GET /api/v1/series/{id}."""
    one, _ = await whole(request, number(request))
    steps: list[dict[str, Any]] = [
        {"time": step.time, "level": step.level, "title": step.title, "lines": [line for line in step.lines if line],
         "gap": step.gap, "help": step.help, "ahead": step.ahead,
         "rules": [{"rule": rule.rule, "result": rule.chip[1], "why": rule.short} for rule in step.rules]}
        for step in one.steps
    ]  # fmt: skip
    return answers.given({
        **one.line.plain(), "in_spool": one.here, "kept_until": one.kept_until, "timeline": steps,
        "decisions": one.decisions, "deliveries": one.deliveries or one.line.deliveries,
        "attempts": [asdict(attempt) for attempt in one.attempts], "kinds": one.kinds, "notes": one.notes,
    })  # fmt: skip


async def images(request: web.Request) -> web.Response:
    """GET /api/v1/series/{id}/images?at=position."""
    id, at = number(request), request.query.get("at", "0")
    after = int(at) if at.isdecimal() and len(at) < 10 else 0
    found = await request.app[NODE].spool(
        lambda spool: (spool.arrivals.get(id), spool.browsing.images(id, after, 501))[1]
    )
    return answers.given({"images": found[:500], "next": found[499]["position"] if len(found) > 500 else None})


async def header(request: web.Request) -> web.Response:
    """GET /api/v1/series/{id}/header."""
    id = number(request)
    first, other, looked = await request.app[NODE].spool(
        lambda spool: (spool.arrivals.get(id), spool.browsing.header(id))[1]
    )
    masked = () if patients.sees(request) else patients.KEYS
    return answers.given(
        {"images": looked, "tags": [asdict(tag) for tag in table(first, other, "", masked, patients.MASK)]}
    )


async def events(request: web.Request) -> web.Response:
    """GET /api/v1/series/{id}/events."""
    found = await raw_events(request, number(request))
    if found["away"]:
        raise web.HTTPServiceUnavailable(text="The ledger's database is away.")
    rows = [{name: value for name, value in row.items() if name != "text"} for row in found["rows"]]
    return answers.given({"events": rows, "next": found["next"]})
