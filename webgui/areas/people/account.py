"""One's own account: password, colours and time zone, sessions, tokens; the page of a one-time link; revealing.
It must not take a token for its owner.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import aiohttp_jinja2
from aiohttp import web

from protocol.accounts.passwords import PASSWORD_MIN
from protocol.errors import AccessDenied, AccountError
from webgui import answers, auth, inputs, patients
from webgui import columns as list_columns
from webgui.areas.people import deeds, words
from webgui.areas.people.models import ById, LinkPassword, NewToken, OwnPassword, OwnPreferences, Reveal, TickedColumns
from webgui.areas.people.users import number
from webgui.keys import ACCOUNTS, HASHING

DIFFER = "The two passwords differ."


async def show(request: web.Request) -> web.Response:
    """The page."""
    return await _page(request)


async def password(request: web.Request) -> web.StreamResponse:
    """A new password. All sessions end, and this browser gets a new one."""
    own, fields = deeds.person(request), {}
    name = own.session.user.name
    try:
        wanted = await inputs.body(request, OwnPassword)
        if wanted.password != wanted.again:
            raise inputs.Invalid({"again": DIFFER})
        await auth.check_password(request, name, wanted.current)
        async with request.app[HASHING]:
            await auth.in_thread(lambda: own.accounts.set_password(name, wanted.password, **own.mark))
    except inputs.Invalid as exc:
        fields = exc.fields
    except auth.TooManyAttempts as exc:
        fields = {"current": f"Too many failed attempts. Try again in {exc.wait_s / 60:.0f} min."}
    except AccessDenied:
        fields = {"current": "This is not your password."}
    except AccountError as exc:
        fields = {"password": words.sentence(str(exc))}
    if fields:
        return await _page(request, 422, errors=fields)
    answer = answers.go(request, "/account", "Your password is changed; your other sessions have ended.")
    await auth.log_in(request, answer, own.session.user)
    return answer


async def prefer(request: web.Request) -> web.Response:
    """Colours and time zone."""
    own = deeds.person(request)
    try:
        wanted = await inputs.body(request, OwnPreferences)
        await save(own, wanted)
    except (inputs.Invalid, AccountError) as exc:
        fields = exc.fields if isinstance(exc, inputs.Invalid) else {"time_zone": words.sentence(str(exc))}
        return await _page(request, 422, errors=fields)
    return answers.go(request, "/account", "Saved.")


async def columns(request: web.Request) -> web.Response:
    """Which columns of a list, from the form that stands at the list."""
    own, wanted = deeds.person(request), await inputs.body(request, TickedColumns)
    kept = list_columns.chosen(wanted.name, wanted.columns)
    user = own.session.user.name
    await auth.in_thread(lambda: own.accounts.set_columns(user, wanted.name, kept, address=own.address))
    return answers.go(request, answers.local_path(wanted.back))


async def save(own: deeds.Doer, wanted: OwnPreferences) -> None:
    """Keep them. Raises AccountError."""
    user = own.session.user
    kept = replace(user.preferences, theme=wanted.theme, time_zone=wanted.time_zone)
    await auth.in_thread(lambda: own.accounts.set_preferences(user.name, kept, address=own.address))


async def end_sessions(request: web.Request) -> web.Response:
    """End one of one's sessions, or all but this one."""
    own, wanted = deeds.person(request), await inputs.body(request, ById)
    name = own.session.user.name
    if wanted.id == "all":
        count = await auth.in_thread(lambda: own.accounts.sessions.revoke_all(name, but=own.session.id, **own.mark))
        return answers.go(request, "/account", f"{count} other sessions ended.")
    await auth.in_thread(lambda: own.accounts.sessions.revoke(name, wanted.id, **own.mark))
    return answers.go(request, "/account", "The session ended.")


async def add_token(request: web.Request) -> web.Response:
    """Make a token and show it this once."""
    deeds.person(request)
    values = await inputs.values(request, NewToken)
    try:
        wanted = inputs.judged(NewToken, values)
        made = await auth.in_thread(lambda: deeds.make_token(request, wanted))
    except (inputs.Invalid, AccountError) as exc:
        fields = exc.fields if isinstance(exc, inputs.Invalid) else {"name": words.sentence(str(exc))}
        return await _page(request, 422, errors={f"token_{key}": text for key, text in fields.items()}, values=values)
    return await _page(request, made=made)


async def revoke_token(request: web.Request) -> web.Response:
    """Revoke one of one's tokens."""
    own, wanted = deeds.person(request), await inputs.body(request, ById)
    await auth.in_thread(lambda: own.accounts.tokens.revoke(own.session.user.name, number(wanted.id), **own.mark))
    return answers.go(request, "/account", "The token is revoked; what used it is refused from now on.")


async def reveal(request: web.Request) -> web.Response:
    """Show patient data on a page for a while; that stands in the audit."""
    wanted = await inputs.body(request, Reveal)
    path = answers.local_path(wanted.path)
    await patients.reveal(request, path.partition("?")[0])
    return answers.go(request, path)


# ---- the one-time link ------------------------------------------------------------------------------------------
async def link(request: web.Request) -> web.StreamResponse:
    """The form, if the link is good."""
    return await _link_form(request, request.query.get("token", ""))


async def use_link(request: web.Request) -> web.StreamResponse:
    """Set the password and log in."""
    wanted, accounts, where = await inputs.body(request, LinkPassword), request.app[ACCOUNTS], auth.address(request)
    if wanted.password != wanted.again:
        return await _link_form(request, wanted.token, DIFFER, 422)
    try:
        async with request.app[HASHING]:
            user = await auth.in_thread(lambda: accounts.links.use(wanted.token, wanted.password, address=where))
    except AccessDenied:
        return await _link_form(request, "")
    except AccountError as exc:
        return await _link_form(request, wanted.token, words.sentence(str(exc)), 422)
    answer = web.Response(status=303, headers={"Location": "/"})
    await auth.log_in(request, answer, user)
    return answer


async def _link_form(request: web.Request, token: str, error: str = "", status: int = 200) -> web.Response:
    accounts = request.app[ACCOUNTS]
    name = await auth.in_thread(lambda: accounts.links.user_of(token))
    context = {"token": token, "name": name, "error": error, "minimum": PASSWORD_MIN}
    return aiohttp_jinja2.render_template("people/reset.html", request, context, status=status if name else 410)


async def _page(request: web.Request, status: int = 200, **more: Any) -> web.Response:
    own = deeds.doer(request)
    name = own.session.user.name
    sessions, tokens = await auth.in_thread(lambda: deeds.parts(own.accounts, name, own.session.id))
    user = await auth.in_thread(lambda: deeds.named(own.accounts, name))
    context = {
        "person": user, "own": own.session, "sessions": sessions, "tokens": tokens, "now": own.accounts.now(),
        "zones": deeds.zones(), "themes": words.THEMES, "lifetimes": words.LIFETIMES, "minimum": PASSWORD_MIN,
        "scopes": words.SCOPES[: 1 + ["viewer", "operator", "admin"].index(user.role)],
        "phi": patients.sees(request) or patients.may_reveal(request), "errors": {}, "values": {}, "made": None,
    }  # fmt: skip
    return answers.page(request, "people/account.html", status=status, **{**context, **more})
