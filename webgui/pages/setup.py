"""First run: the one-time link that makes the first admin. There is no default password anywhere."""

from __future__ import annotations

import aiohttp_jinja2
from aiohttp import web

from protocol.accounts.passwords import PASSWORD_MIN
from protocol.errors import AccessDenied, AccountError
from webgui import auth
from webgui.forms import text_field
from webgui.keys import ACCOUNTS, HASHING, NODE


async def show(request: web.Request) -> web.StreamResponse:
    """The form, if the link is good."""
    return await _form(request, request.query.get("token", ""))


async def submit(request: web.Request) -> web.StreamResponse:
    """Make the admin and log in."""
    form = await request.post()
    token, name, password = (text_field(form, field) for field in ("token", "name", "password"))
    name = name.strip().lower()
    if password != text_field(form, "again"):
        return await _form(request, token, name, "The two passwords differ.", 422)
    accounts, where = request.app[ACCOUNTS], auth.address(request)
    try:
        async with request.app[HASHING]:
            user = await auth.in_thread(lambda: accounts.use_setup_token(token, name, password, address=where))
    except AccessDenied:
        return await _form(request, "")
    except AccountError as exc:
        return await _form(request, token, name, f"{str(exc)[:1].upper()}{str(exc)[1:]}.", 422)
    answer = web.Response(status=303, headers={"Location": "/welcome" if NODE in request.app else "/"})
    await auth.log_in(request, answer, user)
    return answer


async def _form(request: web.Request, token: str, name: str = "", error: str = "", status: int = 200) -> web.Response:
    accounts = request.app[ACCOUNTS]
    valid = await auth.in_thread(lambda: accounts.is_setup_token(token))
    done = not await auth.in_thread(accounts.needs_setup)
    context = {"token": token, "valid": valid, "done": done, "name": name, "error": error, "minimum": PASSWORD_MIN}
    return aiohttp_jinja2.render_template("setup.html", request, context, status=status if valid else 410)
