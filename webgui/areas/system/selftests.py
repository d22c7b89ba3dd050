"""The self-test on the page: started, watched. It must not send or follow anything; a process of its own does (actors/selftest)."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from webgui import answers, inputs, publishing
from webgui.areas.system.models import SelfTest
from webgui.inputs import Invalid
from webgui.jobs import Job, JobRefused
from webgui.keys import NODE, SELF_TESTS, SESSION


async def start(request: web.Request) -> web.Response:
    """Begin one; the acts in it are those of who asked."""
    asked, node, session = await inputs.body(request, SelfTest), request.app[NODE], request[SESSION]
    if asked.target and asked.target not in (await publishing.current(node)).configuration.targets:
        raise Invalid({"target": f"there is no target '{asked.target}'"})
    wanted = {"home": str(node.settings.home), "by": session.who, "target": asked.target}
    try:
        job = await request.app[SELF_TESTS].start(session.user.name, json.dumps(wanted))
    except JobRefused as exc:
        raise web.HTTPConflict(text=f"Not now: {exc}.") from exc
    if inputs.is_json(request):
        return answers.given({"id": job.id}, 202)
    return answers.go(request, f"/system?selftest={job.id}#selftest")


async def look(request: web.Request) -> web.Response:
    """How far one is."""
    job = found(request, request.match_info["id"])
    if job is None:
        raise web.HTTPNotFound(text="There is no such self-test of yours.")
    return answers.given(told(job))


def found(request: web.Request, id: str) -> Job | None:
    """A self-test of who asks."""
    return request.app[SELF_TESTS].find(id, request[SESSION].user.name)


def told(job: Job) -> dict[str, Any]:
    """As the page and programs see it."""
    result = job.result or {}
    error = job.error or str(result.get("error", ""))
    return {
        "id": job.id, "running": job.state == "running", "ok": job.state == "done" and result.get("ok") is True,
        "steps": result.get("steps", []), "error": error, "target": result.get("target", ""),
        "study_uid": result.get("study_uid", ""), "arrival": result.get("arrival") or None,
    }  # fmt: skip
