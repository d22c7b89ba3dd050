"""What other sites, odd paths, headers and bodies can do: nothing. Every answer carries what keeps browsers careful."""

import asyncio
import io
import json
import logging

import pytest
from aiohttp import WSServerHandshakeError
from walking import filled, table
from webgui_fakes import HOME, PAGE, PASSWORD
from yarl import URL

from webgui.app import init_app
from webgui.config import WebConfig
from webgui.guards import CSP, HEADERS, SAFE_METHODS
from webgui.inputs import MAX_BODY
from webgui.keys import LIMITER
from webgui.limits import PER_NAME_AND_ADDRESS
from webgui.log import JsonLines

FOREIGN = (
    {}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Authorization": "Basic YTpi"}, {"Referer": "http://evil.example/"},
)  # fmt: skip


async def test_no_change_is_taken_from_another_site_on_any_route(real_app, callers, plain):
    client, count = callers["admin"][0], 0
    for route in table(real_app):
        if route.method in SAFE_METHODS:
            continue
        for headers in FOREIGN:
            answer = await client.request(
                route.method, filled(route.path, plain), headers=headers, allow_redirects=False
            )
            assert answer.status == 403, (route.path, headers)
            assert "another site" in await answer.text()
            count += 1
    assert count > 50


@pytest.mark.parametrize(
    "headers", [*FOREIGN[:4], {"Origin": "http://127.0.0.1.evil.example"}, {"Origin": "http://127.0.0.1:1"}]
)
async def test_no_socket_is_opened_for_another_site(callers, headers):
    with pytest.raises(WSServerHandshakeError) as refused:
        await callers["admin"][0].ws_connect("/ws", headers=headers)
    assert refused.value.status == 403


async def test_no_answer_lets_another_site_read_it(real_app, callers, plain):
    client = callers["admin"][0]
    for route in table(real_app):
        if route.method == "GET" and route.path != "/ws":
            answer = await client.get(filled(route.path, plain), headers={"Origin": "http://evil.example"})
            assert not [name for name in answer.headers if name.lower().startswith("access-control")], route.path


async def test_every_answer_carries_the_headers_and_pages_allow_no_inline_code(real_app, callers, plain):
    client = callers["admin"][0]
    for route in table(real_app):
        if route.method != "GET" or route.path == "/ws":
            continue
        answer = await client.get(filled(route.path, plain), headers=PAGE, allow_redirects=False)
        for name, value in HEADERS.items():
            assert answer.headers.get(name) == value, (route.path, name)
        assert answer.headers["Cache-Control"] == "no-store", route.path
        assert "Server" not in answer.headers
    assert "unsafe" not in CSP and "default-src 'self'" in CSP and "object-src 'none'" in CSP


@pytest.mark.parametrize("path", [
    "//evil.example", "/\\evil.example", "https://evil.example", "http:evil.example", "javascript:alert(1)", "/\t/evil.example",
    "///evil.example", "/x\r\nSet-Cookie: a=b", "\\\\evil.example", "/%0d%0aSet-Cookie:a=b\n",
])  # fmt: skip
async def test_nobody_is_sent_to_another_site(callers, people, path):
    client = callers["anonymous"][0]
    form = {"name": "ann", "password": PASSWORD, "next": path}
    answers = [await client.post("/login", data=form, headers=HOME, allow_redirects=False)]
    answers.append(await client.get("/login", params={"next": path}, allow_redirects=False))
    answers.append(await callers["admin"][0].post("/reveal", data={"path": path}, headers=HOME, allow_redirects=False))
    for answer in answers:
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        assert "a" not in answer.cookies


async def test_what_comes_in_a_path_or_query_becomes_no_header(real_app, callers, plain):
    client = callers["admin"][0]
    bad = dict.fromkeys(plain, "x%0d%0aX-Evil:%201")
    for route in table(real_app):
        if route.path == "/ws" or "{" not in route.path:
            continue
        url = URL(filled(route.path, bad) + "?x=%0d%0aX-Evil:1", encoded=True)
        answer = await client.request(route.method, url, headers=HOME, allow_redirects=False)
        assert "X-Evil" not in answer.headers and answer.status < 500, (route.method, route.path, answer.status)


@pytest.mark.parametrize("name", [
    "../config.py", "..%2fconfig.py", "%2e%2e/config.py", "....//config.py", "/etc/passwd", "%2fetc%2fpasswd", "app.css%00.js",
    "..\\config.py", "vendor/../../config.py", "C:/windows/win.ini",
])  # fmt: skip
async def test_static_files_are_those_of_the_folder_alone(callers, name):
    answer = await callers["anonymous"][0].get(URL(f"/static/0/{name}", encoded=True))
    assert answer.status == 404


@pytest.mark.parametrize("form", [
    b"", b"x=" + b"A" * (70 * 1024), b"ids=x&id=-1&number=99999999999999999999&act=%00&name=%ff%fe&state=%3Cb%3E&reason=%0a&path=//x",
    b"id=1&id=2&name=a&name=b&ids=1&ids=1&text=%00",
], ids=["empty", "large", "odd", "twice"])  # fmt: skip
async def test_no_form_breaks_any_route(real_app, callers, plain, form):
    client = callers["admin"][0]
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    for route in table(real_app):
        if route.method not in SAFE_METHODS and route.path != "/logout":
            path = filled(route.path, plain)
            answer = await client.request(route.method, path, data=form, allow_redirects=False, headers=HOME | kind)
            assert answer.status != 500, route.path


@pytest.mark.slow
async def test_a_body_over_the_limit_is_413(callers):
    client = callers["admin"][0]
    huge = b'{"name":"' + b"A" * MAX_BODY + b'"}'
    answer = await client.post("/api/v1/users", data=huge, headers=HOME | {"Content-Type": "application/json"})
    assert answer.status == 413


async def test_a_deep_or_odd_body_is_no_500(real_app, callers, plain):
    client = callers["token read"][0], callers["token read"][1]
    bodies = (
        b"[" * 50_000,
        b'{"a":' * 5_000,
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"x"',
        b'{"a":1e999}',
        b'{"\\ud800":1}',
        b"",
    )
    for route in table(real_app):
        if not route.in_api or route.method in SAFE_METHODS or route.need.value != "viewer":
            continue
        for body in bodies:
            answer = await client[0].request(
                route.method,
                filled(route.path, plain),
                data=body,
                headers=client[1] | {"Content-Type": "application/json"},
            )
            assert answer.status < 500, (route.path, body[:20])


async def test_who_sends_slowly_holds_up_nobody(callers, real_app):
    client = callers["admin"][0]
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /login HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 100\r\n\r\nname=")
    await writer.drain()
    assert (await client.get("/healthz")).status == 200
    assert (await client.get("/account", headers=PAGE)).status == 200
    writer.close()


@pytest.mark.parametrize("raw", [
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
])  # fmt: skip
async def test_malformed_http_is_refused_and_names_no_software(callers, raw):
    client = callers["admin"][0]
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(raw)
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answer[:80]
    assert b"Traceback" not in answer
    assert (await client.get("/healthz")).status == 200


async def raw(client, request, headers, body=b""):
    """The status of the answer; headers as bytes, which no client of ours would send."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(request + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers)
    writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return int(answer.split()[1])


@pytest.mark.parametrize(("password", "status"), [("wrong", 403), (PASSWORD, 303)])
async def test_headers_that_are_no_text_keep_nobody_from_logging_in(
    accounts, node, people, aiohttp_client, password, status
):
    client = await aiohttp_client(init_app(WebConfig(behind_proxy=True), accounts, node))
    odd = b"Sec-Fetch-Site: same-origin\r\nUser-Agent: caf\xe9\r\nX-Forwarded-For: 10.9.9.9\xff\r\n"
    form = b"Content-Type: application/x-www-form-urlencoded\r\n"
    body = f"name=ann&password={password}".replace(" ", "+").encode()
    assert await raw(client, b"POST /login", odd + form, body) == status
    assert [one.agent for one in people.sessions.list("ann")] == ["caf?"] * (status == 303)
    assert people.audit_trail(1)[0].address == "10.9.9.9?"


@pytest.mark.parametrize("headers", [
    b"Authorization: Bearer scp_GEHEIM\x00\r\n", b"Cookie: scanpost=GEHEIM" + b"a" * 20_000 + b"\r\n",
    b"Sec-Fetch-Site: same-origin\r\nTransfer-Encoding: chunked\r\nX: GEHEIM\r\n", b"GEHEIM\r\n",
])  # fmt: skip
async def test_of_a_request_that_cannot_be_read_nothing_stands_in_the_log(callers, headers):
    lines, log = io.StringIO(), logging.getLogger("aiohttp.server")
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonLines())
    log.addHandler(handler)
    try:
        assert await raw(callers["admin"][0], b"POST /login?token=GEHEIM", headers, b"GEHEIM") == 400
    finally:
        log.removeHandler(handler)
    (line,) = [json.loads(text) for text in lines.getvalue().splitlines()]
    assert "GEHEIM" not in lines.getvalue()
    assert (line["level"], line["action"], line["address"]) == ("warning", "request_unreadable", "127.0.0.1")


async def test_a_token_that_is_no_text_opens_nothing(accounts, node, aiohttp_client, tmp_path):
    place = tmp_path / "token"
    place.write_text("s3cret")
    client = await aiohttp_client(init_app(WebConfig(metrics_token_file=place), accounts, node))
    for path in (b"GET /metrics", b"GET /api/v1/status"):
        assert await raw(client, path, b"Authorization: Bearer \xff\r\n") == 401


async def test_a_session_that_somebody_else_chose_is_none(callers, people):
    """Session fixation: the cookie after the log-in is a new one, and the one brought along opens nothing."""
    client, chosen = callers["anonymous"][0], people.open_session("vera")
    form = {"name": "ann", "password": PASSWORD}
    cookies = {"Cookie": f"scanpost={chosen}"}
    answer = await client.post("/login", data=form, headers=HOME | cookies, allow_redirects=False)
    assert answer.cookies["scanpost"].value != chosen
    assert people.find_session(chosen) is None


async def test_a_failed_guess_counts_after_a_restart_too(callers, people, config, node):
    for _ in range(PER_NAME_AND_ADDRESS):
        form = {"name": "olga", "password": "wrong"}
        assert (await callers["anonymous"][0].post("/login", data=form, headers=HOME)).status == 403
    later = init_app(config, people, node)
    assert later[LIMITER].wait_s("olga", "127.0.0.1") > 0
    assert later[LIMITER].wait_s("olga", "10.0.0.9") == later[LIMITER].wait_s("vera", "127.0.0.1") == 0
