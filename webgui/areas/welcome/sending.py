"""Sends the bundled study to this node, and on to a target that somebody chose. It must not know how to speak DICOM.

A process of its own sends it, as a stranger: what arrives came the normal way. What no rule wants is sent on by an act of the
person who asked, as the button of the series would do it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from protocol.spool import Spool
from webgui.node import Node

SAMPLE = (sys.executable, "-m", "scanpost.demo", "once")
SAMPLE_AE = "DEMO"
LONGEST_S = 60.0
LOOK_S = 0.25


@dataclass
class Sendings:
    """What of this is under way in the background, and what went wrong last."""

    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    sending: int = 0
    error: str = ""

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Let it go on by itself."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


SENDINGS = web.AppKey("sendings", Sendings)


def setup(app: web.Application) -> None:
    """What this area keeps in the application."""
    app[SENDINGS] = Sendings()
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


async def forward(node: Node, who: str, target: str, since: float) -> None:
    """See to it that the study that came in after `since` (seconds UTC) goes to `target`, whatever the rules say."""
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
    tasks = app[SENDINGS].tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
