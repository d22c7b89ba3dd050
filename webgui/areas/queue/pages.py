"""The page of the queue: tabs with counts, failures by cause, the list. It must not act; acts.py does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from aiohttp import web

from protocol.acts import CAN
from protocol.causes import HINTS
from protocol.spool import Spool
from protocol.spool.selecting import DELIVERIES
from webgui import answers, csvs, inputs, patients
from webgui.areas.queue import words
from webgui.areas.queue.asked import TABS, UNFINISHED, QueueQuery
from webgui.areas.queue.lines import COLUMNS, Line, cells, failures, line
from webgui.keys import NODE
from webgui.node import Node
from webgui.taking import taken

SHOWN_FAILURES = 8


async def show(request: web.Request) -> web.StreamResponse:
    """GET /queue."""
    asked, node, sees = inputs.query(request, QueueQuery), request.app[NODE], patients.sees(request)
    if asked.format == "csv":
        await taken(request, "queue", asked)
        return await csvs.stream(request, "queue.csv", COLUMNS, _rows(node, asked, sees))
    found = await node.spool(lambda spool: _found(spool, asked, sees, node.clock.now()))
    configuration = (await node.run(node.routing.current)).configuration
    chosen = [(name, value, asked.address(**{name: ""})) for name, value in asked.filters().items()]
    matching = sum(found["counts"].get(state, 0) for state in TABS.get(asked.state, (asked.state,)))
    return answers.page(
        request, "queue/queue.html", **found, asked=asked, chosen=chosen, matching=matching, tabs=_tabs(asked, found["counts"]),
        acts=[(act, *words.ACTS[act]) for act in ("retry", "hold", "release") if _any(act, asked)],
        can_move=_any("priority", asked), targets=[*configuration.targets, *configuration.groups],
        rules=[rule.name for rule in configuration.rules], causes=[str(cause) for cause in HINTS], words=words,
        first=asked.address() if asked.after else "", partial=bool(found["further"]) and len(found["lines"]) < asked.limit,
        more=_with(asked.address(), f"after={found['further']}") if found["further"] else "", csv=asked.address(format="csv"),
    )  # fmt: skip


async def _rows(node: Node, asked: QueueQuery, sees: bool) -> AsyncIterator[list[Sequence[Any]]]:
    """The whole list as cells, a part at a time."""
    left, limit = csvs.MOST_ROWS, csvs.FIRST
    while left > 0:
        part = partial(_part, asked=asked, limit=min(limit, left), sees=sees, now=node.clock.now())
        lines, further = await node.spool(part)
        yield [cells(one, csvs.when) for one in lines]
        if further is None:
            return
        asked, left, limit = asked.model_copy(update={"after": further}), left - len(lines), csvs.PART


def _any(act: str, asked: QueueQuery) -> bool:
    """Whether the act is for anything that this tab can show."""
    return any(state in CAN[f"queue.{act}"] for state in TABS.get(asked.state, (asked.state,)))


def _with(address: str, more: str) -> str:
    return f"{address}{'&' if '?' in address else '?'}{more}"


def _tabs(asked: QueueQuery, counts: dict[str, int]) -> list[dict[str, Any]]:
    """The tabs; the finished are not counted: nobody waits for them, and they may be millions."""
    return [
        {"word": word, "href": asked.address(state=name) if name else asked.address(state=""), "here": asked.state == name,
         "count": None if name == "done" else sum(counts.get(state, 0) for state in TABS[name])}
        for name, word in words.TABS.items()
    ]  # fmt: skip


def groups(spool: Spool, asked: QueueQuery) -> list[tuple[str, int]]:
    """How many of the list belong to what."""
    if asked.group == "target":
        found: dict[str, int] = {}
        for (_, target), count in spool.bulk.matching(DELIVERIES, asked.selection()).items():
            found[target] = found.get(target, 0) + count
        return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[:50]
    return spool.browsing.groups(asked.selection(), asked.group) if asked.group else []


def _part(spool: Spool, asked: QueueQuery, limit: int, sees: bool, now: float) -> tuple[list[Line], int | None]:
    """A page, and what the next one is behind; None: that was all."""
    rows, further = spool.deliveries.part(asked.selection(), before=asked.after or None, limit=limit)
    about = spool.browsing.about({row["arrival"] for row in rows})
    targets = spool.targets.all()
    lines = [line(row, about.get(row["arrival"], {}), targets.get(row["target"]), now) for row in rows]
    return lines if sees else [one.masked(patients.MASK) for one in lines], further


def _found(spool: Spool, asked: QueueQuery, sees: bool, now: float) -> dict[str, Any]:
    lines, further = _part(spool, asked, asked.limit, sees, now)
    counts, whole = spool.browsing.counts(asked.selection(UNFINISHED))
    return {
        "lines": lines, "further": further, "counts": counts, "whole": whole,
        "groups": groups(spool, asked), "failures": failures(spool.deliveries.causes(asked.target or None))[:SHOWN_FAILURES],
    }  # fmt: skip


# ---- for programs -----------------------------------------------------------------------------------------------
async def api(request: web.Request) -> web.Response:
    """GET /api/v1/queue."""
    asked, sees, node = inputs.query(request, QueueQuery), patients.sees(request), request.app[NODE]
    found = await node.spool(lambda spool: _found(spool, asked, sees, node.clock.now()))
    lines: list[Line] = found["lines"]
    return answers.given({
        "deliveries": [one.plain() for one in lines], "next": found["further"],
        "counts": found["counts"], "counted_all": found["whole"],
        "groups": [{"name": name, "count": count} for name, count in found["groups"]],
    })  # fmt: skip


async def api_causes(request: web.Request) -> web.Response:
    """GET /api/v1/queue/causes."""
    asked = inputs.query(request, QueueQuery)
    found = await request.app[NODE].spool(lambda spool: failures(spool.deliveries.causes(asked.target or None)))
    return answers.given({"causes": [one.plain() for one in found]})
