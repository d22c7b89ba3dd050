"""Answers that many handlers give: a page, a redirect with a word about what was done, JSON. It must not know areas."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any
from urllib.parse import quote, unquote

import aiohttp_jinja2
from aiohttp import hdrs, web

from protocol.records import record
from webgui.keys import CONFIG

_LOCAL_PATH = re.compile(r"/(?![/\\])[^\x00-\x1f\\]*\Z")
FLASH = "scanpost-flash"
FLASH_S = 30
URL_SIGNS = "/?&=%#:@!$'()*+,;[]~"
"""What stands in an address as it is; whatever else a name in it holds, line ends above all, is escaped."""
LONGEST_TEXT = 400  # characters: a cookie has 4 kB


@record
class Flash:
    """A word about what was done, shown once on the next page. `undo`: a path that takes it back by POST, and its fields."""

    text: str
    level: str = "ok"
    undo: str = ""
    fields: dict[str, str] | None = None


def local_path(path: str) -> str:
    """A path of ours that came with a request; anything that could lead elsewhere becomes the dashboard."""
    return path if _LOCAL_PATH.match(path) else "/"


def wants_page(request: web.Request) -> bool:
    """Whether a browser asks for a page."""
    return "text/html" in request.headers.get(hdrs.ACCEPT, "")


def page(request: web.Request, template: str, status: int = 200, **context: Any) -> web.Response:
    """A page of a template. What was to be said once is said on it."""
    flash = _flash(request)
    response = aiohttp_jinja2.render_template(template, request, {"flash": flash, **context}, status=status)
    if FLASH in request.cookies:
        response.del_cookie(FLASH, path="/")
    return response


def go(
    request: web.Request, path: str, text: str = "", level: str = "ok", undo: str = "",
    fields: dict[str, str] | None = None,
) -> web.Response:  # fmt: skip
    """After a form: see `path`, where `text` is shown once. `path` is our own; a name in it may come from the request."""
    response = web.Response(status=303, headers={hdrs.LOCATION: quote(local_path(path), safe=URL_SIGNS)})
    if text:
        told = json.dumps(asdict(Flash(text[:LONGEST_TEXT], level, undo, fields)), separators=(",", ":"))
        response.set_cookie(FLASH, quote(told, safe=""), max_age=FLASH_S, path="/", httponly=True, samesite="Lax",
                            secure=request.app[CONFIG].secure)  # fmt: skip
    return response


def given(body: Any, status: int = 200) -> web.Response:
    """JSON."""
    return web.json_response(body, status=status, dumps=_dumps)


def _dumps(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=str)


def _flash(request: web.Request) -> Flash | None:
    # Only the browser itself can have it set: what it says is text, and its path must be one of ours.
    try:
        told = json.loads(unquote(request.cookies[FLASH]))
        flash = Flash(str(told["text"])[:LONGEST_TEXT], str(told["level"]), str(told["undo"]), told["fields"])
    except (KeyError, ValueError, TypeError):
        return None
    ours = not flash.undo or (flash.undo.startswith("/") and not flash.undo.startswith(("//", "/\\")))
    good = isinstance(flash.fields, dict | None) and flash.level in ("ok", "warn", "bad")
    return flash if ours and good else None
