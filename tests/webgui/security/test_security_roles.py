"""All routes x roles x methods, by walking the table: denied is what is not allowed, and who only looks changes nothing."""

import json
import re

import pytest
from walking import filled, state, table
from webgui_fakes import HOME

from webgui.guards import MAY, PERMISSIONS, SAFE_METHODS, Need
from webgui.route import API

OPEN = {"/healthz", "/readyz", "/metrics", "/setup", "/login", "/reset"}
LEVEL = {"viewer": "viewer", "operator": "operator", "admin": "admin", "token read": "viewer", "token operate": "operator",
         "token admin": "admin"}  # fmt: skip
# What a read-only user may send: looking, trying, and one's own account. Another one here needs a good reason.
LOOKING = re.compile(
    r"/logout|/reveal|/account/[a-z/]+|/api/v1/account/.*|(/api/v1)?/series/(search|[^/]+/find)|(/api/v1)?/rules/(test|try|backtest.*|lint"
    r"|complete)|/api/v1/(rules|editor|routing)/[a-z]+"
)
BODIES = (
    {},
    {"role": "admin", "disabled": "true", "id": "all", "reason": "x", "ids": "1", "target": "pacs", "name": "x"},
)


def allowed(route, role):
    if route.need is Need.NOTHING:
        return True
    if role == "anonymous" or (role.startswith("token") and not route.in_api):
        return False
    return LEVEL[role] in MAY[route.need]


def test_everybody_may_open_only_what_is_listed(real_app):
    assert {route.path for route in table(real_app) if route.need is Need.NOTHING} == OPEN


def test_every_registered_route_has_an_entry_in_the_table(real_app):
    registered = {(route.method, route.resource.canonical) for route in real_app.router.routes()}
    assert registered == set(real_app[PERMISSIONS])


def test_what_changes_something_needs_more_than_looking(real_app):
    for route in table(real_app):
        if route.need is Need.VIEWER and route.method not in SAFE_METHODS:
            assert LOOKING.fullmatch(route.path), f"{route.method} {route.path}: does a read-only user need it?"


async def test_every_role_is_refused_what_it_may_not_on_every_route(real, real_app, callers, people, plain):
    before, count = state(real, people), 0
    for role, (client, headers) in callers.items():
        for route in table(real_app):
            if allowed(route, role):
                continue
            path = filled(route.path, plain)
            answer = await client.request(
                route.method, path, headers=HOME | headers, data=BODIES[1], allow_redirects=False
            )
            assert answer.status in (401, 403), (role, route.method, path, answer.status)
            if route.method == "GET" and route.path != "/ws":
                head = await client.head(path, headers=HOME | headers, allow_redirects=False)
                assert head.status in (401, 403), (role, path)
            count += 1
    assert count > 100
    assert state(real, people) == before


async def test_every_role_gets_the_pages_it_may_see(real_app, callers, plain):
    for role, (client, headers) in callers.items():
        for route in table(real_app):
            if route.method == "GET" and route.path != "/ws" and allowed(route, role):
                answer = await client.get(filled(route.path, plain), headers=headers, allow_redirects=False)
                assert answer.status not in (401, 403, 500), (role, route.path, answer.status)


async def test_a_read_only_user_changes_nothing_whatever_they_send(real, real_app, callers, people, plain):
    before = state(real, people)
    for role in ("viewer", "token read"):
        client, headers = callers[role]
        for route in table(real_app):
            if re.fullmatch(r"/logout|/account/.*|/api/v1/account/.*|/ws", route.path):
                continue  # one's own; tested with the account
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
                for body in BODIES:
                    sent = {"json": body} if route.in_api else {"data": body}
                    answer = await client.request(
                        method, filled(route.path, plain), headers=HOME | headers, allow_redirects=False, **sent
                    )
                    assert answer.status != 500, (role, method, route.path, await answer.text())
                    if (
                        method not in SAFE_METHODS
                        and role == "token read"
                        and not route.in_api
                        and route.need is not Need.NOTHING
                    ):
                        assert answer.status in (401, 404, 405), (method, route.path)
    assert state(real, people) == before


@pytest.mark.parametrize("frame", [
    {"op": "sub", "topics": ["queue"]}, {"op": "act", "kind": "series.hold", "ids": [1]}, {"op": "sub", "topics": [{"a": 1}] * 9},
    {"op": ["sub"]}, [], "text", {"op": "sub", "topics": "kpi"},
])  # fmt: skip
async def test_nothing_sent_over_the_socket_changes_anything(real, callers, people, plain, frame):
    client, before = callers["viewer"][0], state(real, people)
    origin = str(client.make_url("/")).rstrip("/")
    async with client.ws_connect("/ws", headers={"Origin": origin}) as socket:
        await socket.send_str(json.dumps(frame))
        await socket.send_str("{not json")
        await socket.send_bytes(b"\x00\xff")
        await socket.send_json({"op": "sub", "topics": ["kpi"]})
        while json.loads(await socket.receive_str(timeout=60)).get("topic") != "kpi":
            pass
    assert state(real, people) == before


async def test_methods_that_a_path_does_not_have_are_told_and_tracing_is_none_of_them(real_app, callers, plain):
    client = callers["admin"][0]
    for route in table(real_app):
        answer = await client.request("TRACE", filled(route.path, plain), headers=HOME)
        assert answer.status in (404, 405), route.path
    assert (await client.options(f"{API}status", headers=HOME)).status == 405
