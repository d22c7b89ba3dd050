"""The page of the logs, its JSON, and a window of it as a file. It must not change anything."""

from __future__ import annotations

import json
import time
from typing import Any

from aiohttp import hdrs, web

from webgui import answers, inputs
from webgui.areas.logs import reading
from webgui.areas.logs.asked import LogQuery, written
from webgui.keys import NODE

LEVEL = {"debug": "off", "info": "off", "warning": "warn", "error": "bad", "critical": "bad", "": "off"}
MOST_IN_FILE = 5000
SHOWN_FIELDS = 12


async def show(request: web.Request) -> web.Response:
    """The newest lines, or older ones."""
    asked = inputs.query(request, LogQuery)
    if asked.format:
        return await _file(request, asked)
    node = request.app[NODE]
    found = await node.run(lambda: reading.page(node.settings.log_folder, asked.wanted, asked.place, asked.limit))
    context: dict[str, Any] = {
        "lines": [(line, _fields(line)) for line in found.lines], "asked": asked, "cut": found.cut, "level": LEVEL,
        "programs": list(await node.run(lambda: reading.files(node.settings.log_folder))),
        "first": f"/logs?{asked.query()}" if asked.after else "",
        "next": f"/logs?{asked.query(after=written(found.next))}" if found.next is not None else "",
        "file": f"/logs?{asked.query(after=asked.after, format='jsonl')}",
    }  # fmt: skip
    return answers.page(request, "logs/logs.html", **context)


async def api(request: web.Request) -> web.Response:
    """The same for programs."""
    asked, node = inputs.query(request, LogQuery), request.app[NODE]
    if asked.format:
        return await _file(request, asked)
    found = await node.run(lambda: reading.page(node.settings.log_folder, asked.wanted, asked.place, asked.limit))
    lines = [
        {"time": line.at, "program": line.file.partition(".log")[0], "level": line.level, "actor": line.actor,
         "action": line.action, "fields": dict(line.fields), "text": "" if line.action else line.text}
        for line in found.lines
    ]  # fmt: skip
    return answers.given({"lines": lines, "next": written(found.next) or None, "cut": found.cut})


async def _file(request: web.Request, asked: LogQuery) -> web.Response:
    node = request.app[NODE]
    found = await node.run(lambda: reading.page(node.settings.log_folder, asked.wanted, asked.place, MOST_IN_FILE))
    name = time.strftime("scanpost-log-%Y%m%d-%H%M%S.jsonl", time.gmtime(node.clock.now()))
    text = "".join(f"{line.text}\n" for line in reversed(found.lines))
    headers = {hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"'}
    return web.Response(text=text, content_type="application/x-ndjson", charset="utf-8", headers=headers)


def _fields(line: reading.Line) -> list[tuple[str, str]]:
    """What a line tells beside its action, short ones first as they stand; a traceback at the end."""
    shown: list[tuple[str, Any]] = [
        (name, value) for name, value in line.fields.items() if name not in ("pid", "exception")
    ]
    texts = [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
        for name, value in shown
    ]
    return [(name, text) for name, text in texts if text != "null"][:SHOWN_FIELDS]
