"""Who may do what: log-in, sessions, roles, requests from other sites, the first-run link."""

from urllib.parse import quote

import pytest
from aiohttp import WSServerHandshakeError, web
from multidict import CIMultiDict
from webgui_fakes import HOME, PAGE, PASSWORD, log_in
from yarl import URL

from protocol.clock import ManualClock
from webgui.app import init_app
from webgui.config import WebConfig
from webgui.guards import PERMISSIONS, SAFE_METHODS, Need
from webgui.limits import PER_ADDRESS, PER_NAME_AND_ADDRESS, WINDOW_S, LoginLimiter
from webgui.route import Route
from webgui.routes import add_routes

OPEN_POSTS = {"/login", "/setup", "/reset"}


def test_every_route_stands_in_the_permission_table(app):
    for route in app.router.routes():
        assert (route.method, route.resource.canonical) in app[PERMISSIONS]


def test_only_log_in_and_setup_take_changes_from_strangers(real_app):
    open_posts = {
        path
        for (method, path), need in real_app[PERMISSIONS].items()
        if method not in SAFE_METHODS and need is Need.NOTHING
    }
    assert open_posts == OPEN_POSTS


async def test_a_route_without_permission_entry_is_denied_even_to_admins(
    config, accounts, node, people, aiohttp_client
):
    async def forgotten(request):
        return web.Response(text="done")

    app = init_app(config, accounts, node)
    app.router.add_post("/forgotten", forgotten)
    client = await log_in(await aiohttp_client(app), "ann")
    assert (await client.post("/forgotten", headers=HOME)).status == 403


@pytest.fixture
async def with_admin_route(config, accounts, node, people, aiohttp_client):
    async def change(request):
        return web.Response(text="done")

    app = init_app(config, accounts, node)
    add_routes(app, [Route("POST", "/change", change, Need.ADMIN)])
    return await aiohttp_client(app)


async def test_an_admin_may_do_what_a_viewer_may_not(with_admin_route):
    client = await log_in(with_admin_route, "vera")
    assert (await client.post("/change", headers=HOME)).status == 403
    client = await log_in(with_admin_route, "ann")
    assert (await client.post("/change", headers=HOME)).status == 200


async def test_strangers_are_sent_to_the_log_in_and_programs_get_401(client, people):
    page = await client.get("/", headers=PAGE, allow_redirects=False)
    assert (page.status, page.headers["Location"]) == (303, "/login")
    deeper = await client.get("/api/v1/status?x=1&y=2", headers=PAGE, allow_redirects=False)
    assert URL(deeper.headers["Location"]).query == {"next": "/api/v1/status?x=1&y=2"}
    assert (await client.get("/api/v1/status")).status == 401
    assert (await client.get("/ws")).status == 401


@pytest.mark.parametrize(
    ("referer", "next"),
    [("{home}/targets/pacs?test=1", "/targets/pacs?test=1"), ("http://evil.example/x", "/"), (None, "/")],
)
async def test_a_form_sent_after_the_session_ended_says_so_and_where_to_log_in(client, people, referer, next):
    headers = HOME | PAGE | ({"Referer": referer.format(home=str(client.make_url("")).rstrip("/"))} if referer else {})
    answer = await client.post("/logout", headers=headers, allow_redirects=False)
    text = await answer.text()
    assert answer.status == 401 and "Your session has ended" in text and "Log in first" not in text
    assert f'href="/login?next={quote(next, safe="")}" target="_blank"' in text


async def test_logging_in_opens_the_dashboard_and_logging_out_closes_it(admin):
    assert (await admin.get("/", headers=PAGE, allow_redirects=False)).status == 200
    left = await admin.post("/logout", headers=HOME, allow_redirects=False)
    assert left.headers["Location"] == "/login"
    assert (await admin.get("/", headers=PAGE, allow_redirects=False)).status == 303


async def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(client, people):
    answer = await client.post(
        "/login", data={"name": "ann", "password": PASSWORD}, headers=HOME, allow_redirects=False
    )
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("scanpost=")
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/" in cookie and "Secure" not in cookie


async def test_behind_tls_the_cookie_is_bound_to_host_and_tls(accounts, node, people, aiohttp_client):
    client = await aiohttp_client(init_app(WebConfig(behind_proxy=True), accounts, node))
    answer = await client.post(
        "/login", data={"name": "ann", "password": PASSWORD}, headers=HOME, allow_redirects=False
    )
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-scanpost=") and "Secure" in cookie and "Domain" not in cookie


async def test_a_wrong_password_says_no_more_than_that(client, people):
    texts = []
    for name in ("ann", "nobody"):
        answer = await client.post("/login", data={"name": name, "password": "wrong password"}, headers=HOME)
        assert answer.status == 403
        texts.append((await answer.text()).replace(name, ""))
    assert texts[0] == texts[1]


async def test_guessing_is_stopped_even_for_the_right_password(client, people):
    for _ in range(PER_NAME_AND_ADDRESS):
        assert (await client.post("/login", data={"name": "ann", "password": "wrong"}, headers=HOME)).status == 403
    right = await client.post("/login", data={"name": "ann", "password": PASSWORD}, headers=HOME, allow_redirects=False)
    assert right.status == 429
    assert 0 < int(right.headers["Retry-After"]) <= WINDOW_S
    assert (await client.post("/login", data={"name": "vera", "password": PASSWORD}, headers=HOME)).status == 200


def test_the_limit_moves_on_forgives_success_and_counts_addresses():
    clock = ManualClock()
    limiter = LoginLimiter(clock)
    for _ in range(PER_NAME_AND_ADDRESS):
        limiter.fail("ann", "10.0.0.1")
    assert limiter.wait_s("ann", "10.0.0.1") == pytest.approx(WINDOW_S)
    assert limiter.wait_s("ann", "10.0.0.2") == 0
    clock.advance(WINDOW_S)
    assert limiter.wait_s("ann", "10.0.0.1") == 0
    for number in range(PER_ADDRESS):
        limiter.fail(f"user{number}", "10.0.0.3")
    assert limiter.wait_s("fresh", "10.0.0.3") > 0
    limiter.succeed("user0", "10.0.0.3")
    assert limiter.wait_s("fresh", "10.0.0.3") == 0


@pytest.mark.parametrize(
    ("first", "then", "waits"),
    [
        pytest.param("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True, id="one network"),
        pytest.param("2001:db8:1:2::1", "2001:db8:1:3::1", False, id="the network beside it"),
        pytest.param("10.0.0.1", "::ffff:10.0.0.1", True, id="one address, written in two ways"),
        pytest.param("10.0.0.1", "::ffff:10.0.0.2", False, id="two addresses"),
        pytest.param("fe80::1%eth0", "fe80::2%eth0", True, id="with a zone"),
        pytest.param("64:ff9b::a00:1", "10.0.0.1", True, id="through a translator"),
        pytest.param("64:ff9b::a00:1", "64:ff9b::a00:2", False, id="two behind a translator"),
        pytest.param("10.0.0.1:4711", "10.0.0.1:4712", True, id="a proxy that tells the port"),
        pytest.param("[2001:db8::1]:4711", "2001:db8::2", True, id="a proxy that tells the port of IPv6"),
        pytest.param("[2001:db8::1]", "2001:db8::2", True, id="a proxy that writes brackets"),
        pytest.param("unknown", "none", False, id="no addresses at all"),
    ],
)
def test_guessing_does_not_go_on_from_the_next_of_billions_of_addresses(first, then, waits):
    limiter = LoginLimiter(ManualClock())
    for _ in range(PER_NAME_AND_ADDRESS):
        limiter.fail("ann", first)
    assert (limiter.wait_s("ann", then) > 0) is waits


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "{home}"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Origin": "{home}"}, 303),
    ],
)
async def test_changes_are_taken_from_our_own_pages_only(admin, headers, status):
    home = str(admin.make_url("/")).rstrip("/")
    filled = {name: value.format(home=home) for name, value in headers.items()}
    assert (await admin.post("/logout", headers=filled, allow_redirects=False)).status == status


async def test_a_websocket_from_another_site_is_refused(admin):
    for headers in ({}, {"Origin": "http://evil.example"}):
        with pytest.raises(WSServerHandshakeError) as refused:
            await admin.ws_connect("/ws", headers=headers)
        assert refused.value.status == 403


async def test_a_disabled_user_is_out_at_the_next_request(viewer, people):
    assert (await viewer.get("/", headers=PAGE, allow_redirects=False)).status == 200
    people.disable("vera")
    assert (await viewer.get("/", headers=PAGE, allow_redirects=False)).status == 303


async def test_after_log_in_only_our_own_paths_are_gone_to(client, people):
    for wanted, place in {
        "/api/v1/status?x=1": "/api/v1/status?x=1",
        "//evil.example/": "/",
        "/\\evil.example": "/",
        "https://evil.example": "/",
        "/x\r\nSet-Cookie: a=b": "/",
        "": "/",
    }.items():
        form = {"name": "ann", "password": PASSWORD, "next": wanted}
        answer = await client.post("/login", data=form, headers=HOME, allow_redirects=False)
        assert answer.headers["Location"] == place


async def test_the_setup_link_works_once_and_logs_in(client, accounts):
    token = accounts.setup_token()
    assert (await client.get(f"/setup?token={token}")).status == 200
    form = {"token": token, "name": "Ann", "password": PASSWORD, "again": PASSWORD}
    done = await client.post("/setup", data=form, headers=HOME, allow_redirects=False)
    assert (done.status, done.headers["Location"]) == (303, "/")
    assert (await client.get("/", headers=PAGE, allow_redirects=False)).status == 200
    assert (await client.get(f"/setup?token={token}")).status == 410
    again = await client.post("/setup", data=form | {"name": "eve"}, headers=HOME, allow_redirects=False)
    assert again.status == 410
    assert [user.name for user in accounts.list_users()] == ["ann"]


async def test_setup_explains_bad_input_and_keeps_the_link(client, accounts):
    token = accounts.setup_token()
    form = {"token": token, "name": "ann", "password": PASSWORD, "again": PASSWORD}
    for change, words in (
        ({"again": "x"}, "differ"),
        ({"password": "x", "again": "x"}, "at least 12"),
        ({"name": "é"}, "no user name"),
    ):
        answer = await client.post("/setup", data=form | change, headers=HOME)
        assert answer.status == 422
        assert words in await answer.text()
    assert accounts.is_setup_token(token)


async def test_without_the_link_there_is_no_setup(client, accounts):
    accounts.setup_token()
    assert (await client.get("/setup")).status == 410
    form = {"token": "", "name": "eve", "password": PASSWORD, "again": PASSWORD}
    assert (await client.post("/setup", data=form, headers=HOME)).status == 410
    assert accounts.list_users() == []


async def test_the_forwarded_address_counts_only_behind_our_proxy(accounts, node, people, aiohttp_client):
    forwarded = HOME | {"X-Forwarded-For": "1.2.3.4, 10.9.9.9"}
    form = {"name": "ann", "password": PASSWORD}
    for config, address in ((WebConfig(), "127.0.0.1"), (WebConfig(behind_proxy=True), "10.9.9.9")):
        client = await aiohttp_client(init_app(config, accounts, node))
        await client.post("/login", data=form, headers=forwarded, allow_redirects=False)
        assert accounts.audit_trail(1)[0].address == address


async def test_of_several_forwarded_headers_the_last_counts_so_nobody_chooses_an_address(
    accounts, node, people, aiohttp_client
):
    client = await aiohttp_client(init_app(WebConfig(behind_proxy=True), accounts, node))
    for turn in range(PER_NAME_AND_ADDRESS + 1):
        lines = [("X-Forwarded-For", f"9.9.9.{turn}"), ("X-Forwarded-For", "10.9.9.9"), *HOME.items()]
        answer = await client.post("/login", data={"name": "ann", "password": "wrong"}, headers=CIMultiDict(lines))
    assert answer.status == 429
    assert {one.address for one in accounts.audit_trail(PER_NAME_AND_ADDRESS)} == {"10.9.9.9"}
