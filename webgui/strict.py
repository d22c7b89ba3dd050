"""What a program sends and nobody reads: refused below /api/, with the nearest name. A misspelled filter that is left out acts on,
or shows, more than was meant; a misspelled setting is lost. It must not judge values, nor forms of pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from protocol.routing.rules.names import did_you_mean
from webgui.guards import Handler
from webgui.invalid import Invalid
from webgui.route import Route

MOST, LONGEST = 10, 100  # names that are compared and told, and characters of each: a body may hold a million of them
EMPTY = (b"", b"{}")  # programs send an empty object where there is nothing to say


def strict(route: Route) -> Handler:
    """The handler of a route of the API, which refuses parameters of the query that it does not have, and a body where it takes
    none. Raises Invalid, HTTPRequestEntityTooLarge.
    """
    if not route.in_api:
        return route.handler
    known = sorted(route.query.model_fields) if route.query is not None else []
    bare = route.body is None and not route.reads

    async def handler(request: web.Request) -> web.StreamResponse:
        refuse(request.query, known, "parameter")
        if bare and request.body_exists and (await request.read()).strip() not in EMPTY:
            raise Invalid({"": "this address takes no body"})
        return await route.handler(request)

    return handler


def refuse(given: Iterable[str], known: Iterable[str], what: str = "field") -> None:
    """Raises Invalid where something is given that is not known."""
    names = sorted(known)
    there = f"there are {', '.join(names)}" if names else "there is none here"
    odd = list(dict.fromkeys(name for name in given if name not in names))
    found = {
        name: f"there is no such {what}; {did_you_mean(name, names, there)}"
        for name in (one[:LONGEST] for one in odd[:MOST])
    }
    if len(odd) > MOST:
        found[""] = f"and {len(odd) - MOST} more that are none"
    if found:
        raise Invalid(found)


def refuse_fields(model: type[BaseModel], given: Mapping[str, Any]) -> None:
    """The same of a body."""
    refuse(given, model.model_fields)
