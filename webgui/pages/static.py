"""Static files. It must not touch the disk."""

from __future__ import annotations

from aiohttp import web

from webgui.keys import ASSETS


async def show(request: web.Request) -> web.Response:
    """One file of static/."""
    return request.app[ASSETS].answer(request)
