"""The pages of admins: all users, one user, what is done to them. It must not show a password or keep a link."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from protocol.errors import AccountError
from webgui import answers, auth, inputs
from webgui.areas.people import deeds, words
from webgui.areas.people.models import ById, NewUser, UserChange
from webgui.keys import ACCOUNTS, SESSION


async def show(request: web.Request) -> web.Response:
    """All users, and the form for another."""
    return await _list(request)


async def add(request: web.Request) -> web.Response:
    """Add a user without a password, and show the link by which they set it."""
    values = await inputs.values(request, NewUser)
    try:
        wanted, own = inputs.judged(NewUser, values), deeds.doer(request)
        await auth.in_thread(lambda: own.accounts.add_user(wanted.name, wanted.role, None, **own.mark))
    except inputs.Invalid as exc:
        return await _list(request, values, exc.fields, 422)
    except AccountError as exc:
        return await _list(request, values, {"name": words.sentence(str(exc))}, 422)
    return await _with_link(request, wanted.name)


async def detail(request: web.Request) -> web.Response:
    """One user."""
    return await _detail(request, request.match_info["name"])


async def make_link(request: web.Request) -> web.Response:
    """A new one-time link, shown this once."""
    return await _with_link(request, request.match_info["name"])


async def change(request: web.Request) -> web.Response:
    """Another role; shut out; let in again."""
    wanted, own, name = await inputs.body(request, UserChange), deeds.doer(request), request.match_info["name"]
    former = await auth.in_thread(lambda: deeds.named(own.accounts, name))
    await apply(own, name, wanted)
    path = f"/users/{name}"
    if wanted.role is not None:
        return answers.go(
            request, path, f"{name} is {wanted.role} now.", undo=f"{path}/change", fields={"role": former.role}
        )
    if wanted.disabled:
        text = f"{name} is shut out; all sessions have ended."
        return answers.go(request, path, text, undo=f"{path}/change", fields={"disabled": "false"})
    return answers.go(request, path, f"{name} may log in again." if wanted.disabled is not None else "")


async def apply(own: deeds.Doer, name: str, wanted: UserChange) -> None:
    """Make the changes. Raises AccountError."""

    def make() -> None:
        if wanted.role is not None:
            own.accounts.set_role(name, wanted.role, **own.mark)
        if wanted.disabled is not None:
            (own.accounts.disable if wanted.disabled else own.accounts.enable)(name, **own.mark)

    await auth.in_thread(make)


async def end_sessions(request: web.Request) -> web.Response:
    """End one session of a user, or all."""
    wanted, own, name = await inputs.body(request, ById), deeds.doer(request), request.match_info["name"]
    if wanted.id == "all":
        count = await auth.in_thread(lambda: own.accounts.sessions.revoke_all(name, **own.mark))
        return answers.go(request, f"/users/{name}", f"{count} sessions of {name} ended.")
    await auth.in_thread(lambda: own.accounts.sessions.revoke(name, wanted.id, **own.mark))
    return answers.go(request, f"/users/{name}", "The session ended.")


async def revoke_token(request: web.Request) -> web.Response:
    """Revoke a token of a user."""
    wanted, own, name = await inputs.body(request, ById), deeds.doer(request), request.match_info["name"]
    await auth.in_thread(lambda: own.accounts.tokens.revoke(name, number(wanted.id), **own.mark))
    return answers.go(request, f"/users/{name}", "The token is revoked.")


def number(text: str) -> int:
    """The number of a token; -1, which no token has, for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1


# ---- parts ------------------------------------------------------------------------------------------------------
async def _list(
    request: web.Request, values: dict[str, Any] | None = None, errors: dict[str, str] | None = None, status: int = 200
) -> web.Response:
    accounts = request.app[ACCOUNTS]
    rows = await auth.in_thread(lambda: deeds.users(accounts))
    context = {"rows": rows, "values": values or {}, "errors": errors or {}, "roles": words.ROLES}
    return answers.page(request, "people/users.html", status=status, **context)


async def _with_link(request: web.Request, name: str) -> web.Response:
    made = await auth.in_thread(lambda: deeds.make_link(request, name))
    return await _detail(request, name, made)


async def _detail(request: web.Request, name: str, link: dict[str, Any] | None = None) -> web.Response:
    accounts, own = request.app[ACCOUNTS], request[SESSION]

    def read() -> dict[str, Any]:
        user = deeds.named(accounts, name)
        sessions, tokens = deeds.parts(accounts, name, own.id)
        return {"person": user, "sessions": sessions, "tokens": tokens, "now": accounts.now()}

    call: Callable[[], dict[str, Any]] = read
    context = await auth.in_thread(call)
    return answers.page(request, "people/user.html", link=link, roles=words.ROLES, own=own, **context)
