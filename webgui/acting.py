"""Acts of people out of forms and the API: written down, waited for, and told what came of them.
It must not decide what an act does; the actor that is asked for carries it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from protocol.acts import can_undo
from protocol.spool.commands import Command
from protocol.states import CommandState
from webgui import answers
from webgui.keys import NODE, SESSION

LEVELS = {CommandState.DONE: "ok", CommandState.FAILED: "bad", CommandState.NEW: "warn"}
LONGEST_REASON = 500


async def act(
    request: web.Request, kind: str, arguments: Mapping[str, Any], reason: str = "", executor: str = "router"
) -> Command:
    """Ask for an act in the name of who is logged in, with what came of it so far."""
    given = {**arguments, **({"reason": reason.strip()[:LONGEST_REASON]} if reason.strip() else {})}
    return await request.app[NODE].act(kind, request[SESSION].who, given, executor)


def told(command: Command) -> str:
    """What came of it, as a sentence."""
    if command.state is not CommandState.NEW:
        return command.answer[:1].upper() + command.answer[1:]
    if command.progress is not None:
        return f"Act {command.id} goes on: {command.progress.done} of {command.progress.total} are done"
    return f"Act {command.id} is written down; the {command.executor} carries it out as soon as it runs"


def back(
    request: web.Request, command: Command, path: str, undo: str = "", fields: dict[str, str] | None = None
) -> web.Response:
    """After a form: see `path` with what came of it, and its undo: what protocol/acts says takes it back, if not `undo`
    and `fields` do. Of a long act see its own page, which shows how far it is.
    """
    if command.state is CommandState.NEW and command.progress is not None:
        return answers.go(request, f"/acts/{command.id}")
    if not undo and can_undo(command.kind):
        undo, fields = f"/acts/{command.id}/undo", {"back": path}
    done = command.state is CommandState.DONE
    return answers.go(
        request, path, told(command), LEVELS[command.state], undo if done else "", fields if done else None
    )


def given(command: Command) -> web.Response:
    """For programs: 200 carried out, 202 not yet, 409 refused."""
    status = {CommandState.DONE: 200, CommandState.NEW: 202, CommandState.FAILED: 409}[command.state]
    body: dict[str, Any] = {"act": command.id, "state": str(command.state), "answer": command.answer}
    if command.progress is not None:
        body |= {"matched": command.progress.total, "done": command.progress.done}
    if status == 409:
        body["error"] = command.answer
    return answers.given(body, status)
