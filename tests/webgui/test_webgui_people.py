"""Users, accounts, tokens, one-time links, masked patient data: what pages and API do, and who may."""

import re
from dataclasses import replace

import pytest
from webgui_fakes import HOME, PAGE, PASSWORD, log_in

from protocol.accounts import Preferences, Role
from webgui.app import init_app
from webgui.limits import PER_NAME_AND_ADDRESS
from webgui.node import Node
from webgui.patients import MASK
from webgui.source import SpoolSource

OTHER = "a staple of their own"


async def post(client, where, /, **form):
    return await client.post(where, data=form, headers=HOME | PAGE, allow_redirects=False)


async def text(client, path):
    answer = await client.get(path, headers=PAGE)
    assert answer.status == 200, path
    return await answer.text()


def bearer(people, owner, *scopes):
    return {"Authorization": "Bearer " + people.tokens.create(owner, "-".join(scopes), scopes)}


async def test_an_admin_adds_a_user_whose_link_sets_the_password(real_admin, people, real_app, aiohttp_client):
    made = await post(real_admin, "/users", name="Olga", role="operator")
    link = re.search(r"http://[^<\s]+/reset\?token=[\w-]+", await made.text()).group()
    assert made.status == 200
    assert link not in await text(real_admin, "/users/olga")
    browser = await aiohttp_client(real_app)
    path = link[link.index("/reset") :]
    assert "olga" in await text(browser, path)
    token = path.partition("=")[2]
    assert (await post(browser, "/reset", token=token, password=OTHER, again="x")).status == 422
    done = await post(browser, "/reset", token=token, password=OTHER, again=OTHER)
    assert (done.status, done.headers["Location"]) == (303, "/")
    assert "olga" in await text(browser, "/account")
    assert (await browser.get(path)).status == 410
    assert (await post(browser, "/reset", token=token, password=OTHER, again=OTHER)).status == 410
    assert people.authenticate("olga", OTHER).role is Role.OPERATOR


async def test_what_is_wrong_with_a_new_user_is_said_at_the_field(real_admin, people):
    for form, words in (({"name": "ann", "role": "viewer"}, "already"), ({"name": "<b>", "role": "viewer"}, "no user name"),
                        ({"name": "x", "role": "root"}, "field-error")):  # fmt: skip
        answer = await post(real_admin, "/users", **form)
        assert answer.status == 422 and words in await answer.text()
    assert len(people.list_users()) == 2


async def test_role_and_access_change_at_once_and_can_be_taken_back(real_admin, people):
    session = people.open_session("vera")
    changed = await post(real_admin, "/users/vera/change", role="operator")
    assert changed.headers["Location"] == "/users/vera"
    assert people.find_session(session).user.role is Role.OPERATOR
    page = await text(real_admin, "/users/vera")
    assert "vera is operator now." in page and 'name="role" value="viewer"' in page
    await post(real_admin, "/users/vera/change", disabled="true")
    assert people.find_session(session) is None
    assert (await post(real_admin, "/users/ann/change", role="viewer")).status == 422
    assert people.find_user("ann").role is Role.ADMIN
    actions = [entry.action for entry in people.audit_trail(2)]
    assert actions == ["user disable", "user role"]


async def test_an_admin_ends_sessions_and_tokens_of_others(real_admin, people):
    session, secret = people.open_session("vera"), people.tokens.create("vera", "script", ["read"])
    id, token = people.find_session(session).id, people.tokens.list("vera")[0].id
    await post(real_admin, "/users/vera/sessions", id=id)
    await post(real_admin, "/users/vera/tokens", id=token)
    assert people.find_session(session) is None and people.tokens.find(secret) is None
    assert (await post(real_admin, "/users/vera/sessions", id="0" * 16)).status == 422
    assert (await real_admin.get("/users/nobody")).status == 404


async def test_a_new_password_needs_the_old_one_and_ends_the_other_sessions(real_viewer, people):
    other = people.open_session("vera")
    wrong = await post(real_viewer, "/account/password", current="wrong", password=OTHER, again=OTHER)
    assert wrong.status == 422 and "not your password" in await wrong.text()
    for form in (
        {"again": "x"},
        {"password": "short", "again": "short"},
        {"password": "vera vera vera", "again": "vera vera vera"},
    ):
        given = {"current": PASSWORD, "password": OTHER, "again": OTHER} | form
        assert (await post(real_viewer, "/account/password", **given)).status == 422
    done = await post(real_viewer, "/account/password", current=PASSWORD, password=OTHER, again=OTHER)
    assert done.status == 303
    assert people.find_session(other) is None
    assert "Your password is changed" in await text(real_viewer, "/account")
    assert people.authenticate("vera", OTHER)


async def test_a_stolen_session_cannot_guess_the_password(real_viewer, people):
    for _ in range(PER_NAME_AND_ADDRESS):
        await post(real_viewer, "/account/password", current="wrong", password=OTHER, again=OTHER)
    late = await post(real_viewer, "/account/password", current=PASSWORD, password=OTHER, again=OTHER)
    assert late.status == 422 and "Too many" in await late.text()


async def test_times_and_colours_follow_the_user(real_viewer, people):
    await post(real_viewer, "/account/preferences", theme="dark", time_zone="Pacific/Kiritimati")
    assert people.find_user("vera").preferences == Preferences("dark", "Pacific/Kiritimati")
    page = await text(real_viewer, "/account")
    assert 'data-theme="dark"' in page
    from datetime import datetime
    from zoneinfo import ZoneInfo

    created = people.sessions.list("vera")[0].created
    assert datetime.fromtimestamp(created, ZoneInfo("Pacific/Kiritimati")).strftime("%H:%M:%S") in page
    bad = await post(real_viewer, "/account/preferences", theme="dark", time_zone="../../etc/passwd")
    assert bad.status == 422


async def test_a_user_ends_own_sessions_and_not_those_of_others(real_viewer, people):
    mine, other = people.open_session("vera"), people.open_session("ann")
    refused = await post(real_viewer, "/account/sessions", id=people.find_session(other).id)
    assert refused.status == 422 and people.find_session(other)
    await post(real_viewer, "/account/sessions", id="all")
    assert people.find_session(mine) is None
    assert (await real_viewer.get("/account", headers=PAGE, allow_redirects=False)).status == 200


async def test_a_token_is_shown_once_and_opens_the_api_alone(real_viewer, real_app, aiohttp_client, people):
    made = await post(real_viewer, "/account/tokens", name="report", scope="read", days="30")
    secret = re.search(r"scp_[\w-]+", await made.text()).group()
    assert secret not in await text(real_viewer, "/account")
    program = await aiohttp_client(real_app)
    headers = {"Authorization": f"Bearer {secret}"}
    told = await (await program.get("/api/v1/account", headers=headers)).json()
    assert (told["name"], told["role"], told["token"]) == ("vera", "viewer", "report")
    assert told["tokens"][0]["last_used"] is not None
    assert (await program.get("/account", headers=headers | PAGE, allow_redirects=False)).status == 401
    assert (await program.get("/ws", headers=headers)).status == 401
    await post(real_viewer, "/account/tokens/revoke", id=told["tokens"][0]["id"])
    gone = await program.get("/api/v1/account", headers=headers)
    assert gone.status == 401 and gone.headers["WWW-Authenticate"].startswith("Bearer")
    assert (await post(real_viewer, "/account/tokens", name="more", scope="admin", days="30")).status == 422


async def test_tokens_pass_the_same_table_as_people(real_app, aiohttp_client, people):
    program = await aiohttp_client(real_app)
    for scope, status in (("read", 403), ("operate", 403), ("admin", 200)):
        answer = await program.get("/api/v1/users", headers=bearer(people, "ann", scope))
        assert answer.status == status, scope
    body = {"name": "newcomer", "role": "viewer"}
    added = await program.post("/api/v1/users", json=body, headers=bearer(people, "ann", "admin", "phi"))
    assert added.status == 201 and "/reset?token=" in (await added.json())["link"]
    assert people.audit_trail(2)[1].who == "ann (token admin-phi)"


async def test_a_token_beside_a_cookie_counts_alone(real_admin, people):
    weak = bearer(people, "vera", "read")
    assert (await real_admin.get("/api/v1/users", headers=weak)).status == 403
    assert (await real_admin.get("/api/v1/users", headers={"Authorization": "Bearer nonsense"})).status == 401


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/api/v1/account/preferences", {"theme": "dark"}),
        ("PUT", "/api/v1/account/columns", {"name": "queue"}),
        ("POST", "/api/v1/account/tokens", {"name": "child", "scope": "admin"}),
        ("DELETE", "/api/v1/account/tokens/1", None),
    ],
)
async def test_no_token_changes_the_account_of_its_owner(real_app, aiohttp_client, people, method, path, body):
    program = await aiohttp_client(real_app)
    answer = await program.request(method, path, json=body, headers=bearer(people, "ann", "read"))
    assert answer.status == 403
    assert len(people.tokens.list("ann")) == 1


async def test_the_api_of_users_is_the_twin_of_the_pages(real_admin, people):
    headers = HOME
    people.tokens.create("vera", "script", ["read"])
    people.open_session("vera")
    listed = (await (await real_admin.get("/api/v1/users")).json())["users"]
    assert [(one["name"], one["tokens"], one["sessions"]) for one in listed] == [("ann", 0, 1), ("vera", 1, 1)]
    changed = await real_admin.patch("/api/v1/users/vera", json={"role": "operator"}, headers=headers)
    assert (await changed.json())["role"] == "operator"
    link = (await (await real_admin.post("/api/v1/users/vera/link", headers=headers)).json())["link"]
    assert people.links.user_of(link.partition("=")[2]) == "vera"
    assert (await real_admin.delete("/api/v1/users/vera/sessions", headers=headers)).status == 204
    token = people.tokens.list("vera")[0].id
    assert (await real_admin.delete(f"/api/v1/users/vera/tokens/{token}", headers=headers)).status == 204
    assert people.tokens.list("vera") == people.sessions.list("vera") == []
    assert (await real_admin.patch("/api/v1/users/nobody", json={}, headers=headers)).status == 404
    assert (await real_admin.patch("/api/v1/users/vera", json={"role": "king"}, headers=headers)).status == 422


# ---- masked patient data ----------------------------------------------------------------------------------------
@pytest.fixture
def site(config, accounts, real, aiohttp_client, people):
    """Makes an application that masks, and clients of it."""
    behind, source = Node(real.settings, real.clock), SpoolSource(real.settings, real.clock)
    people.add_user("olga", "operator", PASSWORD)

    async def make(**settings):
        from aiohttp import web

        from webgui import answers, patients
        from webgui.guards import Need
        from webgui.route import Route
        from webgui.routes import add_routes

        async def show(request):
            return answers.given(
                {"name": patients.shown(request, "DOE^JOHN"), "document": patients.hide(request, DOCUMENT)}
            )

        app: web.Application = init_app(replace(config, **settings), accounts, source, real.clock, None, behind)
        add_routes(app, [Route("GET", "/api/v1/patient", show, Need.VIEWER), Route("GET", "/other", show, Need.VIEWER)])
        return app

    yield make
    behind.close()
    source.close()


DOCUMENT = {"PatientID": "4711", "inner": [{"patient_name": "DOE"}, {"Modality": "CT"}], "AccessionNumber": ""}
HIDDEN = {"PatientID": MASK, "inner": [{"patient_name": MASK}, {"Modality": "CT"}], "AccessionNumber": ""}


async def name(client, path="/api/v1/patient", **more):
    return (await (await client.get(path, **more)).json())["name"]


async def test_patient_data_are_masked_for_whom_the_settings_say(site, aiohttp_client):
    for masked, seen in (("nobody", ["vera", "olga", "ann"]), ("viewers", ["olga", "ann"]), ("everybody", [])):
        app = await site(mask_phi=masked)
        for user in ("vera", "olga", "ann"):
            client = await log_in(await aiohttp_client(app), user)
            told = await (await client.get("/api/v1/patient")).json()
            assert (told["name"] == "DOE^JOHN") == (user in seen)
            assert told["document"] == (DOCUMENT if user in seen else HIDDEN)


async def test_revealing_is_for_one_page_and_stands_in_the_audit(site, aiohttp_client, people):
    app = await site(mask_phi="everybody")
    client, other = await log_in(await aiohttp_client(app), "olga"), await log_in(await aiohttp_client(app), "ann")
    done = await post(client, "/reveal", path="/api/v1/patient?x=1")
    assert done.headers["Location"] == "/api/v1/patient?x=1"
    assert await name(client) == "DOE^JOHN"
    assert await name(client, "/other") == await name(other) == MASK
    entry = people.audit_trail(1)[0]
    assert (entry.who, entry.action, entry.object) == ("olga", "patient reveal", "/api/v1/patient")
    assert (await post(client, "/reveal", path="//evil.example")).headers["Location"] == "/"


async def test_read_only_users_reveal_nothing_unless_they_may(site, aiohttp_client):
    client = await log_in(await aiohttp_client(await site(mask_phi="viewers")), "vera")
    assert (await post(client, "/reveal", path="/api/v1/patient")).status == 403
    assert await name(client) == MASK
    client = await log_in(await aiohttp_client(await site(mask_phi="viewers", viewers_may_reveal=True)), "vera")
    assert (await post(client, "/reveal", path="/api/v1/patient")).status == 303
    assert await name(client) == "DOE^JOHN"


async def test_a_token_sees_patients_by_its_scope_alone(site, aiohttp_client, people):
    client = await aiohttp_client(await site(mask_phi="nobody"))
    assert await name(client, headers=bearer(people, "ann", "admin")) == MASK
    assert await name(client, headers=bearer(people, "vera", "read", "phi")) == "DOE^JOHN"
    masking = await aiohttp_client(await site(mask_phi="viewers"))
    assert await name(masking, headers=bearer(people, "ann", "read", "phi")) == "DOE^JOHN"
    assert await name(masking, headers=bearer(people, "vera", "phi")) == MASK
    viewer = await log_in(masking, "vera")
    assert (await post(viewer, "/account/tokens", name="p", scope="read", days="1", phi="true")).status == 403
