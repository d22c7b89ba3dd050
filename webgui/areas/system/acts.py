"""Starting, stopping, scaling, draining, cleaning: asked of the process manager or of the actor that does it.
It must not start or kill anything by itself, but for its own end when it is to be restarted.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

from aiohttp import web

from protocol import dispatchers, following, loglevel
from protocol.errors import NotFound, StepRefused
from protocol.programs import manager
from protocol.settings import Settings
from webgui import acting, answers, inputs
from webgui.areas.system.looks import OURS
from webgui.areas.system.models import Clean, Debug, Dispatchers, Drain, ProgramAct
from webgui.auth import in_thread
from webgui.keys import HUB, NODE, SESSION
from webgui.recorded import record

PAGE = "/system"
SOON_S = 2.0
"""After the answer to "restart this page": the browser fetches the next page first, and shows no error of its own."""


async def program(request: web.Request) -> web.Response:
    """Start, stop or restart one program. Raises NotFound, StepRefused, NotRunning."""
    form, settings = await inputs.body(request, ProgramAct), request.app[NODE].settings
    if form.program in OURS and form.act == "stop":
        raise StepRefused("this page would end and nobody could start it here again; use `scanpost down`")
    programs = manager(settings)
    known = await in_thread(programs.programs)
    one = next((one for one in known if one.name == form.program), None)
    if one is None:
        raise NotFound(f"there is no program {form.program!r}")
    await record(request, f"program.{form.act}", f"program/{form.program}", {"state": one.state}, {"wanted": form.act})
    if form.program in OURS:
        asyncio.get_running_loop().call_later(SOON_S, os.kill, os.getpid(), signal.SIGTERM)
        return _done(request, "This page starts anew; it is back in a moment.", {"program": form.program})
    if form.act in ("stop", "restart"):
        await in_thread(lambda: programs.stop(form.program))
    if form.act in ("start", "restart"):
        await in_thread(lambda: programs.start(form.program))
    word = {"start": "was started", "stop": "was stopped", "restart": "was restarted"}[form.act]
    undo = {"stop": "start", "start": "stop"}.get(form.act, "")
    return _done(request, f"{form.program} {word}.", {"program": form.program, "act": form.act},
                 {"program": form.program, "act": undo} if undo else None, "/system/program")  # fmt: skip


async def scale(request: web.Request) -> web.Response:
    """Have so many dispatchers run, from now on. Raises NotRunning."""
    form, settings = await inputs.body(request, Dispatchers), request.app[NODE].settings
    before = dispatchers.dispatchers(settings)
    await in_thread(lambda: dispatchers.change(settings, manager(settings), form.number))
    await record(request, "dispatchers.change", "dispatchers", {"number": before}, {"number": form.number})
    text = "1 dispatcher runs." if form.number == 1 else f"{form.number} dispatchers run."
    return _done(
        request, text, {"number": form.number, "before": before}, {"number": str(before)}, "/system/dispatchers"
    )


async def debug(request: web.Request) -> web.Response:
    """Have an actor log its steps for 15 minutes, or those of the next associations; or end that now."""
    form, node = await inputs.body(request, Debug), request.app[NODE]
    now, who = node.clock.now(), request[SESSION].who
    before, after = await node.run(lambda: _change_debug(node.settings, form, who, now))
    await record(request, "log.level", f"actor/{form.actor}", before, after)
    body = {
        "actor": form.actor,
        "until": after.get("debug_until", now + following.LASTS_S),
        "associations": form.associations,
    }
    return _done(request, _debug_told(form), body, _debug_undo(form, before), "/system/debug")


def _change_debug(
    settings: Settings, form: Debug, who: str, now: float
) -> tuple[dict[str, float], dict[str, float]]:  # fmt: skip
    """What was touched, before and after, for the audit and the way back."""
    before: dict[str, float] = {}
    after: dict[str, float] = {}
    if form.steps:
        before["debug_until"] = {one.actor: one.until for one in loglevel.wishes(settings, now)}.get(form.actor, 0.0)
        if form.on:
            after["debug_until"] = loglevel.wish(settings, form.actor, who, now).until
        else:
            loglevel.end(settings, form.actor)
            after["debug_until"] = 0.0
    if form.calls:
        found = following.following(settings, now)
        before["debug_associations"] = found.left if found else 0
        if form.associations is not None:
            following.follow(settings, form.associations, who, now)
        else:
            following.end(settings)
        after["debug_associations"] = form.associations or 0
    return before, after


def _debug_told(form: Debug) -> str:
    if not form.on:
        return (
            f"The {form.actor} logs as usual again." if form.steps else "The receiver follows no associations any more."
        )
    told = [f"its steps for {loglevel.LASTS_S / 60:.0f} minutes"] if form.steps else []
    if form.associations is not None:
        told.append(f"the next {form.associations} associations" if form.associations > 1 else "the next association")
    return f"The {form.actor} logs {' and '.join(told)}."


def _debug_undo(form: Debug, before: dict[str, float]) -> dict[str, str] | None:
    """Takes back what this changed and nothing beside it; None: nothing was ended, or what was there cannot be made again."""
    steps, left = before.get("debug_until", 0.0) > 0, int(before.get("debug_associations", 0))
    fields: dict[str, str] = {"actor": form.actor}
    if not form.on:
        parts = [name for name, was in (("steps", steps), ("associations", left > 0)) if was]
        again = {"associations": str(left)} if left else {}
        both = {"what": "both"} if len(parts) == 2 else {}
        return fields | {"on": "true"} | again | both if parts else None
    if left:
        return fields | {"on": "true", "associations": str(left)}
    # 15 minutes more: their former end cannot be set again, and ending them would take more than was given.
    what = "both" if form.steps and form.calls else "steps" if form.steps else "associations"
    return None if steps else fields | {"on": "false", "what": what}


async def drain(request: web.Request) -> web.Response:
    """Refuse new images, transiently, or take them again."""
    form = await inputs.body(request, Drain)
    command = await acting.act(request, "node.drain" if form.on else "node.resume", {}, form.reason)
    if inputs.is_json(request):
        return acting.given(command)
    return acting.back(request, command, PAGE, "/system/drain", {"on": "false" if form.on else "true"})


async def clean(request: web.Request) -> web.Response:
    """Clean now, whatever the window."""
    form = await inputs.body(request, Clean)
    command = await acting.act(request, "clean.now", {}, form.reason, executor="cleaner")
    return acting.given(command) if inputs.is_json(request) else acting.back(request, command, PAGE)


def _done(
    request: web.Request, text: str, body: dict[str, Any], fields: dict[str, str] | None = None, undo: str = ""
) -> web.Response:
    request.app[HUB].poke()
    if inputs.is_json(request):
        return answers.given({**body, "told": text})
    return answers.go(request, PAGE, text, undo=undo if fields else "", fields=fields)
