"""Error answers: a page for browsers, one line of JSON for programs. It must not show what went wrong inside."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import aiohttp_jinja2
from aiohttp import hdrs, web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TITLES = {
    401: "Log in first",
    403: "Not allowed",
    404: "There is no such page",
    405: "Not possible here",
    413: "Too much data",
    500: "Something broke on our side",
    503: "Not available now",
}
log = logging.getLogger(__name__)


@web.middleware
async def error_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into answers; redirects pass."""
    try:
        return await handler(request)
    except web.HTTPException as exc:
        if exc.status < 400:
            raise
        allow = {str(hdrs.ALLOW): exc.headers[hdrs.ALLOW]} if hdrs.ALLOW in exc.headers else {}
        own_text = exc.text if exc.text and exc.text != f"{exc.status}: {exc.reason}" else ""
        return _answer(request, exc.status, own_text, allow)
    except Exception:
        log.exception("request failed", extra={"action": "webgui_request_failed", "path": request.path})
        return _answer(request, 500, "The log of webgui has the details.", {})


def _answer(request: web.Request, status: int, text: str, headers: dict[str, str]) -> web.Response:
    title = TITLES.get(status, "Something went wrong")
    if "text/html" not in request.headers.get(hdrs.ACCEPT, ""):
        return web.json_response({"error": text or title}, status=status, headers=headers)
    context = {"status": status, "title": title, "text": text}
    response = aiohttp_jinja2.render_template("error.html", request, context, status=status)
    response.headers.update(headers)
    return response
