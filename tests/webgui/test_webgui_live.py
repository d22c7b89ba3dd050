"""The live feed: snapshot, changes, slow viewers, ended sessions."""

import asyncio
from datetime import datetime

import pytest
from aiohttp import WSMsgType
from webgui_fakes import PAGE, Socket

from protocol.accounts import Preferences
from protocol.clock import ManualClock
from webgui import hub as hub_module
from webgui.config import WebConfig
from webgui.figures import Reading
from webgui.hub import MOST_REMEMBERED, Hub, changes
from webgui.keys import HUB
from webgui.viewer import MAX_PENDING_ROWS, Frame, Viewer


def snap(topic):
    return lambda frame: frame["t"] == "snap" and frame["topic"] == topic


def change(topic):
    return lambda frame: frame["t"] == "d" and frame["topic"] == topic


async def test_a_subscriber_gets_a_snapshot_and_then_only_what_changes(live, node):
    await live.subscribe("targets", "arrivals")
    first = await live.frame(snap("targets"))
    assert first["d"]["pacs"]["chip"] == [["ok", "up"]]
    node.document["targets"]["pacs"] |= {"state": "failing", "fails": 3, "last_error": "refused"}
    second = await live.frame(change("targets"))
    assert second["seq"] > first["seq"]
    assert second["d"] == {"pacs": {"level": "bad", "chip": [["bad", "down"]], "error": "refused"}}


async def test_rows_that_go_are_null_and_new_rows_come_whole(live, node):
    await live.subscribe("arrivals")
    await live.frame(snap("arrivals"))
    node.arrivals = [dict(node.arrivals[0], id=8, source="CT2")]
    frame = await live.frame(change("arrivals"))
    assert frame["d"]["7"] is None
    assert frame["d"]["8"]["source"] == "CT2" and frame["d"]["8"]["modality"] == "MR"


async def test_a_hidden_page_gets_heartbeats_only_and_a_snapshot_when_it_is_back(live, node):
    await live.subscribe("targets")
    await live.frame(snap("targets"))
    await live.ws.send_json({"op": "pause"})
    await live.frame(lambda frame: frame["t"] == "hb")
    node.document["targets"]["pacs"].update(state="failing", fails=3)
    await live.frame(lambda frame: frame["t"] == "hb")
    await live.subscribe("targets")
    frame = await live.frame(lambda frame: frame["t"] != "hb")
    assert frame["t"] == "snap"


async def test_what_changed_between_the_making_of_a_page_and_its_subscription_is_told_at_once(live, app, node):
    made = app[HUB].seq
    node.changed = {"queue"}
    await app[HUB].tick()
    told = {"op": "sub", "marks": ["queue", "series"], "since": made}
    await live.ws.send_json(told)
    assert (await live.frame(lambda frame: frame["t"] == "inv"))["topic"] == "queue"
    await live.ws.send_json(told | {"since": app[HUB].seq})
    assert (await live.frame(lambda frame: True))["t"] == "hb"  # neither queue again nor series
    await live.ws.send_json(told | {"since": made - 10**6})  # of another process: nobody knows
    assert {(await live.frame(lambda frame: frame["t"] == "inv"))["topic"] for _ in range(2)} == {"queue", "series"}


def test_of_more_changes_than_are_remembered_the_oldest_count_as_changed(node):
    hub = Hub(node, WebConfig(), ManualClock())
    hub.seq += 1
    since = hub.seq
    hub._remember([f"series:{number}" for number in range(MOST_REMEMBERED + 1)])
    assert hub.missed(frozenset({"series:0"}), since - 1)
    assert not hub.missed(frozenset({"rules"}), since)


async def test_times_are_told_in_the_zone_of_who_looks(live, app, people, admin, node):
    node.arrivals = [dict(node.arrivals[0], opened=0.0)]
    await app[HUB].tick()
    await live.subscribe("arrivals")
    machine = (await live.frame(snap("arrivals")))["d"]["7"]["time"]
    assert machine == datetime.fromtimestamp(0).strftime("%Y-%m-%d %H:%M")
    people.set_preferences("ann", Preferences(time_zone="Pacific/Kiritimati"))
    origin = str(admin.make_url("/")).rstrip("/")
    async with admin.ws_connect("/ws", headers={"Origin": origin}) as ws:
        other = Socket(ws)
        await other.subscribe("arrivals")
        assert (await other.frame(snap("arrivals")))["d"]["7"]["time"] == "1969-12-31 13:20"
    page = await (await admin.get("/", headers=PAGE)).text()
    assert "1969-12-31 13:20" in page


async def test_nonsense_from_the_page_is_ignored(live):
    for text in ("", "{", "[]", "null", '{"op":"sub","topics":3}', '{"op":"dance"}', '{"op":"sub","topics":[[1]]}'):
        await live.ws.send_str(text)
    await live.subscribe("kpi")
    assert await live.frame(snap("kpi"))


async def test_a_session_that_ends_ends_its_live_page(live, people):
    people.add_user("eve", "admin", "correct horse battery")
    await live.subscribe("kpi")
    await live.frame(snap("kpi"))
    people.disable("ann")
    frame = await live.frame(lambda frame: frame["t"] == "bye")
    assert frame["code"] == 4401
    async with asyncio.timeout(60):
        while (message := await live.ws.receive()).type is WSMsgType.TEXT:
            pass
    assert live.ws.close_code == 4401, message


async def test_stopping_the_application_closes_live_pages(live, app):
    await live.subscribe("kpi")
    await live.frame(snap("kpi"))
    await app.shutdown()
    async with asyncio.timeout(60):
        while (await live.ws.receive()).type is WSMsgType.TEXT:
            pass
    assert live.ws.close_code == 1001


async def test_many_viewers_cost_one_look_per_tick(node):
    hub = Hub(node, WebConfig(), ManualClock())
    for _ in range(50):
        hub.join().subscribe(frozenset({"kpi"}))
    await hub.tick()
    assert node.looks == 1


async def test_viewers_share_the_encoded_frame(node):
    hub = Hub(node, WebConfig(), ManualClock())
    await hub.tick()
    viewers = [hub.join() for _ in range(2)]
    for viewer in viewers:
        viewer.subscribe(frozenset({"targets"}))
        viewer.take(hub.snapshot)
    node.document["targets"]["pacs"].update(state="failing", fails=3)
    await hub.tick()
    first, second = (viewer.take(hub.snapshot) for viewer in viewers)
    assert first == second and first[0] is second[0]


async def test_a_failing_source_keeps_the_last_figures(node):
    clock = ManualClock()
    hub = Hub(node, WebConfig(), clock)
    await hub.tick()
    node.failure = OSError("gone")
    clock.advance(1)
    await hub.tick()
    assert hub.reading.error == "OSError"
    assert "pacs" in hub.topics["targets"]
    assert "spool" in hub.topics["attention"]


async def test_figures_that_cannot_be_made_do_not_end_the_feed(node):
    hub = Hub(node, WebConfig(tick_s=0.01, idle_tick_s=0.01), ManualClock())
    good, node.document = node.document, {"actors": "nonsense"}
    task = asyncio.create_task(hub.run())
    try:
        async with asyncio.timeout(60):
            while node.looks < 2:
                await asyncio.sleep(0)
            node.document = good
            while not hub.topics:
                await asyncio.sleep(0)
    finally:
        task.cancel()


async def test_where_the_bus_tells_of_nothing_nobody_looks_until_something_happens_or_somebody_comes(node):
    for wake, idle_s in (("poke", 0.01), ("look", 1e6)):
        hub = Hub(node, WebConfig(idle_tick_s=idle_s, still_tick_s=1e6), ManualClock())
        hub.told = True
        before, task = node.looks, asyncio.create_task(hub.run())
        try:
            async with asyncio.timeout(60):
                while not hub.topics:
                    await asyncio.sleep(0.001)
                await asyncio.sleep(0.03)
                assert node.looks == before + 1
                getattr(hub, wake)()
                while node.looks < before + 2:
                    await asyncio.sleep(0.001)
        finally:
            task.cancel()


def viewer_of(*topics):
    viewer, hub = Viewer(), Hub(None, WebConfig(), ManualClock())
    viewer.subscribe(frozenset(topics))
    viewer.take(hub.snapshot)
    return viewer, hub


def test_a_slow_viewer_gets_the_last_value_of_each_field():
    viewer, hub = viewer_of("targets")
    viewer.offer([Frame("d", "targets", 1, {"a": {"x": "1", "y": "1"}, "b": {"x": "1"}})])
    viewer.offer([Frame("d", "targets", 2, {"a": {"x": "2"}, "b": None})])
    (text,) = viewer.take(hub.snapshot)
    assert text == Frame("d", "targets", 2, {"a": {"x": "2", "y": "1"}, "b": None}).text


def test_merging_for_one_viewer_leaves_the_shared_frame_alone():
    shared = Frame("d", "targets", 1, {"a": {"x": "1"}})
    shared.then(Frame("d", "targets", 2, {"a": {"x": "2"}}))
    assert shared.data == {"a": {"x": "1"}}


def test_a_viewer_beyond_its_bound_starts_over():
    viewer, hub = viewer_of("arrivals")
    hub.topics = {"arrivals": {"1": {"x": "1"}}}
    viewer.offer([Frame("d", "arrivals", 1, {str(n): {"x": "1"} for n in range(MAX_PENDING_ROWS + 1)})])
    texts = viewer.take(hub.snapshot)
    assert texts == ['{"t":"resync"}', Frame("snap", "arrivals", hub.seq, {"1": {"x": "1"}}).text]
    assert viewer.take(hub.snapshot) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": {"x": 1}}, {"a": {"x": 1}}, {}),
        ({"a": {"x": 1, "y": 1}}, {"a": {"x": 2, "y": 1}}, {"a": {"x": 2}}),
        ({"a": {"x": 1}}, {}, {"a": None}),
    ],
)
def test_changes_are_what_differs(before, after, expected):
    assert changes(before, after) == expected


def test_a_reading_is_empty_until_the_first_look():
    assert Reading().status == {}


async def test_one_wake_up_makes_the_page_look_early_and_a_stream_of_them_once_a_tick(monkeypatch):
    slept, poked = [], iter([True, True, False, False])

    async def sleep(seconds):
        slept.append(seconds)

    async def set_within(event, seconds):
        return next(poked)

    monkeypatch.setattr(hub_module.asyncio, "sleep", sleep)
    monkeypatch.setattr(hub_module, "_set_within", set_within)
    hub = Hub(None, WebConfig(tick_s=1.0), ManualClock())
    for _ in range(4):
        await hub._pause()
    assert slept == [0.5, 1.0, 1.0, 0.5]
