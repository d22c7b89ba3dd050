"""The description of the API (OpenAPI 3.1), made of the table of addresses and its models. It must not know any address.

What a handler may answer besides, errors, is the same everywhere and described once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from webgui.guards import API, Need
from webgui.route import Route
from webgui.shapes import Nothing

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PARAMETER = re.compile(r"{(\w+)(?::((?:[^{}]|{[^{}]*})+))?}")
_REFERENCE = "#/components/schemas/{model}"

ERRORS = {
    "400": "The request is malformed.",
    "401": "No session and no token, or one that is not valid any more.",
    "403": "The role, or the scope of the token, is not enough; or the request came from another site.",
    "404": "There is no such thing.",
    "409": "Not possible now: its state does not allow it, or somebody else was first.",
    "412": "If-Match or If-None-Match does not hold: somebody else was first.",
    "413": "Too much data.",
    "422": "Something is missing or wrong; fields says what.",
    "503": "The spool or the ledger is away, or nobody can carry it out; try again.",
}
_ETAG = {
    "ETag": {"description": "Of the settings alone, for If-Match.", "schema": {"type": "string"}},
}
_CONDITIONS = (
    ("If-Match", "The ETag of what was read: nothing is done if its settings changed since. `*`: only if it is there."),
    ("If-None-Match", "`*`: only if it is not there yet."),
)
NEEDS = {
    Need.NOTHING: "open to everybody",
    Need.VIEWER: "scope read",
    Need.OPERATOR: "scope operate",
    Need.ADMIN: "scope admin",
}


class Error(BaseModel):
    """What every error answers."""

    error: str = Field(description="one line for people")
    fields: dict[str, str] = Field({}, description="with 422: what is wrong, by field")


def document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The whole description of those of the routes that programs call."""
    listed = sorted((route for route in routes if route.in_api), key=lambda route: (route.path, route.method))
    definitions, names = _schemas(listed)
    paths: dict[str, dict[str, Any]] = {}
    for route in listed:
        paths.setdefault(template(route.path), {})[route.method.lower()] = _operation(route, names)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": DIALECT,
        "info": {
            "title": "scanpost", "version": version,
            "description": "Everything that the pages show and do. Times are seconds since 1970-01-01 UTC. A token goes into "
            "`Authorization: Bearer`; people make tokens on their account page. Names and ids of patients are masked without "
            "the scope `phi`.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {"session": []}],
        "tags": [{"name": name} for name in sorted({tag(route.path) for route in listed})],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "responses": {
                f"E{status}": {"description": text, "content": _json({"$ref": _REFERENCE.format(model="Error")})}
                for status, text in ERRORS.items()
            },
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token of a user."},
                "session": {"type": "apiKey", "in": "cookie", "name": "scanpost", "description": "A logged-in browser."},
            },
        },
    }  # fmt: skip


def template(path: str) -> str:
    """The path as OpenAPI writes it: without the expressions of its parts."""
    return _PARAMETER.sub(r"{\1}", path)


def tag(path: str) -> str:
    """The first part after /api/v1/."""
    return path.removeprefix(API).partition("/")[0].partition(".")[0]


def _schemas(routes: list[Route]) -> tuple[dict[str, Any], dict[tuple[type[BaseModel], str], dict[str, Any]]]:
    """All schemas by name, and for each model and direction the reference to its own."""
    wanted: dict[tuple[type[BaseModel], Any], None] = {(Error, "serialization"): None}
    for route in routes:
        if route.body is not None:
            wanted[route.body, "validation"] = None
        if route.answer not in (None, Nothing):
            wanted[route.answer, "serialization"] = None
        if route.query is not None:
            wanted[route.query, "validation"] = None
    names, schema = models_json_schema(list(wanted), ref_template=_REFERENCE)
    return schema.get("$defs", {}), dict(names)  # type: ignore[arg-type]


def _operation(route: Route, names: dict[tuple[type[BaseModel], str], dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "description": f"Needs {NEEDS[route.need]}." if route.need is not Need.NOTHING else "Open to everybody.",
        "tags": [tag(route.path)],
        "parameters": [
            *_path_parameters(route.path),
            *(_query_parameters(route.query) if route.query else []),
            *_conditions(route),
        ],
        "responses": _responses(route, names),
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _json(names[route.body, "validation"])}
    if route.need is Need.NOTHING:
        operation["security"] = []
    return {key: value for key, value in operation.items() if value != [] or key == "security"}


def operation_id(route: Route) -> str:
    """Unique: method and path as one word."""
    words = re.findall(r"[A-Za-z0-9]+", template(route.path).removeprefix(API))
    return "_".join([route.method.lower(), *words])


def _path_parameters(path: str) -> list[dict[str, Any]]:
    found = []
    for name, expression in _PARAMETER.findall(path):
        schema: dict[str, Any] = {"type": "string", "minLength": 1}
        if expression in (r"\d+", "[0-9]+"):
            schema = {"type": "integer", "minimum": 0}
        elif expression:
            schema["pattern"] = f"^(?:{expression})$"
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    return found


def _conditions(route: Route) -> list[dict[str, Any]]:
    if not route.tagged or route.method == "GET":
        return []
    return [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in _CONDITIONS
    ]


def _query_parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = model.model_json_schema(ref_template=_REFERENCE)
    required = schema.get("required", [])
    found = []
    for name, one in schema.get("properties", {}).items():
        plain = {key: value for key, value in one.items() if key not in ("title", "description")}
        told = {"description": one["description"]} if "description" in one else {}
        found.append({"name": name, "in": "query", "required": name in required, "schema": plain} | told)
    return found


def _responses(route: Route, names: dict[tuple[type[BaseModel], str], dict[str, Any]]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done, or what was asked for."}
    if route.answer is Nothing:
        return {"204": {"description": "Done."}} | _errors(route)
    if route.tagged and route.method == "GET":
        good["headers"] = _ETAG
    good["content"] = _json({} if route.answer is None else names[route.answer, "serialization"])
    return {"2XX": good} | _errors(route)


def _errors(route: Route) -> dict[str, Any]:
    statuses = ["503"]
    if route.need is not Need.NOTHING:
        statuses += ["401", "403"]
    if "{" in route.path:
        statuses.append("404")
    if route.query is not None or route.method != "GET":
        statuses += ["400", "422"]
    if route.method != "GET":
        statuses += ["404", "409", "413"]
        statuses += ["412"] if route.tagged else []
    return {status: {"$ref": f"#/components/responses/E{status}"} for status in sorted(set(statuses))}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
