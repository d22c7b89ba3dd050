"""Dashboard and wall over a real node: what they show, and what operators do there."""

import pytest
from webgui_fakes import HOME, PAGE

from protocol.spool.alerting import Symptom
from protocol.spool.alerts import Step
from protocol.testing.images import TestImage
from webgui.areas.dashboard import region
from webgui.areas.dashboard.flowmap import flow_map


@pytest.fixture
def busy(real):
    """A series that came and was recorded before the page looks."""
    arrival = real.arrival(*[TestImage(instance=n) for n in range(3)], calling_ae="MR7")
    real.record()
    return arrival


@pytest.fixture
def down(real):
    """A target that is down, as an alert tells."""
    symptom = Symptom("target.down.pacs", "target pacs is down", "critical", "target/pacs")
    real.spool.alerts.apply([Step("raise", symptom)])


async def text_of(client, path="/"):
    answer = await client.get(path, headers=PAGE)
    assert answer.status == 200
    return await answer.text()


async def test_figures_of_the_node_stand_on_dashboard_and_wall(busy, real_admin):
    for path in ("/", "/?range=8h", "/wall"):
        page = await text_of(real_admin, path)
        assert "MR7" in page and "pacs" in page and 'id="charts"' in page, path


async def test_flows_of_the_last_hour_are_drawn_and_listed(busy, real_admin):
    page = await text_of(real_admin)
    assert "MR7 by all to pacs: 1 series/h" in page
    body = await (await real_admin.get("/api/v1/dashboard")).json()
    assert body["flows"][0]["source"] == "MR7"
    assert body["topics"]["kpi"]["waiting"]["value"] == "1"


async def test_no_patient_data_on_wall_and_dashboard(busy, real_admin):
    for path in ("/", "/wall", "/api/v1/dashboard", "/api/v1/dashboard/chart"):
        page = await text_of(real_admin, path)
        assert "Test^Image" not in page and "Test Image" not in page


async def test_a_chart_has_whole_buckets_of_the_range_asked_for(real_viewer):
    body = await (await real_viewer.get("/api/v1/dashboard/chart?range=1d")).json()
    assert (body["width_s"], body["span_s"]) == (60, 86_400)
    assert 1438 <= len(body["rows"]) <= 1442
    wrong = await real_viewer.get("/api/v1/dashboard/chart?range=year")
    assert wrong.status == 422


async def test_an_operator_pauses_a_target_with_a_way_back(real, real_admin):
    real.answering()
    answer = await real_admin.post("/dashboard/pause", data={"target": "pacs", "reason": "moved"}, headers=HOME)
    page = await answer.text()
    assert real.spool.targets.all()["pacs"].reason == "moved"
    assert 'action="/dashboard/resume"' in page and "Undo" in page
    await real_admin.post("/dashboard/resume", data={"target": "pacs"}, headers=HOME)
    assert not real.spool.targets.all()["pacs"].paused


async def test_taking_care_of_an_alert_is_remembered_with_who(down, real, real_admin, accounts):
    assert "Target pacs is down" in await text_of(real_admin)
    await real_admin.post("/dashboard/acknowledge", data={"alert": "target.down.pacs"}, headers=HOME)
    assert real.spool.alerts.get("target.down.pacs").by == "ann"
    assert accounts.audit_trail()[0].action == "alert.acknowledge"


async def test_lookers_on_have_no_buttons_and_no_power(down, real_viewer):
    page = await text_of(real_viewer)
    assert "/dashboard/pause" not in page and "/dashboard/acknowledge" not in page
    for path in ("/dashboard/pause", "/dashboard/resume", "/dashboard/acknowledge"):
        answer = await real_viewer.post(path, data={"target": "pacs", "alert": "clock"}, headers=HOME)
        assert answer.status == 403


async def test_an_open_dashboard_fetches_the_map_of_flows_alone_and_it_is_drawn_once(busy, real_admin, monkeypatch):
    drawn = []
    monkeypatch.setattr(region, "flow_map", lambda *given: drawn.append(given) or flow_map(*given))
    ask = {**PAGE, "X-Refresh": "flow"}
    first, second = [await (await real_admin.get("/", headers=ask)).text() for _ in range(2)]
    assert "MR7 by all to pacs: 1 series/h" in first and 'id="flow" data-refresh="flow"' in first
    assert 'id="charts"' not in first and "ann" not in first
    assert len(drawn) == 1 and "MR7 by all to pacs" in second
    monkeypatch.setattr(region, "mapped", lambda reading: ("another",))
    await real_admin.get("/", headers=ask)
    assert len(drawn) == 2
    assert (await real_admin.get("/", headers={**PAGE, "X-Refresh": "flow other"})).status == 200


async def test_pages_are_told_of_the_map_only_when_it_changed(live, node):
    await live.subscribe(marks=["flow"])
    node.document["images"]["received"] += 1
    await live.frame(lambda frame: frame["t"] == "hb")
    node.document["targets"]["pacs"]["state"] = "paused"
    assert (await live.frame(lambda frame: frame["t"] != "hb"))["topic"] == "flow"
