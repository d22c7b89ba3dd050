"""The API about rules: trying, backtests in processes of their own, who may ask, and what never gets out."""

import asyncio
import json
import logging
import sys

import pytest
from webgui_fakes import HOME, log_in

from protocol.clock import ManualClock, SystemClock
from protocol.settings import load_settings
from tests.scanpost.rules_node import DRAFT, NODE, Home
from webgui import jobs as job_module
from webgui.app import init_app
from webgui.jobs import JobRefused, Jobs
from webgui.keys import JOBS
from webgui.rules_source import RulesSource

CARDIAC = {"Modality": "MR", "StudyDescription": "Cardiac MR", "PatientName": "SECRET^NAME"}


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    yield made
    made.spool.close()


@pytest.fixture
def app(config, accounts, node, home):
    settings = load_settings(home.folder, {"node.name": NODE, "bus.enabled": False})
    return init_app(config, accounts, node, rules=RulesSource(settings, SystemClock()))


async def post(client, path, body, status=200, headers=HOME):
    answer = await client.post(f"/api/v1/rules{path}", json=body, headers=headers)
    assert answer.status == status, await answer.text()
    return await answer.json()


# ---- who may ask ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", "/test"), ("POST", "/backtest"), ("GET", "/backtest/x"), ("DELETE", "/backtest/x")],
)
async def test_nobody_may_ask_without_a_session(client, method, path):
    answer = await client.request(method, f"/api/v1/rules{path}", headers=HOME)
    assert answer.status == 401


@pytest.mark.parametrize("path", ["/test", "/backtest"])
async def test_another_site_cannot_make_a_browser_ask(viewer, path):
    await post(viewer, path, {}, 403, {"Sec-Fetch-Site": "cross-site"})


async def test_an_application_without_rules_has_no_such_address(config, accounts, node, people, aiohttp_client):
    client = await log_in(await aiohttp_client(init_app(config, accounts, node)), "vera")
    assert (await client.get("/api/v1/rules")).status == 404


# ---- what there is --------------------------------------------------------------------------------------------------
async def test_the_rules_are_told_with_their_counters_and_without_their_test_cases(viewer, home):
    home.series(**CARDIAC)
    found = await (await viewer.get("/api/v1/rules")).json()
    assert found["revision"] == 1 and found["rules"][0]["counts"] == {"true": 1}
    assert (found["rules"][0]["tests"], found["rules"][1]["mode"]) == (0, "shadow")
    assert (await viewer.get("/api/v1/rules?days=no")).status == 422


async def test_the_schema_of_the_routing_configuration_is_told(viewer):
    found = await (await viewer.get("/api/v1/routing/schema")).json()
    assert "rules" in found["properties"]


# ---- test -----------------------------------------------------------------------------------------------------------
async def test_a_viewer_may_try_the_rules_in_force_on_a_pasted_header(viewer):
    found = await post(viewer, "/test", {"header": json.dumps(CARDIAC)})
    assert found["decision"]["outcome"] == "route" and found["rules"][0]["explanation"]["clauses"]
    dumped = await post(viewer, "/test", {"header": "(0008,0060) CS [CT]  #   2, 1 Modality"})
    assert dumped["decision"]["outcome"] == "discard"


async def test_a_draft_or_one_rule_can_be_tried(viewer):
    found = await post(viewer, "/test", {"header": {"Modality": "MR"}, "routing": DRAFT})
    assert [one["name"] for one in found["decision"]["deliveries"]] == ["pacs", "ai"]
    one = {"when": "SenderAET == 'MR1'"}
    found = await post(viewer, "/test", {"header": {"Modality": "MR"}, "rule": one, "origin": {"calling_ae": "MR1"}})
    assert [(rule["rule"], rule["result"]) for rule in found["rules"]] == [("draft", "true")]
    changed = {"name": "cardiac", "when": "Modality == 'CT'"}
    found = await post(viewer, "/test", {"header": {"Modality": "CT"}, "rule": changed})
    assert [(rule["rule"], rule["result"]) for rule in found["rules"]] == [("cardiac", "true")]


async def test_an_arrival_of_the_spool_or_of_the_ledger_can_be_tried(viewer, home):
    arrival = home.series(**CARDIAC)
    assert (await post(viewer, "/test", {"arrival": arrival}))["images"] == 2
    assert "ledger is away" in (await post(viewer, "/test", {"arrival": 5}, 503))["error"]  # there is none yet
    home.tell_ledger()
    assert "arrival 5" in (await post(viewer, "/test", {"arrival": 5}, 404))["error"]


async def test_what_nobody_read_when_an_arrival_came_is_not_told_as_missing(viewer, home):
    body = {"arrival": home.series(**CARDIAC), "rule": {"when": "exists(SegmentSequence.SegmentLabel)"}}
    (note,) = (await post(viewer, "/test", body))["notes"]
    assert note.startswith("rule draft cannot be told: SegmentSequence.SegmentLabel may not have been read")


BAD = [
    ({"header": "hello"}, "no JSON"), ({}, "nothing to try"), ({"arrival": "7"}, "arrival"),
    ({"header": {}, "routing": {"rules": [{"name": "x", "when": "Modalty == 1", "action": "hold"}]}}, "Modality"),
    ({"header": {}, "routing": "{"}, "broken JSON"), ({"header": {}, "rule": {"when": "1 +"}}, "rules["),
    ({"header": {}, "rule": 5}, "rule"), ({"header": {}, "origin": {"x": "y"}}, "origin"), ({"header": {}, "routing": 3}, "JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "said"), BAD)
async def test_what_cannot_be_tried_is_told_in_one_line(viewer, body, said):
    assert said in (await post(viewer, "/test", body, 422))["error"]


@pytest.mark.parametrize("raw", [b"no", b"[]", b"[" * 50_000, b"\xff"])
async def test_a_body_that_is_no_object_is_refused(viewer, raw):
    answer = await viewer.post("/api/v1/rules/test", data=raw, headers=HOME)
    assert answer.status == 400


async def test_a_body_has_a_limit_above_a_large_configuration(viewer):
    large = {"header": {"Modality": "CT", "ImageComments": "x" * 500_000}}
    assert (await post(viewer, "/test", large))["images"] == 1
    answer = await viewer.post("/api/v1/rules/test", data=b"x" * (7 << 20), headers=HOME)
    assert answer.status == 413


async def test_nothing_that_was_pasted_gets_into_a_log(viewer, caplog):
    caplog.set_level(logging.DEBUG)
    await post(viewer, "/test", {"header": CARDIAC})
    await post(viewer, "/test", {"header": {"PatientName": {"SECRET": 1}}}, 422)
    assert "SECRET" not in caplog.text


# ---- backtest -------------------------------------------------------------------------------------------------------
async def over(client, id, limit_s=60.0):
    async with asyncio.timeout(limit_s):
        while True:
            found = await (await client.get(f"/api/v1/rules/backtest/{id}")).json()
            if found["state"] != "running":
                return found
            await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_a_backtest_runs_in_a_process_of_its_own_and_tells_no_patient_data(viewer, home):
    knee = home.series(Modality="MR", StudyDescription="knee")
    home.series(**CARDIAC)
    home.tell_ledger()
    id = (await post(viewer, "/backtest", {"days": 2, "routing": DRAFT}, 202))["id"]
    found = await over(viewer, id)
    assert (found["state"], found["error"], found["done"]) == ("done", "", 2)
    routed = found["result"]["difference"]["arrivals"]["newly_routed"]
    assert [one["arrival"] for one in routed["arrivals"]] == [knee]
    assert "knee" not in json.dumps(found) and "SECRET" not in json.dumps(found)
    assert (await viewer.delete(f"/api/v1/rules/backtest/{id}", headers=HOME)).status == 204
    assert (await viewer.get(f"/api/v1/rules/backtest/{id}")).status == 404


@pytest.mark.slow
async def test_a_backtest_without_a_ledger_fails_in_words(viewer):
    found = await over(viewer, (await post(viewer, "/backtest", {}, 202))["id"])
    assert found["state"] == "failed" and found["result"] is None and found["error"]


@pytest.mark.parametrize("body", [{"days": 0}, {"days": "x"}, {"days": True}, {"days": 1e9}, {"routing": {"x": 1}}])
async def test_a_backtest_that_cannot_be_is_refused(viewer, body):
    await post(viewer, "/backtest", body, 422)


SLEEPER = (
    sys.executable,
    "-c",
    'import sys, time; sys.stdin.readline(); print(\'{"done": 1, "total": 3}\', flush=True); time.sleep(60)',
)


@pytest.fixture
async def jobs():
    made = Jobs(SystemClock(), SLEEPER)
    yield made
    await made.close()


async def told(job):
    async with asyncio.timeout(30):
        while not job.done:
            await asyncio.sleep(0.01)


async def test_each_user_has_one_backtest_at_a_time_and_sees_his_own_only(jobs):
    first = await jobs.start("ann", "{}")
    with pytest.raises(JobRefused, match="you have"):
        await jobs.start("ann", "{}")
    assert jobs.find(first.id, "vera") is None and jobs.find(first.id, "ann") is first
    await jobs.start("vera", "{}")
    with pytest.raises(JobRefused, match="too many"):
        await jobs.start("eve", "{}")


async def test_cancelling_ends_the_process_and_makes_room(jobs):
    job = await jobs.start("ann", "{}")
    await told(job)
    await jobs.cancel(job)
    assert job.state == "cancelled" and job.process.returncode is not None and jobs.find(job.id, "ann") is None
    assert (await jobs.start("ann", "{}")).state == "running"


async def test_the_end_of_the_page_ends_its_backtests(app, client):
    app[JOBS]._command = SLEEPER
    job = await app[JOBS].start("ann", "{}")
    await told(job)
    await client.close()
    await client.server.close()
    assert job.process.returncode is not None


@pytest.mark.parametrize("text", ["print('no json')", "pass", 'print(\'{"error": "away"}\')'])
async def test_a_process_that_ends_without_a_result_has_failed(text):
    made = Jobs(SystemClock(), (sys.executable, "-c", text))
    job = await made.start("ann", "{}")
    await asyncio.wait([job.task])
    assert job.state == "failed" and job.error and job.result is None


async def test_results_are_forgotten_after_a_while_and_when_there_are_many(monkeypatch):
    clock = ManualClock()
    made = Jobs(clock, (sys.executable, "-c", "print('{\"result\": {}}')"))
    monkeypatch.setattr(job_module, "KEPT", 2)
    ids = []
    for _ in range(4):
        job = await made.start("ann", "{}")
        await asyncio.wait([job.task])
        ids.append(job.id)
    assert [made.find(id, "ann") is not None for id in ids] == [False, False, True, True]
    clock.advance(job_module.KEPT_S + 1)
    assert made.find(ids[-1], "ann") is None


async def test_a_backtest_that_takes_too_long_is_ended(monkeypatch):
    monkeypatch.setattr(job_module, "LONGEST_S", 0.2)
    made = Jobs(SystemClock(), SLEEPER)
    job = await made.start("ann", "{}")
    await asyncio.wait([job.task])
    assert job.state == "failed" and "longer" in job.error and job.process.returncode is not None
