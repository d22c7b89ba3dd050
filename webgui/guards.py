"""Middlewares and signals that protect every route: origin, session and role, headers, error pages.

Denied is what no rule allows: a route without an entry in the permission table answers 403. It must not know pages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from urllib.parse import quote, urlsplit

from aiohttp import hdrs, web

from protocol.accounts import User
from webgui import auth
from webgui.keys import CONFIG, HUB, SEQ, SESSION

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

API = "/api/v1/"
"""Below it programs are at home; only there tokens count."""

CHALLENGE = {hdrs.WWW_AUTHENTICATE: 'Bearer realm="scanpost"'}
"""RFC 9110 section 11.6.1: a 401 says what would help."""

SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})

CSP = (
    "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self';"
    " object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers would then send `Origin: null` with forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Need(StrEnum):
    """What a route asks of whoever calls it."""

    NOTHING = "nothing"
    """Open to everybody who reaches the port."""
    VIEWER = "viewer"
    """Any logged-in user."""
    OPERATOR = "operator"
    """Who runs the queue: retry, hold, pause, acknowledge; an admin may, too."""
    ADMIN = "admin"
    """An admin."""


MAY: Mapping[Need, frozenset[str]] = {
    Need.VIEWER: frozenset({"viewer", "operator", "admin"}),
    Need.OPERATOR: frozenset({"operator", "admin"}),
    Need.ADMIN: frozenset({"admin"}),
}
"""Roles that fulfil a need."""


PERMISSIONS: web.AppKey[dict[tuple[str, str], Need]] = web.AppKey("permissions", dict)
"""(method, canonical path) of every route: filled by routes.py."""


def may(user: User | None, need: Need) -> bool:
    """Whether a user's role is enough."""
    return need is Need.NOTHING or (user is not None and user.role in MAY[need])


@web.middleware
async def origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what another site makes a browser do (CSRF, cross-site websockets).

    A request with a token needs no origin: no browser adds one by itself, and cookies count nothing beside it.
    """
    is_socket = request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"
    if _has_token(request) and not is_socket:
        return await handler(request)
    if (request.method not in SAFE_METHODS or is_socket) and not from_here(request):
        raise web.HTTPForbidden(text="This request came from another site.")
    return await handler(request)


def from_here(request: web.Request) -> bool:
    """Sec-Fetch-Site if the browser sends it (only over TLS or to localhost), else Origin equal to Host, else no."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    claimed = request.headers.get(hdrs.ORIGIN)
    return claimed is not None and urlsplit(claimed).netloc.lower() == request.host.lower()


@web.middleware
async def permission(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find the session and hold it against the permission table."""
    resource = request.match_info.route.resource
    need = request.app[PERMISSIONS].get((request.method, resource.canonical)) if resource else None
    if need is None:
        if request.match_info.http_exception is not None:
            return await handler(request)  # 404, 405
        raise web.HTTPForbidden(text="Nobody may do this.")
    if need is Need.NOTHING:
        return await handler(request)
    if auth.bearer(request) is not None and not _has_token(request):
        raise web.HTTPUnauthorized(text=f"Tokens open addresses below {API} only.", headers=CHALLENGE)
    session = await auth.find_session(request)
    if session is None:
        raise _ask_to_log_in(request)
    request[SESSION], request[SEQ] = session, request.app[HUB].seq
    if not may(session.user, need):
        raise web.HTTPForbidden(text="Only admins may do this." if need is Need.ADMIN else "You may look, not change.")
    return await handler(request)


def _has_token(request: web.Request) -> bool:
    return request.path.startswith(API) and auth.bearer(request) is not None


def _ask_to_log_in(request: web.Request) -> web.HTTPException:
    if _has_token(request):
        return web.HTTPUnauthorized(text="This token is not valid (any more).", headers=CHALLENGE)
    if request.method in SAFE_METHODS and "text/html" in request.headers.get(hdrs.ACCEPT, ""):
        path = quote(request.rel_url.raw_path_qs, safe="")
        return web.HTTPSeeOther("/login" if path == "%2F" else f"/login?next={path}")
    return web.HTTPUnauthorized(text="Log in first.", headers=CHALLENGE)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Security headers on every answer; nothing but static files may be kept by browsers or proxies."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    if request.app[CONFIG].secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    response.headers.popall(hdrs.SERVER, None)
