"""What pages and API of people do alike: ask the accounts, answer as data. It must not render, nor read a request's body."""

from __future__ import annotations

import functools
from typing import Any
from zoneinfo import available_timezones

from aiohttp import web

from protocol.accounts import Accounts, Session, Token, User
from protocol.accounts.links import VALID_S
from protocol.errors import NotFound
from protocol.records import record
from webgui import auth, patients
from webgui.areas.people import words
from webgui.areas.people.models import NewToken
from webgui.keys import ACCOUNTS, CONFIG, SESSION


@record
class Doer:
    """Who does something to the accounts, and from where."""

    accounts: Accounts
    session: Session
    address: str

    @property
    def mark(self) -> dict[str, str]:
        """As the accounts want it for the audit."""
        return {"by": self.session.who, "address": self.address}


def doer(request: web.Request) -> Doer:
    """Whoever sent the request."""
    return Doer(request.app[ACCOUNTS], request[SESSION], auth.address(request))


def person(request: web.Request) -> Doer:
    """The same, if it is a person with a browser: no token changes its owner's account. Raises HTTPForbidden."""
    if request[SESSION].token:
        raise web.HTTPForbidden(text="An account is changed by its owner in a browser, not with a token.")
    return doer(request)


def named(accounts: Accounts, name: str) -> User:
    """Raises NotFound."""
    user = accounts.find_user(name)
    if user is None:
        raise NotFound(f"there is no user {name[:80]!r}")
    return user


def link_to(request: web.Request, token: str) -> str:
    """The address to hand over."""
    return f"{'https' if request.app[CONFIG].secure else 'http'}://{request.host}/reset?token={token}"


def make_link(request: web.Request, name: str) -> dict[str, Any]:
    """A new one-time link. Blocks."""
    own = doer(request)
    named(own.accounts, name)
    token = own.accounts.links.make(name, **own.mark)
    return {"name": name, "link": link_to(request, token), "expires": own.accounts.now() + VALID_S}


def make_token(request: web.Request, wanted: NewToken) -> dict[str, Any]:
    """A new token of whoever asks. Blocks. Raises AccountError, HTTPForbidden."""
    own = person(request)
    if wanted.phi and not (patients.sees(request) or patients.may_reveal(request)):
        raise web.HTTPForbidden(text="Patient data stay masked for you, so for your tokens.")
    scopes = [wanted.scope, *(["phi"] if wanted.phi else [])]
    expires = own.accounts.now() + wanted.days * 86400.0 if wanted.days else None
    user = own.session.user.name
    return {
        "name": wanted.name,
        "token": own.accounts.tokens.create(user, wanted.name, scopes, expires=expires, **own.mark),
    }


def users(accounts: Accounts) -> list[dict[str, Any]]:
    """All users as the API tells them. Blocks."""
    sessions, tokens = accounts.sessions.list(), accounts.tokens.list()
    return [user_data(user, sessions, tokens) for user in accounts.list_users()]


def user_data(user: User, sessions: list[Session], tokens: list[Token]) -> dict[str, Any]:
    """One user."""
    return {
        "name": user.name, "role": user.role, "disabled": user.disabled, "has_password": user.has_password,
        "created": user.created, "last_login": user.last_login, "failed": user.failed,
        "sessions": sum(one.user.name == user.name for one in sessions),
        "tokens": sum(one.user == user.name for one in tokens),
    }  # fmt: skip


def session_data(session: Session, own: str) -> dict[str, Any]:
    """One session; `own` is the id of the one that asks."""
    return {
        "id": session.id, "address": session.address, "agent": words.agent(session.agent), "created": session.created,
        "last_seen": session.last_seen, "own": session.id == own,
    }  # fmt: skip


def token_data(token: Token) -> dict[str, Any]:
    """One token."""
    return {
        "id": token.id, "user": token.user, "name": token.name, "scopes": list(token.scopes), "created": token.created,
        "expires": token.expires, "last_used": token.last_used, "last_address": token.last_address,
    }  # fmt: skip


def parts(accounts: Accounts, name: str, own: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Sessions and tokens of a user. Blocks."""
    sessions = [session_data(one, own) for one in accounts.sessions.list(name)]
    return sessions, [token_data(one) for one in accounts.tokens.list(name)]


@functools.cache
def zones() -> list[str]:
    """Names of time zones to choose from."""
    return sorted(
        name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "posix", "right"))
    )
