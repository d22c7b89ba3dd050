"""The page of alerts and its JSON. It must not judge what is wrong."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiohttp import web

from protocol.errors import NotFound
from protocol.spool import Spool
from webgui import answers, inputs, words
from webgui.areas.alerts import lines
from webgui.areas.alerts.models import PageQuery
from webgui.keys import NODE

WEEK_S = 7 * 86_400.0
MESSAGES = 30
SHOWN = 200  # of each kind: as many as anybody reads


async def show(request: web.Request) -> web.Response:
    """The page."""
    node, asked = request.app[NODE], inputs.query(request, PageQuery).test
    alerts, silences, letters = await node.spool(_look)
    command = None if asked is None else await node.spool(lambda spool: spool.commands.find(asked))
    if command is not None and command.kind != "alerts.test":
        raise NotFound("that was no test of a channel")
    standing = [one for one in alerts if one.state in ("open", "acknowledged")]
    silenced, cleared = ([one for one in alerts if one.state == state] for state in ("silenced", "cleared"))
    context = {
        "alerts": standing[:SHOWN],
        "silenced": silenced[:SHOWN],
        "cleared": cleared[:SHOWN],
        "open": sum(one.state == "open" for one in standing),
        "more": sum(max(0, len(some) - SHOWN) for some in (standing, silenced, cleared)),
        "silences": silences,
        "letters": [lines.letter_document(one) for one in letters],
        "channels": lines.channels(node.settings),
        "test": None if command is None else lines.ladder(command),
        "severity": lines.SEVERITY, "state": lines.STATE, "letter": lines.LETTER, "place": lines.place, "said": words.alert,
        "clear_after_s": node.settings.alerts.clear_after_s,
        "covers": {one.id: [alert.key for alert in alerts if alert.silence and alert.silence.id == one.id][:SHOWN] for one in silences},
    }  # fmt: skip
    return answers.page(request, "alerts/alerts.html", **context)


async def api(request: web.Request) -> web.Response:
    """The same for programs."""
    node = request.app[NODE]
    alerts, silences, _ = await node.spool(_look)
    return answers.given({
        "alerts": [lines.document(one, node.settings) for one in alerts],
        "silences": [asdict(one) for one in silences],
        "channels": lines.channels(node.settings),
    })  # fmt: skip


async def api_messages(request: web.Request) -> web.Response:
    """What was sent, waits, or was given up; the newest first."""
    letters = await request.app[NODE].spool(lambda spool: spool.letters.list(100))
    return answers.given({"messages": [lines.letter_document(one) for one in letters]})


def _look(spool: Spool) -> tuple[Any, Any, Any]:
    return spool.alerts.list(cleared_within_s=WEEK_S), spool.alerts.silences(), spool.letters.list(MESSAGES)
