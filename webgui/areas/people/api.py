"""Users and the own account for programs. It must not differ from what the pages do."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from webgui import answers, auth, inputs, patients
from webgui.areas.people import account, deeds, users
from webgui.areas.people.models import NewToken, NewUser, OwnColumns, OwnPreferences, UserChange
from webgui.keys import ACCOUNTS


async def list_users(request: web.Request) -> web.Response:
    """All users."""
    accounts = request.app[ACCOUNTS]
    return answers.given({"users": await auth.in_thread(lambda: deeds.users(accounts))})


async def add_user(request: web.Request) -> web.Response:
    """Add a user, answer the link."""
    wanted, own = await inputs.body(request, NewUser), deeds.doer(request)
    await auth.in_thread(lambda: own.accounts.add_user(wanted.name, wanted.role, None, **own.mark))
    return answers.given(await auth.in_thread(lambda: deeds.make_link(request, wanted.name)), 201)


async def show_user(request: web.Request) -> web.Response:
    """One user with sessions and tokens."""
    return answers.given(await _user(request))


async def change_user(request: web.Request) -> web.Response:
    """Role, disabled."""
    wanted, own, name = await inputs.body(request, UserChange), deeds.doer(request), request.match_info["name"]
    await auth.in_thread(lambda: deeds.named(own.accounts, name))
    await users.apply(own, name, wanted)
    return answers.given(await _user(request))


async def make_link(request: web.Request) -> web.Response:
    """A one-time link."""
    name = request.match_info["name"]
    return answers.given(await auth.in_thread(lambda: deeds.make_link(request, name)), 201)


async def end_sessions(request: web.Request) -> web.Response:
    """End all sessions of a user."""
    own, name = deeds.doer(request), request.match_info["name"]
    await auth.in_thread(lambda: deeds.named(own.accounts, name))
    await auth.in_thread(lambda: own.accounts.sessions.revoke_all(name, **own.mark))
    return web.Response(status=204)


async def revoke_token(request: web.Request) -> web.Response:
    """Revoke a token of a user."""
    own, name = deeds.doer(request), request.match_info["name"]
    token = users.number(request.match_info["id"])
    await auth.in_thread(lambda: own.accounts.tokens.revoke(name, token, **own.mark))
    return web.Response(status=204)


async def show_account(request: web.Request) -> web.Response:
    """Whoever asks."""
    own = deeds.doer(request)
    user = own.session.user
    sessions, tokens = await auth.in_thread(lambda: deeds.parts(own.accounts, user.name, own.session.id))
    wants = user.preferences
    return answers.given({
        "name": user.name, "role": user.role, "token": own.session.token, "sees_patients": patients.sees(request),
        "theme": wants.theme, "time_zone": wants.time_zone, "columns": {key: list(value) for key, value in wants.columns.items()},
        "sessions": sessions, "tokens": tokens,
    })  # fmt: skip


async def prefer(request: web.Request) -> web.Response:
    """Theme and time zone."""
    await account.save(deeds.person(request), await inputs.body(request, OwnPreferences))
    return web.Response(status=204)


async def set_columns(request: web.Request) -> web.Response:
    """Columns of a list."""
    own, wanted = deeds.person(request), await inputs.body(request, OwnColumns)
    name, columns = own.session.user.name, tuple(wanted.columns)
    await auth.in_thread(lambda: own.accounts.set_columns(name, wanted.name, columns, address=own.address))
    return web.Response(status=204)


async def add_token(request: web.Request) -> web.Response:
    """A token of one's own; in a browser's session only."""
    deeds.person(request)
    wanted = await inputs.body(request, NewToken)
    return answers.given(await auth.in_thread(lambda: deeds.make_token(request, wanted)), 201)


async def revoke_own_token(request: web.Request) -> web.Response:
    """Revoke a token of one's own; in a browser's session only."""
    own, token = deeds.person(request), users.number(request.match_info["id"])
    await auth.in_thread(lambda: own.accounts.tokens.revoke(own.session.user.name, token, **own.mark))
    return web.Response(status=204)


async def _user(request: web.Request) -> dict[str, Any]:
    own, name = deeds.doer(request), request.match_info["name"]

    def read() -> dict[str, Any]:
        user = deeds.named(own.accounts, name)
        sessions, tokens = deeds.parts(own.accounts, name, own.session.id)
        told = deeds.user_data(user, own.accounts.sessions.list(name), own.accounts.tokens.list(name))
        return told | {"session_list": sessions, "token_list": tokens}

    return await auth.in_thread(read)
