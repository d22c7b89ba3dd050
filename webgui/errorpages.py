"""Error answers: a page for browsers, one line of JSON for programs. It must not show what went wrong inside."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import aiohttp_jinja2
from aiohttp import hdrs, web

from protocol.errors import (
    AccessDenied,
    AccountError,
    NotFound,
    RoutingConflict,
    RoutingError,
    RuleSyntaxError,
    ScanpostError,
    StepRefused,
    UnreadableHeader,
)
from webgui.inputs import Invalid

# What the node refuses, in its own words; the first that fits.
STATUS: tuple[tuple[type[ScanpostError], int], ...] = (
    (NotFound, 404), (RoutingConflict, 409), (StepRefused, 409), (RoutingError, 422), (RuleSyntaxError, 422),
    (UnreadableHeader, 422), (AccessDenied, 403), (AccountError, 422), (ScanpostError, 503),
)  # fmt: skip

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TITLES = {
    401: "Log in first",
    403: "Not allowed",
    404: "There is no such page",
    405: "Not possible here",
    409: "Not possible now",
    413: "Too much data",
    422: "Something is missing or wrong",
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
    except Invalid as exc:
        return _answer(request, 422, str(exc), {}, exc.fields)
    except ScanpostError as exc:
        status = next(status for kind, status in STATUS if isinstance(exc, kind))
        if status == 503:
            log.warning("%s", exc, extra={"action": "webgui_refused", "path": request.path})
        text = "; ".join(exc.lines()) if isinstance(exc, RoutingError) else str(exc)
        return _answer(request, status, text, {})
    except Exception:
        log.exception("request failed", extra={"action": "webgui_request_failed", "path": request.path})
        return _answer(request, 500, "The log of webgui has the details.", {})


def _answer(
    request: web.Request, status: int, text: str, headers: dict[str, str], fields: dict[str, str] | None = None
) -> web.Response:
    title = TITLES.get(status, "Something went wrong")
    if request.path.startswith("/api/") or "text/html" not in request.headers.get(hdrs.ACCEPT, ""):
        body = {"error": text or title} | ({"fields": fields} if fields else {})
        return web.json_response(body, status=status, headers=headers)
    context = {"status": status, "title": title, "text": text}
    response = aiohttp_jinja2.render_template("error.html", request, context, status=status)
    response.headers.update(headers)
    return response
