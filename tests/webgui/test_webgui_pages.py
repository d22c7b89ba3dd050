"""What the pages answer: figures, escaping, headers, errors, health, metrics."""

import json

import pytest
from webgui_fakes import HOME, PAGE, log_in

from protocol.errors import SpoolMissing
from webgui.app import init_app
from webgui.config import WebConfig
from webgui.guards import CSP
from webgui.keys import ASSETS

EVIL = "<img src=x onerror=alert(1)>\"'{{7*7}}"


async def text_of(client, path="/"):
    answer = await client.get(path, headers=PAGE)
    assert answer.status == 200
    return await answer.text()


async def test_the_dashboard_shows_the_node_without_javascript(admin):
    page = await text_of(admin)
    for word in ("all is well", "receiver", "1/1", "pacs", "MR1", "in delivery", "42 s", "400 GB"):
        assert word in page, word


async def test_values_from_scanners_and_targets_stay_text(admin, node):
    node.arrivals[0] |= {"source": EVIL, "modality": EVIL, "deliveries": [{"target": EVIL, "state": EVIL}]}
    node.document["targets"][EVIL] = {"state": "failing", "fails": 3, "last_error": EVIL, "waiting": 1}
    page = await eventually(admin, lambda text: "onerror" in text)
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;&#34;&#39;{{7*7}}" in page


async def test_an_empty_node_says_where_to_send(accounts, node, people, aiohttp_client):
    node.arrivals = []
    config = WebConfig(ae_title="ROUTER", dicom_host="pacs-gw", dicom_port=10400)
    client = await log_in(await aiohttp_client(init_app(config, accounts, node)), "ann")
    page = await text_of(client)
    assert "No series yet" in page
    assert "ROUTER" in page and "pacs-gw" in page and "10400" in page
    assert "scanpost send pacs-gw 10400" in page


async def test_an_unreadable_spool_is_said_and_the_page_goes_on(admin, node):
    node.failure = SpoolMissing()
    page = await eventually(admin, lambda text: "The spool cannot be read" in text)
    assert "scanpost spool rebuild" in page


async def test_a_source_that_breaks_shows_its_kind_and_no_inside(admin, node):
    node.failure = RuntimeError("secret inside")
    page = await eventually(admin, lambda text: "RuntimeError" in text)
    assert "secret inside" not in page


async def eventually(client, fits):
    for _ in range(200):
        page = await text_of(client)
        if fits(page):
            return page
    raise AssertionError("never came")


async def test_every_answer_carries_the_security_headers(admin):
    for path, status in (("/", 200), ("/login", 303), ("/nothing", 404), ("/healthz", 200), ("/metrics", 200)):
        answer = await admin.get(path, allow_redirects=False)
        assert answer.status == status
        assert answer.headers["Content-Security-Policy"] == CSP
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Server" not in answer.headers


async def test_pages_hold_nothing_that_the_policy_would_block(admin, accounts):
    for path in ("/", "/setup", "/nothing"):
        page = await (await admin.get(path, headers=PAGE)).text()
        assert " style=" not in page and " onclick=" not in page and "<style" not in page
        assert page.count("<script") == page.count('<script src="/static/')


async def test_errors_are_pages_for_people_and_json_for_programs(admin):
    page = await admin.get("/nothing", headers=PAGE)
    assert page.status == 404 and "There is no such page" in await page.text()
    assert (await (await admin.get("/nothing")).json())["error"] == "There is no such page"
    wrong = await admin.post("/healthz", headers=HOME)
    assert (wrong.status, wrong.headers["Allow"]) == (405, "GET,HEAD")


async def test_who_may_not_see_a_page_is_told_so_on_a_page(real_viewer):
    answer = await real_viewer.get("/users", headers=PAGE)
    assert answer.status == 403 and "Only admins may do this." in await answer.text()


async def refused(client, referer):
    """The page of a form that was refused."""
    answer = await client.post("/targets/pacs/pause", data={}, headers=HOME | PAGE | {"Referer": referer})
    assert answer.status == 422
    return await answer.text()


async def test_a_refused_form_leads_back_to_the_page_it_was_on(real_admin):
    here = str(real_admin.make_url("/"))
    assert '<a href="/targets/pacs?a=1&amp;b=%22">Back</a>' in await refused(
        real_admin, f"{here}targets/pacs?a=1&b=%22"
    )
    for nowhere in ("", here, f"{here}targets/save", "x", "http://["):
        assert ">Back</a>" not in await refused(real_admin, nowhere)


async def test_no_foreign_page_becomes_a_way_back(real_admin):
    here = str(real_admin.make_url("/"))
    for foreign in ("https://evil.example/targets/pacs", f"{here}/evil.example/x", f"{here}\\evil.example",
                    here.replace("//", "//evil.example@"), "javascript:alert(1)", "//evil.example/x"):  # fmt: skip
        text = await refused(real_admin, foreign)
        assert ">Back</a>" not in text and "evil.example" not in text


async def test_static_files_are_kept_for_good_under_their_hash_only(app, client):
    answer = await client.get(app[ASSETS].url("app.css"))
    assert answer.status == 200 and "immutable" in answer.headers["Cache-Control"]
    assert (await client.get("/static/00000000/app.css")).headers["Cache-Control"] == "no-store"
    for path in (
        "/static/0/../config.py",
        "/static/0/%2e%2e/config.py",
        "/static/0/..%2fconfig.py",
        "/static/0/none.js",
    ):
        assert (await client.get(path)).status == 404


async def test_healthz_answers_without_looking_at_the_node(client, node):
    node.failure = SpoolMissing()
    answer = await client.get("/healthz")
    assert (answer.status, await answer.json()) == (200, {"alive": True})


@pytest.mark.parametrize("case", ["ready", "not ready", "no spool", "drained", "disk", "starting"])
async def test_readyz_follows_the_node(app, node, aiohttp_client, case):
    if case == "not ready":
        node.document["ready"] = False
        node.document["actors"]["receiver"]["state"] = "missing"
    if case == "drained":
        drain = {"since": 1.0, "by": "ann", "reason": "new disk"}
        node.document.update(ready=False, serving=True, draining=drain)
    if case == "disk":
        node.document.update(ready=False, serving=False)
        node.document["disk"].update(state="reserve", free_bytes=3.8e9, reserve_bytes=5e9)
    if case == "starting":
        node.document.update(ready=False, serving=False)
        node.document["actors"]["router"]["state"] = "starting"
    if case == "no spool":
        node.failure = SpoolMissing()
    client = await aiohttp_client(app)
    answer = await client.get("/readyz")
    body = await answer.json()
    assert (answer.status == 200) == body["ready"] == (case == "ready")
    if case == "not ready":
        assert body["reasons"] == ["receiver is missing"]
    if case == "disk":
        (reason,) = body["reasons"]
        assert reason == "the disk has 3.8 GB left, less than its reserve of 5.0 GB: new images are refused"
    if case == "starting":
        assert body["reasons"] == ["router is starting"]
    if case == "drained":
        assert body["reasons"] == ["the node is being drained: new images are refused"]
        assert body["serving"] and body["draining"]
    if case == "no spool":
        assert "scanpost spool rebuild" in body["reasons"][0]


async def test_metrics_tell_the_status_and_name_nobody(app, aiohttp_client, node):
    node.document["targets"]["pacs"].update(state="failing", fails=3)
    client = await aiohttp_client(app)
    text = await (await client.get("/metrics")).text()
    for line in (
        "scanpost_images_received_total 100.0",
        'scanpost_images{state="in_delivery"} 30.0',
        'scanpost_deliveries{state="waiting"} 3.0',
        'scanpost_target_up{target="pacs"} 0.0',
        'scanpost_actor_up{actor="receiver"} 1.0',
        "scanpost_spool_disk_free_bytes 4e+11",
        'scanpost_build_info{version="0.1.0"} 1.0',
    ):
        assert line in text.splitlines(), line
    assert all(line.startswith(("#", "scanpost_")) for line in text.splitlines())
    assert "MR1" not in text


async def test_metrics_say_when_the_spool_cannot_be_read(client, node):
    node.failure = SpoolMissing()

    async def readable():
        return "scanpost_status_readable 0.0" in (await (await client.get("/metrics")).text()).splitlines()

    for _ in range(200):
        if await readable():
            return
    raise AssertionError("never came")


async def test_the_json_twin_is_the_status_document(viewer, node):
    body = json.loads(await (await viewer.get("/api/v1/status")).text())
    assert body == node.document
