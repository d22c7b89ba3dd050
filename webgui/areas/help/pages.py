"""The pages of help. It must not read the node."""

from __future__ import annotations

from aiohttp import web

from webgui import answers
from webgui.keys import CONFIG
from webgui.sections import SECTIONS

KEYS = (
    ("g then a letter", "go to an area"),
    ("/", "search box"),
    ("j and k", "next and previous row"),
    ("Enter", "open the row"),
    ("Escape", "leave a field, close a dialog"),
)


async def show(request: web.Request) -> web.Response:
    """The page."""
    return answers.page(request, "help/help.html", keys=KEYS, areas=SECTIONS, point_at=request.app[CONFIG])
