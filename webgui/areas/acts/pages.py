"""The list of acts and one act with its progress, for people and programs. It must not change anything."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from protocol.acts import CAN, can_undo
from protocol.spool.commands import Command
from webgui import answers, inputs
from webgui.areas.acts.words import told_kind, told_state, told_what
from webgui.keys import NODE

PAGE = 50


class ActsQuery(BaseModel):
    """Filters of the list of acts."""

    by: Annotated[str, Field(max_length=64, description="Who asked.")] = ""
    kind: Annotated[str, Field(max_length=64, description="A kind, or its beginning: queue, series, target.")] = ""
    state: Literal["", "new", "done", "failed"] = ""
    after: Annotated[int, Field(ge=0, lt=2**63, description="The `next` of the page before.")] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = PAGE


async def _page(request: web.Request) -> tuple[ActsQuery, list[Command], int]:
    asked = inputs.query(request, ActsQuery)
    found = await request.app[NODE].spool(lambda spool: spool.commands.list(
        by=asked.by or None, kind=asked.kind or None, state=asked.state or None, before=asked.after or None,
        limit=asked.limit + 1,
    ))  # fmt: skip
    more = found[asked.limit - 1].id if len(found) > asked.limit else 0
    return asked, found[: asked.limit], more


async def show_list(request: web.Request) -> web.Response:
    """GET /acts."""
    asked, found, more = await _page(request)
    kept = "&".join(f"{name}={getattr(asked, name)}" for name in ("kind", "state") if getattr(asked, name))
    return answers.page(request, "acts/list.html", asked=asked, acts=[_view(one) for one in found], more=more, kept=kept,
                        kinds=sorted({kind.split(".")[0] for kind in CAN} | {"target", "node", "quarantine", "clean"}))  # fmt: skip


def number(request: web.Request) -> int:
    """The act in the address. Raises HTTPNotFound."""
    text = request.match_info["id"]
    if not text.isdecimal() or len(text) > 18:
        raise web.HTTPNotFound(text="There is no such act.")
    return int(text)


async def show(request: web.Request) -> web.Response:
    """GET /acts/{id}."""
    id = number(request)
    command = await request.app[NODE].spool(lambda spool: spool.commands.find(id))
    plain = json.dumps(dict(command.arguments), indent=2, ensure_ascii=False, default=str)
    return answers.page(request, "acts/show.html", one=_view(command), arguments=plain)


def _view(command: Command) -> dict[str, Any]:
    progress = command.progress
    skipped = sum(count for count, _ in progress.skipped.values()) if progress else 0
    return {
        "id": command.id, "by": command.by, "what": told_kind(command.kind), "on": told_what(command.arguments),
        "chip": told_state(command), "asked": command.asked, "answered": command.answered, "answer": command.answer,
        "reason": command.reason, "executor": command.executor, "running": command.state == "new",
        "done": progress.done if progress else 0, "skipped": skipped, "total": progress.total if progress else 0,
        "why_not": [(reason, count, id) for reason, (count, id) in progress.skipped.items()] if progress else [],
        "long": progress is not None, "can_undo": can_undo(command.kind) and command.state != "failed",
    }  # fmt: skip


# ---- for programs -----------------------------------------------------------------------------------------------
def _plain(command: Command) -> dict[str, Any]:
    progress = command.progress
    return {
        "id": command.id, "kind": command.kind, "by": command.by, "executor": command.executor,
        "arguments": dict(command.arguments), "state": str(command.state), "answer": command.answer, "asked": command.asked,
        "answered": command.answered, "can_undo": can_undo(command.kind) and command.state != "failed",
        "progress": None if progress is None else {
            "total": progress.total, "done": progress.done,
            "skipped": [{"reason": why, "count": count, "example": id} for why, (count, id) in progress.skipped.items()],
        },
    }  # fmt: skip


async def api_list(request: web.Request) -> web.Response:
    """GET /api/v1/acts."""
    _, found, more = await _page(request)
    return answers.given({"acts": [_plain(one) for one in found], "next": more or None})


async def api(request: web.Request) -> web.Response:
    """GET /api/v1/acts/{id}."""
    id = number(request)
    return answers.given(_plain(await request.app[NODE].spool(lambda spool: spool.commands.find(id))))
