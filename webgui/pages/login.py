"""Log-in and log-out. It must not say whether a name exists."""

from __future__ import annotations

import math

import aiohttp_jinja2
from aiohttp import web

from protocol.errors import AccessDenied
from webgui import auth
from webgui.answers import local_path
from webgui.forms import text_field
from webgui.keys import ACCOUNTS


async def show(request: web.Request) -> web.StreamResponse:
    """The form; who is logged in already goes on."""
    if await auth.find_session(request):
        raise web.HTTPSeeOther(local_path(request.query.get("next", "")))
    return await _form(request, request.query.get("next", ""))


async def submit(request: web.Request) -> web.StreamResponse:
    """Check name and password, open a session, go where the visitor wanted to."""
    form = await request.post()
    name, going_to = text_field(form, "name").strip().lower(), text_field(form, "next")
    try:
        user = await auth.check_password(request, name, text_field(form, "password"))
        answer = web.Response(status=303, headers={"Location": local_path(going_to)})
        await auth.log_in(request, answer, user)
    except auth.TooManyAttempts as exc:
        minutes = math.ceil(exc.wait_s / 60)
        answer = await _form(request, going_to, name, f"Too many failed attempts. Try again in {minutes} min.", 429)
        answer.headers["Retry-After"] = str(math.ceil(exc.wait_s))
    except AccessDenied:
        answer = await _form(request, going_to, name, "Name or password is wrong.", 403)
    return answer


async def leave(request: web.Request) -> web.StreamResponse:
    """End the session."""
    answer = web.Response(status=303, headers={"Location": "/login"})
    await auth.log_out(request, answer)
    return answer


async def _form(
    request: web.Request, going_to: str, name: str = "", error: str = "", status: int = 200
) -> web.Response:
    needs_setup = await auth.in_thread(request.app[ACCOUNTS].needs_setup)
    context = {"next": going_to, "name": name, "error": error, "needs_setup": needs_setup}
    return aiohttp_jinja2.render_template("login.html", request, context, status=status)
