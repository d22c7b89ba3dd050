"""What people do with targets: test, pause, resume, redirect, delete. Pages and API share it; it must not do any of it itself."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from aiohttp import web

from protocol.routing.parse import to_data
from webgui import acting, answers, inputs, preconditions, publishing
from webgui.areas.targets import edits, models, pages, reading
from webgui.jobs import JobRefused
from webgui.keys import LADDERS, NODE, SESSION

HOUR_S = 3600.0


async def test(request: web.Request) -> web.Response:
    """Start the ladder of a target that is in force."""
    name = request.match_info["name"]
    version = await publishing.current(request.app[NODE])
    if name not in version.configuration.targets:
        raise web.HTTPNotFound(text=f"There is no target '{name}'.")
    try:
        job = await request.app[LADDERS].start(
            request[SESSION].user.name,
            await reading.ladder_line(request.app[NODE], name, version.configuration.targets[name]),
        )
    except JobRefused as exc:
        raise web.HTTPConflict(text=f"Not now: {exc}.") from exc
    if inputs.is_json(request):
        return answers.given({"id": job.id}, 202)
    return answers.go(request, f"/targets/{quote(name)}?test={job.id}")


async def look(request: web.Request) -> web.Response:
    """How far a test is."""
    job = request.app[LADDERS].find(request.match_info["id"], request[SESSION].user.name)
    if job is None:
        raise web.HTTPNotFound(text="There is no such test of yours.")
    return answers.given(pages.steps_of(job))


async def pause(request: web.Request) -> web.Response:
    """Send nothing more there."""
    asked, name = await inputs.body(request, models.Pause), request.match_info["name"]
    if not inputs.is_json(request) and not asked.reason.strip():
        raise inputs.Invalid({"reason": "say why: everybody reads it as long as the target is paused"})
    until = None if asked.hours is None else request.app[NODE].clock.now() + asked.hours * HOUR_S
    command = await acting.act(request, "target.pause", {"target": name, "until": until}, asked.reason)
    if inputs.is_json(request):
        return acting.given(command)
    return acting.back(request, command, f"/targets/{quote(name)}", f"/targets/{quote(name)}/resume", {})


async def resume(request: web.Request) -> web.Response:
    """Go on."""
    asked, name = await inputs.body(request, models.Why), request.match_info["name"]
    command = await acting.act(request, "target.resume", {"target": name}, asked.reason)
    return (
        acting.given(command) if inputs.is_json(request) else acting.back(request, command, f"/targets/{quote(name)}")
    )


async def redirect(request: web.Request) -> web.Response:
    """All that waits for it goes to another one."""
    asked, name = await inputs.body(request, models.Redirect), request.match_info["name"]
    command = await acting.act(request, "queue.redirect", {"where": {"target": name}, "to": asked.to}, asked.reason)
    return (
        acting.given(command) if inputs.is_json(request) else acting.back(request, command, f"/targets/{quote(name)}")
    )


async def delete(request: web.Request) -> web.Response:
    """Forget a target or a group that nobody names."""
    asked, name = await inputs.body(request, models.Why), request.match_info["name"]
    section = "groups" if "/groups/" in request.path else "targets"
    reason = asked.reason or f"{section[:-1]} {name} removed"
    made = await preconditions.publish(request, edits.remove(section, name), section, name, reason)
    if inputs.is_json(request):
        return answers.given(made.to_data())
    return publishing.done(request, made, "/targets", f"'{name}' is deleted.")


# ---- API ------------------------------------------------------------------------------------------------------------


async def listing(request: web.Request) -> web.Response:
    """Targets with their state and figures, and groups."""
    version, rows = await reading.listed(request)
    groups = to_data(version.configuration)["groups"]
    return answers.given({"revision": version.number, "targets": rows, "groups": groups})


async def one(request: web.Request) -> web.Response:
    """One target with its settings."""
    name = request.match_info["name"]
    version, rows = await reading.listed(request)
    row = next((row for row in rows if row["name"] == name), None)
    if row is None:
        raise web.HTTPNotFound(text=f"There is no target '{name}'.")
    settings: Any = to_data(version.configuration)["targets"].get(name)
    if settings is None:  # it has work left, but is configured no more: nothing that a change could be about
        return answers.given(row | {"settings": None})
    return preconditions.tagged(row | {"settings": settings}, settings)


async def one_group(request: web.Request) -> web.Response:
    """One group with its settings."""
    name, version = request.match_info["name"], await publishing.current(request.app[NODE])
    settings: Any = to_data(version.configuration)["groups"].get(name)
    if settings is None:
        raise web.HTTPNotFound(text=f"There is no group '{name}'.")
    return preconditions.tagged({"revision": version.number, "name": name, "settings": settings}, settings)


async def put(request: web.Request) -> web.Response:
    """Add or change a target or a group."""
    asked, name = await inputs.body(request, models.Put), request.match_info["name"]
    section = "groups" if "/groups/" in request.path else "targets"
    version = await publishing.current(request.app[NODE])
    was = name if name in getattr(version.configuration, section) else ""
    reason = asked.reason or f"{section[:-1]} {name} changed"
    made = await preconditions.publish(request, edits.put(section, name, asked.settings, was), section, name, reason)
    return answers.given(made.to_data())
