"""Finds series for a list: in the ledger's history, with what the spool knows better, or in the spool alone.
It must not know HTTP or templates.

The ledger is a second behind, and has what the spool has long forgotten: the newest come from the spool, and of what both
know the spool's state counts. Without the ledger the spool answers alone, and the list says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import field
from typing import Any

from protocol.errors import LedgerError, LedgerUnavailable, SpoolMissing
from protocol.ledger.engine import Connection
from protocol.ledger.history import Filter, Page, search_arrivals
from protocol.ledger.history.abouts import abouts
from protocol.records import record
from protocol.spool import Spool
from protocol.spool.browsing import ABOUT
from webgui import csvs
from webgui.areas.series.asked import SeriesQuery
from webgui.areas.series.lines import Line, of_ledger, of_spool
from webgui.inputs import Invalid
from webgui.node import Node

AWAY = "The ledger's database is away: this is what the spool alone knows."
PARTIAL = "Few of very many series match: this page shows those found so far, the next one looks further back."
NEWEST = 200
"""So many of the newest arrivals are looked through beside the ledger's answer."""


@record
class Listing:
    """One page of a list. `next` asks for what comes behind it; `notes` are what people should know about it."""

    lines: list[Line]
    next: str = ""
    notes: list[str] = field(default_factory=list)


async def find(node: Node, asked: SeriesQuery, text: str, limit: int) -> Listing:
    """Series that match, newest first. Raises Invalid for a mark of a page that is none."""
    if asked.after.startswith("s"):
        return await node.spool(lambda spool: of_the_spool(spool, asked, text, limit))
    try:
        page, about = await node.ledger(lambda connection: _of_ledger(connection, node.name, asked, text, limit))
    except LedgerUnavailable:
        found = await node.spool(lambda spool: of_the_spool(spool, asked, text, limit))
        return Listing(found.lines, found.next, [AWAY, *found.notes])
    except LedgerError as exc:
        raise Invalid({"after": str(exc)}) from exc
    lines = [of_ledger(row, about.get((row["node"], row["arrival"]), {})) for row in page.rows]
    notes = [PARTIAL] if page.partial else []
    try:
        lines = await node.spool(lambda spool: _together(spool, node.name, asked, text, lines, page.next is None))
    except SpoolMissing:
        pass
    return Listing(lines, f"l{page.next}" if page.next else "", notes)


async def find_all(node: Node, asked: SeriesQuery, text: str, most: int) -> AsyncIterator[list[Line]]:
    """The same without pages, up to `most`, a part at a time: for a file."""
    found, limit = 0, csvs.FIRST
    while found < most:
        page = await find(node, asked, text, min(limit, most - found))
        yield page.lines[: most - found]
        if not page.next:
            return
        found, limit = found + len(page.lines), csvs.PART
        asked = asked.model_copy(update={"after": page.next})


def of_the_spool(spool: Spool, asked: SeriesQuery, text: str, limit: int) -> Listing:
    """What the spool alone knows: everything that is not deleted for long."""
    before = int(asked.after[1:]) if asked.after[:1] == "s" and asked.after[1:].isdecimal() else None
    notes = []
    if text:
        found = spool.browsing.search(asked.selection(), text, before, limit + 1)
        ids = found.ids
        if not found.whole:
            notes.append(f"Names and numbers were looked for in the newest {found.seen} series only.")
    else:
        found = spool.browsing.part(asked.selection(), before, limit + 1)
        ids = found.ids
        if not found.whole and len(ids) <= limit:
            notes.append(f"{found.seen:,} series were looked through for this page; older ones are on the next.")
    rows = spool.browsing.arrivals(ids[:limit])
    lines = [of_spool(rows[id]) for id in ids[:limit] if id in rows]
    last = ids[limit - 1] if len(ids) > limit else None if text or found.whole else found.last
    return Listing(lines, f"s{last}" if last else "", notes)


def _of_ledger(
    connection: Connection, node: str, asked: SeriesQuery, text: str, limit: int
) -> tuple[Page, dict[Any, dict[str, Any]]]:
    since, until = asked.times()
    wanted = Filter(
        text, asked.source, asked.target, asked.rule, asked.state, asked.modality, asked.study, "", since, until
    )
    page = search_arrivals(connection, node, wanted, asked.after.removeprefix("l") or None, limit)
    return page, abouts(connection, [(row["node"], row["arrival"]) for row in page.rows], ABOUT)


def _together(spool: Spool, node: str, asked: SeriesQuery, text: str, lines: Sequence[Line], last: bool) -> list[Line]:
    """The ledger's page with the spool's states, and on the first page with what the ledger does not have yet on top."""
    live = spool.browsing.arrivals(line.id for line in lines if line.node == node)
    merged = [of_spool(live[line.id]) if line.node == node and line.id in live else line for line in lines]
    if asked.state:
        merged = [line for line in merged if line.state == asked.state]
    if asked.after:
        return merged
    known = {line.id for line in lines}
    # Where the ledger's page ends, in the ledger's order: series of one association have the same time.
    end = (0.0, "", 0) if last or not lines else min((line.time, line.node, line.id) for line in lines)
    if text:
        newest = spool.browsing.search(asked.selection(), text, None, NEWEST, NEWEST).ids
    else:
        newest = spool.browsing.newest(asked.selection(), NEWEST)
    more = spool.browsing.arrivals(id for id in newest if id not in known)
    fresh = [of_spool(row) for row in more.values() if (row["opened"], node, row["id"]) > end]
    return [*sorted(fresh, key=lambda line: (line.time, line.id), reverse=True), *merged]
