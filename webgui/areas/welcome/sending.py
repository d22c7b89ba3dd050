"""Sends the bundled study to this node, and on to a target that somebody chose. It must not know how to speak DICOM.

A process of its own sends it, as a stranger: what arrives came the normal way. What no rule wants is sent on by an act of the
person who asked, as the button of the series would do it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from aiohttp import web

from protocol.spool import Spool
from webgui.node import Node

SAMPLE = (sys.executable, "-m", "scanpost.demo", "once")
SAMPLE_AE = "DEMO"
LONGEST_S = 60.0
LOOK_S = 0.25
Tasks = set[asyncio.Task[None]]
FORWARDS: web.AppKey[Tasks] = web.AppKey("forwards", set)


def setup(app: web.Application) -> None:
    """What this area keeps in the application."""
    forwards: Tasks = set()
    app[FORWARDS] = forwards
    app.on_shutdown.append(_end)


async def send(node: Node) -> tuple[bool, str]:
    """Whether it arrived, and what came of it in words."""
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
        told = (out.decode("utf-8", "replace").strip().splitlines() or ["sent"])[-1].partition(" images")
        return True, f"{told[0][:1].upper()}{told[0][1:]}{told[1]}."
    return False, "The test study could not be sent: does the receiver run? See System."


def forward(app: web.Application, node: Node, who: str, target: str, since: float) -> None:
    """From now on see to it that the study that came in after `since` (seconds UTC) goes to `target`, whatever the rules say."""
    task = asyncio.create_task(_forward(node, who, target, since))
    app[FORWARDS].add(task)
    task.add_done_callback(app[FORWARDS].discard)


async def _forward(node: Node, who: str, target: str, since: float) -> None:
    async with asyncio.timeout(LONGEST_S + node.settings.router.idle_s):
        while True:
            row = await node.spool(lambda spool: newest(spool, since))
            if row is not None and row["state"] not in ("open", "closed"):
                break
            await asyncio.sleep(LOOK_S)
    there = await node.spool(lambda spool: [one["target"] for one in spool.deliveries.of_arrival(row["id"])])
    if target not in there:
        wanted = {"ids": [row["id"]], "targets": [target], "reason": "test study"}
        await node.act("series.route", who, wanted)


def newest(spool: Spool, since: float = 0.0) -> dict[str, Any] | None:
    """The latest test study that came in since then (seconds UTC)."""
    rows = spool.arrivals.list(limit=20)
    return next((one for one in rows if one["calling_ae"] == SAMPLE_AE and one["opened"] >= since), None)


async def _end(app: web.Application) -> None:
    forwards = app[FORWARDS]
    for task in forwards:
        task.cancel()
    await asyncio.gather(*forwards, return_exceptions=True)
