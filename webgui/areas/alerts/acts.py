"""What people do about alerts: take care, silence for a while, try a way of telling. Forms and programs alike.
It must not send anything: the bookkeeper does.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiohttp import web

from protocol.spool.commands import Command
from webgui import acting, answers, inputs, words
from webgui.areas.alerts import lines
from webgui.areas.alerts.models import Acknowledge, Channel, NewSilence, OldSilence
from webgui.keys import HUB, NODE, SESSION
from webgui.recorded import record
from webgui.viewing import zone_of

PAGE = "/alerts"
TEST_WAIT_S = 30.0


async def acknowledge(request: web.Request) -> web.Response:
    """Nobody is reminded any more."""
    form, by = await inputs.body(request, Acknowledge), request[SESSION].who
    one = await request.app[NODE].spool(lambda spool: spool.alerts.acknowledge(form.alert, by, form.note))
    await record(request, "alert.acknowledge", f"alert/{form.alert}", after={"note": form.note})
    return _done(
        request, "You take care of it: nobody is reminded any more.", lines.document(one, request.app[NODE].settings)
    )


async def silence(request: web.Request) -> web.Response:
    """Nobody is told of what matches until then."""
    form, by, node = await inputs.body(request, NewSilence), request[SESSION].who, request.app[NODE]
    until = node.clock.now() + form.hours * 3600
    made = await node.spool(lambda spool: spool.alerts.silence(form.pattern, until, by, form.reason))
    await record(request, "alert.silence", f"silence/{made.id}", after=asdict(made))
    text = f"{made.pattern} is silenced until {words.local_time(made.until, made.made, zone_of(request))}."
    return _done(request, text, asdict(made), "/alerts/unsilence", {"silence": str(made.id)})


async def unsilence(request: web.Request) -> web.Response:
    """What it covered and still stands is told."""
    form, by = await inputs.body(request, OldSilence), request[SESSION].who
    await request.app[NODE].spool(lambda spool: spool.alerts.unsilence(form.silence, by))
    await record(request, "alert.unsilence", f"silence/{form.silence}")
    return _done(request, "The silence has ended.", {"silence": form.silence, "ended": True})


async def test(request: web.Request) -> web.Response:
    """The bookkeeper sends it, as it sends the real ones; its answer has every step."""
    form, by = await inputs.body(request, Channel), request[SESSION].who
    command: Command = await request.app[NODE].act(
        "alerts.test", by, {"channel": form.channel}, executor="bookkeeper", wait_s=TEST_WAIT_S
    )
    return acting.given(command) if inputs.is_json(request) else answers.go(request, f"{PAGE}?test={command.id}")


def _done(
    request: web.Request, text: str, body: dict[str, Any], undo: str = "", fields: dict[str, str] | None = None
) -> web.Response:
    request.app[HUB].poke()
    if inputs.is_json(request):
        return answers.given(body)
    return answers.go(request, PAGE, text, undo=undo, fields=fields)
