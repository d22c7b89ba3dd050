"""Writes into the audit that somebody takes a list away as a file, before it is given. It must not know lists.

What was searched for is not told: it may be a name.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import BaseModel

from webgui import auth
from webgui.keys import ACCOUNTS, SESSION

_UNTOLD = frozenset(("s", "after", "limit", "format"))


async def taken(request: web.Request, what: str, asked: BaseModel, searched: bool = False) -> None:
    """`what` is a list, as "series"; `searched`: narrowed by a text, too."""
    given: dict[str, Any] = asked.model_dump(exclude=set(_UNTOLD), exclude_defaults=True)
    told = {**given, "format": "csv", **({"searched": True} if searched else {})}
    own, accounts, where = request[SESSION], request.app[ACCOUNTS], auth.address(request)
    await auth.in_thread(lambda: accounts.record(own.who, where, f"{what} export", what, None, told))
