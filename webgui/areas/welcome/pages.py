"""The page that guides through the first five minutes, and the test study. It must not know how to speak DICOM.

The study is sent by a process of its own, as a stranger: what arrives came the normal way.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from ipaddress import ip_address
from typing import Any

from aiohttp import web

from protocol.errors import SpoolMissing
from protocol.routing.checks.ourselves import ourselves
from protocol.spool import Spool
from webgui import answers, auth, inputs, publishing
from webgui.keys import ACCOUNTS, CONFIG, NODE, SESSION
from webgui.node import Node

SAMPLE = (sys.executable, "-m", "scanpost.demo", "once")
SAMPLE_AE = "DEMO"
LONGEST_S = 60.0
HOUR_S = 3600.0


async def look(request: web.Request) -> dict[str, Any]:
    """What of the first steps is done, as JSON data."""
    node, config = request.app[NODE], request.app[CONFIG]
    version = await publishing.current(node)

    def seen(spool: Spool) -> tuple[list[Any], list[dict[str, Any]]]:
        return spool.sightings.all()[:5], spool.arrivals.list(limit=20)

    try:
        sightings, arrivals = await node.spool(seen)
    except SpoolMissing:
        sightings, arrivals = [], []
    sample = next((one for one in arrivals if one["calling_ae"] == SAMPLE_AE), None)
    rules = [rule.name for rule in version.configuration.rules if rule.mode == "active"]
    latest = sample or (arrivals[0] if arrivals else None)
    deliveries = []
    if latest is not None:
        story = await node.spool(lambda spool: spool.arrivals.story(latest["id"]))
        deliveries = [{"target": one["target"], "state": one["state"]} for one in story["deliveries"]]
    return {
        "ae_title": config.ae_title, "port": config.dicom_port, "hosts": await node.run(lambda: hosts(node, config.dicom_host)),
        "callers": [{"calling_ae": one.calling_ae, "address": one.address, "last": one.last, "reason": one.reason}
                    for one in sightings],
        "targets": list(version.configuration.targets), "rules": rules, "deliveries": deliveries,
        "arrival": None if latest is None else {"id": latest["id"], "state": latest["state"], "images": latest["images"],
                                                "calling_ae": latest["calling_ae"], "opened": latest["opened"]},
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
    """Send the bundled study to this node, as a scanner would."""
    arrived, text = await _send(request.app[NODE])
    accounts, who, where = request.app[ACCOUNTS], request[SESSION].who, auth.address(request)
    await auth.in_thread(lambda: accounts.record(who, where, "sample sent", "test study", None, {"result": text}))
    if inputs.is_json(request):
        failed = {} if arrived else {"error": text}
        return answers.given({"sent": arrived, "text": text, **failed}, 200 if arrived else 503)
    return answers.go(request, "/welcome", text, "ok" if arrived else "bad")


async def _send(node: Node) -> tuple[bool, str]:
    environment = {**os.environ, "SCANPOST_HOME": str(node.settings.home)}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *SAMPLE, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, env=environment
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), LONGEST_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return False, f"The test study took longer than {LONGEST_S:.0f} s."
    if process.returncode == 0:
        told = out.decode("utf-8", "replace").strip().splitlines()
        return True, (told[-1] if told else "sent").capitalize() + "."
    return False, "The test study could not be sent: does the receiver run? See /system."
