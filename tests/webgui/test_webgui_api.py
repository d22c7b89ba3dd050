"""The description of the API: complete, valid, true; its examples run."""

import json

import jsonschema
import pytest
from walking import filled, parameters
from webgui_fakes import PAGE

from protocol.testing.images import TestImage
from webgui import openapi
from webgui.areas.help import api
from webgui.areas.help.examples import EXAMPLES
from webgui.guards import Need
from webgui.route import TABLE, Route

OPEN = ("/api/v1/openapi.json", "/api/v1/routing/schema")
"""Documents of standards, which have more than a model says."""
KEYWORDS = {"openapi", "jsonSchemaDialect", "info", "servers", "security", "tags", "paths", "components"}


def resolve(schema, document):
    """The schema with the components beside it, as a validator needs them."""
    return json.loads(json.dumps(schema).replace("#/components/schemas/", "#/$defs/")) | {"$defs": json.loads(
        json.dumps(document["components"]["schemas"]).replace("#/components/schemas/", "#/$defs/"))}  # fmt: skip


def fits(body, schema, document):
    """The answer is one of its schema; that the schema is one is looked at once, for all of them."""
    jsonschema.Draft202012Validator(resolve(schema, document)).validate(body)


@pytest.fixture
def document(real_app):
    return openapi.document(real_app[TABLE], "1")


def test_every_address_of_the_api_is_described_and_nothing_else(real_app, document):
    listed = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    there = {
        (route.method, openapi.template(route.path)) for route in real_app[TABLE] if route.path.startswith("/api/")
    }
    assert listed == there
    assert set(document) == KEYWORDS


def test_every_entry_has_a_sentence_a_need_and_a_name_of_its_own(document):
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    for operation in operations:
        assert len(operation["summary"]) > 5 and operation["summary"].endswith((".", ")")), operation["operationId"]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))


def test_every_schema_is_one_and_every_reference_leads_somewhere(document):
    text = json.dumps(document)
    for name, schema in document["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert "title" in schema, name
    for reference in text.split('"$ref": "')[1:]:
        place = document
        for part in reference.partition('"')[0].removeprefix("#/").split("/"):
            place = place[part]


def test_every_address_says_what_it_answers(real_app):
    silent = [f"{route.method} {route.path}" for route in real_app[TABLE] if route.in_api and route.answer is None]
    assert silent == []


def test_every_json_body_is_described(real_app, document):
    silent = [route.path for route in real_app[TABLE] if route.in_api and route.reads and route.body is None]
    assert silent == ["/api/v1/upload"]  # files
    asked = body_schema(document, "/api/v1/rules/test", "post")
    for body in (
        {"header": "(0008,0060) CS [MR]"}, {"header": {"Modality": "MR"}, "origin": {"calling_ae": "CT1"}, "rule": "all"},
        {"arrival": 7, "rule": {"when": "Modality == 'MR'"}, "routing": {"rules": []}},
    ):  # fmt: skip
        fits(body, asked, document)
    fits({"days": 7, "routing": {"rules": []}}, body_schema(document, "/api/v1/rules/backtest", "post"), document)
    with pytest.raises(jsonschema.ValidationError, match="maximum"):
        fits({"days": 400}, body_schema(document, "/api/v1/rules/backtest", "post"), document)


def body_schema(document, path, method):
    return document["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]


async def test_what_can_be_read_answers_as_its_model_says_and_nothing_beside_it(real, real_app, real_admin, document):
    arrival = real.arrival(TestImage())
    groups = {"ai": {"mode": "failover", "members": ["pacs"]}}
    real.publish(sources={"ct1": {"calling_ae": "CT1"}}, groups=groups)
    values = parameters(real, arrival)
    real.record()
    for route in real_app[TABLE]:
        if (
            not (route.in_api and route.method == "GET")
            or "{id}" in route.path
            and any(job in route.path for job in ("/tests/", "/backtest/", "/selftest/"))
        ):
            continue
        answer = await real_admin.get(
            filled(route.path, values) + ("?name=all" if route.path.endswith("/blame") else "")
        )
        assert answer.status == 200, (route.path, await answer.text())
        body = await answer.json()
        schema = document["paths"][openapi.template(route.path)]["get"]["responses"]["2XX"]["content"][
            "application/json"
        ]["schema"]
        fits(body, schema, document)
        named = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
        if route.path not in OPEN:
            assert set(body) <= set(named), route.path


def test_every_parameter_of_a_path_is_described(document):
    for path, methods in document["paths"].items():
        wanted = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        for operation in methods.values():
            named = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
            assert named == wanted, path


async def test_the_document_and_the_page_are_served(real_viewer):
    told = await (await real_viewer.get("/api/v1/openapi.json")).json()
    assert told["openapi"] == "3.1.0"
    page = await (await real_viewer.get("/help/api", headers=PAGE)).text()
    for path in told["paths"]:
        assert path in page
    assert "Authorization: Bearer" in page


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example.method} {example.path}")
async def test_every_example_does_what_it_says(real_app, aiohttp_client, people, document, example):
    if "/newcomer" in example.path:
        people.add_user("newcomer", "viewer", None)
    program = await aiohttp_client(real_app)
    headers = {"Authorization": "Bearer " + people.tokens.create("ann", "example", [example.scope])}
    answer = await program.request(example.method, example.path, json=example.body, headers=headers)
    body = await answer.json()
    assert answer.status == example.status, body
    assert set(example.has) <= set(body)
    operation = document["paths"][example.path.partition("?")[0].replace("/newcomer", "/{name}")][
        example.method.lower()
    ]
    good = operation["responses"]["2XX"].get("content", {}).get("application/json", {"schema": {}})
    fits(body, good["schema"], document)
    assert ("requestBody" in operation) == (example.body is not None)
    if example.body is not None:
        fits(example.body, operation["requestBody"]["content"]["application/json"]["schema"], document)


async def test_every_error_answers_the_described_body(real_app, aiohttp_client, people, document):
    program = await aiohttp_client(real_app)
    schema = {"$ref": "#/components/schemas/Error"}
    headers = {"Authorization": "Bearer " + people.tokens.create("ann", "t", ["admin"])}
    for method, path, body, status in (
        ("GET", "/api/v1/account", None, 401), ("GET", "/api/v1/users/nobody", None, 404), ("POST", "/api/v1/users", {}, 422),
        ("POST", "/api/v1/users", "{", 400), ("PUT", "/api/v1/account/columns", {"name": "x"}, 403),
        ("PATCH", "/api/v1/users/ann", {"role": "viewer"}, 422), ("DELETE", "/api/v1/users", None, 405),
    ):  # fmt: skip
        sent = {"data": body, "headers": headers | {"Content-Type": "application/json"}} if body == "{" else {
            "json": body, "headers": headers if status != 401 else {}}  # fmt: skip
        answer = await program.request(method, path, **sent)
        told = await answer.json()
        assert answer.status == status, (path, told)
        fits(told, schema, document)


def test_kinds_are_told_in_few_words():
    assert api.kind({"type": "array", "items": {"$ref": "#/components/schemas/Rule"}}) == "list of Rule"
    assert api.kind({"anyOf": [{"type": "number"}, {"type": "null"}]}) == "number or null"
    assert api.kind({"enum": ["", "csv"]}) == "csv"
    assert api.kind({}) == "anything"


def test_an_expression_in_a_path_becomes_a_pattern():
    route = Route("GET", r"/api/v1/x/{number:\d{1,12}}/{id:\d+}", None, Need.VIEWER, "X.")
    told = openapi.document([route], "1")["paths"]["/api/v1/x/{number}/{id}"]["get"]["parameters"]
    assert [one["schema"] for one in told] == [
        {"type": "string", "minLength": 1, "pattern": r"^(?:\d{1,12})$"}, {"type": "integer", "minimum": 0},
    ]  # fmt: skip
