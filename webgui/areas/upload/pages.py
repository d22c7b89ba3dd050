"""The page of uploads and what it answers. It must not store anything itself."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from webgui import answers, auth
from webgui.areas.upload.placing import CALLING_AE
from webgui.areas.upload.taking import MOST_BYTES, MOST_FILES, UPLOADS, Report
from webgui.keys import ACCOUNTS, NODE, SESSION

OUTCOMES = {
    "stored": ("ok", "stored"), "duplicate": ("off", "was here already"), "quarantined": ("warn", "quarantined"),
    "skipped": ("off", "left out"), "failed": ("bad", "failed"),
}  # fmt: skip


async def show(request: web.Request) -> web.Response:
    """GET /upload."""
    return _page(request, None)


def _page(request: web.Request, report: dict[str, Any] | None) -> web.Response:
    return answers.page(request, "upload/upload.html", report=report, outcomes=OUTCOMES, calling_ae=CALLING_AE,
                        most_files=MOST_FILES, most_gb=int(MOST_BYTES / 1e9))  # fmt: skip


async def _take(request: web.Request) -> Report:
    node, where = request.app[NODE], auth.address(request)
    report = await request.app[UPLOADS].take(request, node, where)
    accounts, who, told = request.app[ACCOUNTS], request[SESSION].who, report.plain()
    # Counts and numbers alone: a file's name may be a patient's.
    summary = {"counts": told["counts"], "series": told["series"][:100], "bytes": told["bytes"]}
    await auth.in_thread(lambda: accounts.record(who, where, "upload", "spool", None, summary))
    await node.nudge()
    return report


async def submit(request: web.Request) -> web.Response:
    """POST /upload."""
    return _page(request, (await _take(request)).plain())


async def api(request: web.Request) -> web.Response:
    """POST /api/v1/upload."""
    return answers.given((await _take(request)).plain())
