"""The page that guides through the first five minutes, and the test study. It must not know how to speak DICOM."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from protocol.errors import SpoolMissing
from protocol.routing.checks.ourselves import ourselves
from protocol.spool import Spool
from webgui import answers, auth, inputs, publishing
from webgui.areas.welcome import sending
from webgui.areas.welcome.sending import SENDINGS
from webgui.inputs import Invalid
from webgui.keys import ACCOUNTS, CONFIG, NODE, SESSION
from webgui.node import Node
from webgui.stages import stages

CALLERS = 5


class Sample(BaseModel):
    """Sending the test study."""

    model_config = ConfigDict(extra="ignore")
    target: str = Field("", max_length=64, description="Where it goes, whatever the rules say; empty: the rules decide")


async def look(request: web.Request) -> dict[str, Any]:
    """What of the first steps is done, as JSON data."""
    node, config = request.app[NODE], request.app[CONFIG]
    version = await publishing.current(node)

    def seen(spool: Spool) -> tuple[list[Any], dict[str, Any] | None]:
        callers = [one for one in spool.sightings.all() if one.calling_ae != sending.SAMPLE_AE]
        latest = sending.newest(spool) or next(iter(spool.arrivals.list(limit=1)), None)
        story = None if latest is None else spool.arrivals.story(latest["id"], with_images=False)
        return callers[:CALLERS], story

    try:
        sightings, story = await node.spool(seen)
    except SpoolMissing:
        sightings, story = [], None
    rules = [rule.name for rule in version.configuration.rules if rule.mode == "active"]
    arrival = None if story is None else story["arrival"]
    return {
        "ae_title": config.ae_title, "port": config.dicom_port, "hosts": await node.run(lambda: hosts(node, config.dicom_host)),
        "callers": [{"calling_ae": one.calling_ae, "address": one.address, "last": one.last, "reason": one.reason}
                    for one in sightings],
        "targets": list(version.configuration.targets), "rules": rules,
        "sending": request.app[SENDINGS].sending > 0, "send_error": request.app[SENDINGS].error,
        "stages": [] if story is None else stages(story),
        "arrival": None if arrival is None else {"id": arrival["id"], "state": arrival["state"], "images": arrival["images"],
                                                 "calling_ae": arrival["calling_ae"], "opened": arrival["opened"]},
    }  # fmt: skip


def hosts(node: Node, told: str) -> list[str]:
    """Names and addresses to type into a scanner: as the settings say, else those of this machine."""
    if told:
        return [told]
    addresses = []
    for text in sorted(ourselves(node.settings).hosts):
        try:
            address = ip_address(text)
        except ValueError:
            continue
        if address.version == 4 and not address.is_loopback:
            addresses.append(text)
    return [*addresses[:4], socket.gethostname()]


async def show(request: web.Request) -> web.Response:
    """The guide."""
    return answers.page(request, "welcome/welcome.html", steps=await look(request))


async def given(request: web.Request) -> web.Response:
    """What of the first steps is done."""
    return answers.given(await look(request))


async def sample(request: web.Request) -> web.Response:
    """Send the bundled study to this node, as a scanner would; on to a target if one is named. A page does not wait for it: it
    shows the study on its way.
    """
    asked, node, sendings = await inputs.body(request, Sample), request.app[NODE], request.app[SENDINGS]
    if asked.target and asked.target not in (await publishing.current(node)).configuration.targets:
        raise Invalid({"target": f"there is no target '{asked.target}'"})
    accounts, session, where = request.app[ACCOUNTS], request[SESSION], auth.address(request)
    began = node.clock.now()

    async def send() -> tuple[bool, str]:
        sendings.sending, sendings.error = sendings.sending + 1, ""
        try:
            arrived, text = await sending.send(node)
        finally:
            sendings.sending -= 1
        sendings.error = "" if arrived else text
        told = {"result": text, "target": asked.target}
        await auth.in_thread(lambda: accounts.record(session.who, where, "sample sent", "test study", None, told))
        if arrived and asked.target:
            sendings.begin(sending.forward(node, session.who, asked.target, began))
        return arrived, text

    async def alone() -> None:
        await send()

    if not inputs.is_json(request):
        sendings.begin(alone())
        return answers.go(request, "/welcome")
    arrived, text = await send()
    failed = {} if arrived else {"error": text}
    return answers.given({"sent": arrived, "text": text, **failed}, 200 if arrived else 503)
