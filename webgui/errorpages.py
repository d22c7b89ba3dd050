"""Error answers: a page for browsers, one line of JSON for programs. It must not show what went wrong inside."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlsplit

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
from webgui.answers import local_path
from webgui.auth import bearer
from webgui.guards import PERMISSIONS, SAFE_METHODS
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
    412: "Somebody else was first",
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
        kept = (hdrs.ALLOW, hdrs.WWW_AUTHENTICATE, hdrs.RETRY_AFTER)
        allow = {str(name): exc.headers[name] for name in kept if name in exc.headers}
        own_text = exc.text if exc.text and exc.text != f"{exc.status}: {exc.reason}" else ""
        return await _answer(request, exc.status, own_text, allow)
    except Invalid as exc:
        return await _answer(request, 422, str(exc), {}, exc.fields)
    except ScanpostError as exc:
        status = next(status for kind, status in STATUS if isinstance(exc, kind))
        if status == 503:
            log.warning("%s", exc, extra={"action": "webgui_refused", "path": request.path})
        text = "; ".join(exc.lines()) if isinstance(exc, RoutingError) else str(exc)
        return await _answer(request, status, text, {})
    except Exception:
        log.exception("request failed", extra={"action": "webgui_request_failed", "path": request.path})
        return await _answer(request, 500, "The log of webgui has the details.", {})


async def _answer(
    request: web.Request, status: int, text: str, headers: dict[str, str], fields: dict[str, str] | None = None
) -> web.Response:
    title = TITLES.get(status, "Something went wrong")
    if request.path.startswith("/api/") or "text/html" not in request.headers.get(hdrs.ACCEPT, ""):
        body = {"error": text or title} | ({"fields": fields} if fields else {})
        return web.json_response(body, status=status, headers=headers)
    await _fill_context(request)
    back = _back(request)
    context = {"status": status, "title": title, "text": text, "back": back, "log_in": ""}
    if status == 401 and request.method not in SAFE_METHODS and bearer(request) is None:
        log_in = f"/login?next={quote(back or '/', safe='')}"
        context |= {"title": "Your session has ended", "text": "", "log_in": log_in}
    response = aiohttp_jinja2.render_template("error.html", request, context, status=status)
    response.headers.update(headers)
    return response


def _back(request: web.Request) -> str:
    """The page that a refused form was on, as the browser says; empty: none of ours, or one that cannot be opened."""
    try:
        came = urlsplit(request.headers.get(hdrs.REFERER, ""))
    except ValueError:
        return ""
    if request.method != hdrs.METH_POST or came.netloc.lower() != request.host.lower():
        return ""
    path = local_path(f"{came.path}?{came.query}" if came.query else came.path)
    # A form that was shown again stands at the address that takes it, where there is nothing to look at.
    known = request.app.get(PERMISSIONS, {})
    takes_only = (hdrs.METH_POST, came.path) in known and (hdrs.METH_GET, came.path) not in known
    return "" if path == "/" or takes_only else path


async def _fill_context(request: web.Request) -> None:
    """What templates need, where the request was refused before it was put there."""
    if aiohttp_jinja2.REQUEST_CONTEXT_KEY not in request:
        request[aiohttp_jinja2.REQUEST_CONTEXT_KEY] = made = {}
        for processor in request.config_dict[aiohttp_jinja2.APP_CONTEXT_PROCESSORS_KEY]:
            made.update(await processor(request))
