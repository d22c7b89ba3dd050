"""Finds series for a list: from the spool, newest first, page by page. It must not know HTTP or templates."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol.spool import Spool
from webgui.areas.series.asked import SeriesQuery
from webgui.areas.series.lines import Line, of_spool
from webgui.node import Node


@dataclass(frozen=True)
class Listing:
    """One page of a list. `next` asks for what comes behind it; `notes` are what people should know about it."""

    lines: list[Line]
    next: str = ""
    notes: list[str] = field(default_factory=list)


async def find(node: Node, asked: SeriesQuery, text: str, limit: int) -> Listing:
    """Series that match, newest first."""
    return await node.spool(lambda spool: of_the_spool(spool, asked, text, limit))


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
        ids = [row["id"] for row in spool.arrivals.select(asked.selection(), before=before, limit=limit + 1)]
    rows = spool.browsing.arrivals(ids[:limit])
    lines = [of_spool(rows[id]) for id in ids[:limit] if id in rows]
    return Listing(lines, f"s{ids[limit - 1]}" if len(ids) > limit else "", notes)
