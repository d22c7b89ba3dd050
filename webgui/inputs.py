"""Reads queries, forms and JSON bodies into models, and tells each wrong field. It must not judge beyond the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from webgui.guards import API
from webgui.invalid import Invalid as Invalid
from webgui.strict import refuse_fields

M = TypeVar("M", bound=BaseModel)
JSON_TYPE = "application/json"
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
MAX_BODY = 6 << 20  # bytes; a routing configuration may have 4 MB


def query(request: web.Request, model: type[M]) -> M:
    """The query string. A key that comes several times is a list; an empty value counts as absent. Raises Invalid."""
    return _read(model, _plain(model, request.query))


async def body(request: web.Request, model: type[M]) -> M:
    """The JSON object or the form that was sent. Raises Invalid, HTTPBadRequest, HTTPRequestEntityTooLarge."""
    found = await values(request, model)
    if request.path.startswith(API):
        refuse_fields(model, found)
    return _read(model, found)


async def values(request: web.Request, model: type[BaseModel] | None = None) -> dict[str, Any]:
    """The same as plain values, not judged yet: what a form that has to be shown again was filled with."""
    if request.content_type == JSON_TYPE:
        raw = await request.clone(client_max_size=MAX_BODY).read()
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError) as exc:
            raise web.HTTPBadRequest(text="The body is no JSON.") from exc
        if not isinstance(found, dict):
            raise web.HTTPBadRequest(text="The body is no JSON object.")
        return found
    if request.path.startswith(API) and request.content_type not in FORMS:
        if (await request.clone(client_max_size=MAX_BODY).read()).strip():  # nobody would read it
            raise web.HTTPBadRequest(text=f"The body is no JSON: send it with Content-Type: {JSON_TYPE}.")
        return {}
    return _plain(model, await request.clone(client_max_size=MAX_BODY).post())


def judged(model: type[M], found: Mapping[str, Any]) -> M:
    """What `values` read, as the model. A body can be read once only. Raises Invalid."""
    return _read(model, found)


def is_json(request: web.Request) -> bool:
    """Whether a program talks to us."""
    return request.content_type == JSON_TYPE or request.path.startswith("/api/")


def _read(model: type[M], found: Mapping[str, Any]) -> M:
    try:
        return model.model_validate(found)
    except ValidationError as exc:
        fields: dict[str, str] = {}
        for error in exc.errors(include_url=False, include_context=False, include_input=False):
            fields.setdefault(".".join(map(str, error["loc"])), error["msg"].removeprefix("Value error, "))
        raise Invalid(fields) from exc


def _plain(model: type[BaseModel] | None, given: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in dict.fromkeys(given):
        every = [value for value in given.getall(name) if value != ""]
        if every:
            found[name] = every if len(every) > 1 or _is_list(model, name) else every[0]
    return found


def _is_list(model: type[BaseModel] | None, name: str) -> bool:
    field = model.model_fields.get(name) if model is not None else None
    return field is not None and str(field.annotation).removeprefix("typing.").startswith(("list", "tuple", "set"))
