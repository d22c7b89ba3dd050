"""Log-in and log-out of browsers: the session cookie, the password check, the caller's address.

It must not decide what a user may do (guards.py) nor render pages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from aiohttp import hdrs, web

from protocol.accounts import Session, User
from protocol.errors import AccessDenied
from webgui.keys import ACCOUNTS, CONFIG, HASHING, LIMITER

T = TypeVar("T")


class TooManyAttempts(Exception):
    """Too many failed log-ins; `wait_s` says when to come back."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s = wait_s
        super().__init__("too many failed log-ins")


async def in_thread(call: Callable[[], T]) -> T:
    """Run a blocking call (accounts, spool) off the event loop."""
    return await asyncio.get_running_loop().run_in_executor(None, call)


def address(request: web.Request) -> str:
    """Where the request comes from; X-Forwarded-For counts only if a proxy of ours wrote its last entry."""
    if request.app[CONFIG].behind_proxy:
        # Some proxies add a header line of their own below those that came (HAProxy): all lines are one list, its end counts.
        forwarded = ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, ())).rsplit(",", 1)[-1].strip()
        if forwarded:
            return _text(forwarded)[:64]
    return request.remote or ""


def bearer(request: web.Request) -> str | None:
    """The token that a program sent (RFC 6750 section 2.1), or None. Another scheme is meant for a proxy in front."""
    kind, _, secret = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else None


def token(request: web.Request) -> str:
    """The session token that the browser sent, or nothing."""
    return request.cookies.get(_cookie_name(request), "")


async def find_session(request: web.Request, touch: bool = True) -> Session | None:
    """The living session of the browser; of a program that sent a token, what the token opens. Cookies count nothing then."""
    accounts, secret = request.app[ACCOUNTS], bearer(request)
    if secret is not None:
        where = address(request)
        return await in_thread(lambda: accounts.tokens.find(secret, where))
    given = token(request)
    return await in_thread(lambda: accounts.find_session(given, touch=touch)) if given else None


async def check_password(request: web.Request, name: str, password: str) -> User:
    """The user. Raises AccessDenied, or TooManyAttempts before the password is even looked at."""
    limiter, accounts, where = request.app[LIMITER], request.app[ACCOUNTS], address(request)
    async with request.app[HASHING]:
        # Looked at with the semaphore held: a burst of parallel guesses must not slip past the limit.
        if (wait_s := limiter.wait_s(name, where)) > 0:
            raise TooManyAttempts(wait_s)
        limiter.fail(name, where)
        user = await in_thread(lambda: accounts.authenticate(name, password, address=where))
    limiter.succeed(name, where)
    return user


async def log_in(request: web.Request, response: web.Response, user: User) -> None:
    """Open a session and give the browser its cookie. A session it had before is closed."""
    accounts, where, former = request.app[ACCOUNTS], address(request), token(request)
    agent = _text(request.headers.get(hdrs.USER_AGENT, ""))
    fresh = await in_thread(lambda: accounts.open_session(user.name, where, agent))
    if former:
        await in_thread(lambda: accounts.close_session(former, where))
    # Without TLS browsers drop Secure cookies and the __Host- prefix (RFC 6265bis section 4.1.3).
    response.set_cookie(
        _cookie_name(request), fresh, httponly=True, samesite="Lax", path="/", secure=request.app[CONFIG].secure
    )


async def log_out(request: web.Request, response: web.Response) -> None:
    """End the session and take the cookie back."""
    accounts, given, where = request.app[ACCOUNTS], token(request), address(request)
    await in_thread(lambda: accounts.close_session(given, where))
    response.del_cookie(_cookie_name(request), path="/", secure=request.app[CONFIG].secure)


def _text(header: str) -> str:
    """A header that can be kept: bytes that are no UTF-8 came as surrogates, which no database takes."""
    return header.encode("utf-8", "replace").decode()


def _cookie_name(request: web.Request) -> str:
    return "__Host-scanpost" if request.app[CONFIG].secure else "scanpost"


__all__ = [
    "AccessDenied",
    "TooManyAttempts",
    "address",
    "bearer",
    "check_password",
    "find_session",
    "log_in",
    "log_out",
    "token",
]
