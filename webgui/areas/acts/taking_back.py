"""Stopping a long act, and taking one back where it was done, for people and programs. It must not carry anything out;
the router does, and what undoes what stands in protocol/acts.
"""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field

from protocol.acts import undo_of
from protocol.errors import StepRefused
from protocol.spool.commands import Command
from protocol.states import CommandState
from webgui import acting, inputs
from webgui.areas.acts.pages import number
from webgui.keys import NODE


class Back(BaseModel):
    """Why, and the page to see afterwards."""

    reason: Annotated[str, Field(max_length=500)] = ""
    back: Annotated[str, Field(max_length=2000, description="For forms: the page to see afterwards.")] = ""


async def _undone(request: web.Request, reason: str) -> Command:
    """Raises NotFound, StepRefused."""
    id, node = number(request), request.app[NODE]
    found = await node.spool(lambda spool: spool.commands.find(id))
    kind, arguments = undo_of(found.kind, id)
    if found.state is CommandState.FAILED:
        raise StepRefused(f"act {id} did nothing: {found.answer}")
    if found.state is CommandState.NEW:
        await acting.act(request, "act.stop", {"act": id}, reason or "to be undone")
    return await acting.act(request, kind, arguments, reason or f"undo of act {id}")


async def undo(request: web.Request) -> web.Response:
    """POST /acts/{id}/undo."""
    asked = await inputs.body(request, Back)
    command = await _undone(request, asked.reason)
    return acting.back(request, command, asked.back or f"/acts/{command.id}")


async def api_undo(request: web.Request) -> web.Response:
    """POST /api/v1/acts/{id}/undo."""
    asked = await inputs.body(request, Back)
    return acting.given(await _undone(request, asked.reason))


async def stop(request: web.Request) -> web.Response:
    """POST /acts/{id}/stop."""
    id, asked = number(request), await inputs.body(request, Back)
    return acting.back(request, await acting.act(request, "act.stop", {"act": id}, asked.reason), f"/acts/{id}")


async def api_stop(request: web.Request) -> web.Response:
    """POST /api/v1/acts/{id}/stop."""
    id, asked = number(request), await inputs.body(request, Back)
    return acting.given(await acting.act(request, "act.stop", {"act": id}, asked.reason))
