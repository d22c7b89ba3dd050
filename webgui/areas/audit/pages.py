"""The page of the audit and its API. It must not decide what is audited."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any
from urllib.parse import urlencode

from aiohttp import hdrs, web

from protocol.accounts import AuditEntry, Checked, Wanted, preferences
from webgui import answers, auth, csvs, inputs
from webgui.areas.audit.differences import differences
from webgui.areas.audit.models import Filters
from webgui.keys import ACCOUNTS, CONFIG, SESSION

CHECKED: web.AppKey[list[Checked]] = web.AppKey("audit_checked", list)
"""How far the chain was checked by this process: one entry, or none."""

CHECKING: web.AppKey[asyncio.Lock] = web.AppKey("audit_checking", asyncio.Lock)

FILE_ROWS = 1000
MOST_ROWS = 1_000_000
COLUMNS = ("number", "time", "who", "address", "action", "object", "before", "after")


async def show(request: web.Request) -> web.StreamResponse:
    """The entries that fit, or a file of all of them."""
    filters = inputs.query(request, Filters)
    if filters.format:
        return await _file(request, filters)
    entries, older = await _found(request, filters)
    accounts = request.app[ACCOUNTS]
    who, actions = await auth.in_thread(accounts.trail.choices)
    query = filters.as_query()
    context: dict[str, Any] = {
        "entries": [(entry, differences(entry.before, entry.after)) for entry in entries],
        "filters": filters, "who": who, "actions": actions, "checked": await check(request), "query": query,
        "first": f"/audit?{urlencode(query)}" if filters.after else "",
        "next": f"/audit?{urlencode(query | {'after': str(older)})}" if older else "",
        "files": {kind: f"/audit?{urlencode(query | {'format': kind})}" for kind in ("csv", "json")},
    }  # fmt: skip
    return answers.page(request, "audit/audit.html", **context)


async def api(request: web.Request) -> web.StreamResponse:
    """The same as JSON."""
    filters = inputs.query(request, Filters)
    if filters.format:
        return await _file(request, filters)
    entries, older = await _found(request, filters)
    return answers.given({"entries": [asdict(entry) for entry in entries], "next": older})


async def api_check(request: web.Request) -> web.Response:
    """Hold all entries against the chain, from the first."""
    checked = await check(request, anew=True)
    return answers.given({"holds": checked.broken is None, "entries": checked.entries, "broken": checked.broken})


async def check(request: web.Request, anew: bool = False) -> Checked:
    """How far the chain holds. Entries that this process has checked before are not read again, unless `anew`."""
    kept, trail = request.app[CHECKED], request.app[ACCOUNTS].trail
    async with request.app[CHECKING]:
        former = kept[0] if kept and not anew else Checked()
        kept[:] = [await auth.in_thread(lambda: trail.check(former))]
        return kept[0]


def setup(app: web.Application) -> None:
    """What this area keeps in the application."""
    app[CHECKED], app[CHECKING] = [], asyncio.Lock()


# ---- parts ------------------------------------------------------------------------------------------------------
async def _found(request: web.Request, filters: Filters) -> tuple[list[AuditEntry], int | None]:
    """A page of entries and where the next begins."""
    wanted, trail = _wanted(request, filters), request.app[ACCOUNTS].trail
    entries = await auth.in_thread(lambda: trail.search(wanted, filters.limit + 1, filters.after))
    more = len(entries) > filters.limit
    return entries[: filters.limit], entries[filters.limit - 1].number if more else None


def _wanted(request: web.Request, filters: Filters) -> Wanted:
    zone_name = request[SESSION].user.preferences.time_zone
    zone = preferences.zone(zone_name) if zone_name else request.app[CONFIG].zone
    return Wanted(
        filters.who, filters.action, filters.object, _start(filters.since, zone),
        _start(filters.until and filters.until + timedelta(days=1), zone),
    )  # fmt: skip


def _start(day: date | None, zone: tzinfo | None) -> float | None:
    """When a day begins; None for days that no clock has seen."""
    if day is None:
        return None
    try:
        return datetime.combine(day, time(), zone).timestamp()
    except (OverflowError, ValueError, OSError) as exc:
        raise inputs.Invalid({"since": "no such day"}) from exc


async def _file(request: web.Request, filters: Filters) -> web.StreamResponse:
    """All entries that fit, written as they are read; the export itself stands in the audit."""
    own, accounts, where = request[SESSION], request.app[ACCOUNTS], auth.address(request)
    told = filters.as_query() | {"format": filters.format}
    await auth.in_thread(lambda: accounts.record(own.who, where, "audit export", "audit", None, told))
    kind = "text/csv" if filters.format == "csv" else "application/x-ndjson"
    response = web.StreamResponse(headers={
        hdrs.CONTENT_TYPE: f"{kind}; charset=utf-8",
        hdrs.CONTENT_DISPOSITION: f'attachment; filename="audit.{"csv" if filters.format == "csv" else "jsonl"}"',
    })  # fmt: skip
    await response.prepare(request)
    if request.method == hdrs.METH_HEAD:
        return response
    first = True
    async for entries in _batches(request, filters):
        if filters.format == "csv":
            text = csvs.table(COLUMNS, map(_row, entries))
            await response.write((text if first else text.partition("\r\n")[2]).encode())
        else:
            await response.write(
                "".join(json.dumps(asdict(entry), ensure_ascii=False) + "\n" for entry in entries).encode()
            )
        first = False
    await response.write_eof()
    return response


async def _batches(request: web.Request, filters: Filters) -> AsyncIterator[list[AuditEntry]]:
    wanted, trail, before, count = _wanted(request, filters), request.app[ACCOUNTS].trail, filters.after, 0
    while count < MOST_ROWS:
        at = before
        entries = await auth.in_thread(lambda: trail.search(wanted, FILE_ROWS, at))  # noqa: B023
        yield entries
        count += len(entries)
        if len(entries) < FILE_ROWS:
            return
        before = entries[-1].number


def _row(entry: AuditEntry) -> list[object]:
    before, after = (
        None if value is None else json.dumps(value, ensure_ascii=False) for value in (entry.before, entry.after)
    )
    return [entry.number, csvs.when(entry.time), entry.who, entry.address, entry.action, entry.object, before, after]
