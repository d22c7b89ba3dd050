"""What operators do from the dashboard: pause and resume a target, try it, take care of an alert. It must not carry anything out:
targets are the router's.
"""

from __future__ import annotations

from aiohttp import web
from pydantic import BaseModel, Field

from webgui import answers, inputs
from webgui.keys import HUB, NODE, SESSION
from webgui.recorded import record

HOME = "/"


class TargetAct(BaseModel):
    """Which target, and why."""

    target: str = Field(min_length=1, max_length=64)
    reason: str = Field("", max_length=200)


class AlertAct(BaseModel):
    """Which alert, and a word about it."""

    alert: str = Field(min_length=1, max_length=300)
    note: str = Field("", max_length=200)


async def pause(request: web.Request) -> web.Response:
    """Send nothing more to a target until somebody resumes it."""
    form, by = await inputs.body(request, TargetAct), request[SESSION].who
    arguments = {"target": form.target, "reason": form.reason or "no reason given", "until": None}
    command = await request.app[NODE].act("target.pause", by, arguments)
    return _told(request, command.state, command.answer, "/dashboard/resume", {"target": form.target})


async def resume(request: web.Request) -> web.Response:
    """Send to it again."""
    form, by = await inputs.body(request, TargetAct), request[SESSION].who
    command = await request.app[NODE].act("target.resume", by, {"target": form.target})
    return _told(request, command.state, command.answer, "/dashboard/pause", {"target": form.target})


async def acknowledge(request: web.Request) -> web.Response:
    """Somebody takes care of an alert."""
    form, by = await inputs.body(request, AlertAct), request[SESSION].who
    await request.app[NODE].spool(lambda spool: spool.alerts.acknowledge(form.alert, by, form.note))
    await record(request, "alert.acknowledge", f"alert/{form.alert}", after={"note": form.note})
    request.app[HUB].poke()
    return answers.go(request, HOME, "You take care of it: nobody is reminded any more.")


def _told(request: web.Request, state: str, answer: str, undo: str, fields: dict[str, str]) -> web.Response:
    if state == "done":
        return answers.go(request, HOME, answer, undo=undo, fields=fields)
    if state == "new":
        return answers.go(request, HOME, "Written down; the router carries it out as soon as it runs.", "warn")
    return answers.go(request, HOME, answer, "bad")
