"""The description of the API: as a document for programs, as a page for people. It must not know any address."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from webgui import answers, openapi
from webgui.areas.help.examples import EXAMPLES
from webgui.keys import CONFIG
from webgui.route import TABLE


async def document(request: web.Request) -> web.Response:
    """OpenAPI 3.1."""
    return answers.given(_document(request))


async def show(request: web.Request) -> web.Response:
    """The same for reading, with examples."""
    made = _document(request)
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation["tags"][0], []).append(_entry(made, path, method, operation))
    context: dict[str, Any] = {"groups": groups, "errors": openapi.ERRORS, "examples": EXAMPLES}
    return answers.page(request, "help/api.html", **context)


def _document(request: web.Request) -> dict[str, Any]:
    table = request.app[TABLE]
    return openapi.document(table, request.app[CONFIG].version)


def _entry(document: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    good = operation["responses"].get("2XX", {}).get("content", {}).get("application/json", {}).get("schema", {})
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return {
        "id": operation["operationId"], "method": method.upper(), "path": path, "summary": operation["summary"],
        "needs": operation["description"],
        "query": [
            {"name": one["name"], "kind": kind(one["schema"]), "needed": one["required"], "text": one.get("description", "")}
            for one in operation.get("parameters", []) if one["in"] == "query"
        ],
        "body": fields(document, body), "answer": fields(document, good),
    }  # fmt: skip


def fields(document: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of an object's schema: name, kind, whether needed, what it means."""
    found = _resolved(document, schema)
    needed = found.get("required", [])
    return [
        {"name": name, "kind": kind(one), "needed": name in needed, "text": one.get("description", "")}
        for name, one in found.get("properties", {}).items()
    ]


def kind(schema: dict[str, Any]) -> str:
    """A schema in a few words: `text`, `list of Rule`, `number or null`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema or "const" in schema:
        return ", ".join(str(value) for value in schema.get("enum", [schema.get("const")]) if value != "")
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(kind(one) for one in schema[several]))
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}"
    words = {
        "string": "text",
        "integer": "whole number",
        "number": "number",
        "boolean": "true or false",
        "object": "object",
    }
    return (
        str(schema["format"])
        if "format" in schema
        else words.get(schema.get("type", ""), schema.get("type", "anything"))
    )


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        found: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema
