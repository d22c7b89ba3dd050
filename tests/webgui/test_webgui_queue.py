"""The queue: by state and cause, acts on one, on some and on all that match, with the question before and the undo behind."""

import csv
import io
import re

import pytest
from webgui_fakes import HOME, PAGE

from protocol.causes import Cause
from protocol.testing.images import TestImage


async def text_of(client, path, status=200):
    answer = await client.get(path, headers=PAGE)
    assert answer.status == status, await answer.text()
    return await answer.text()


async def listed(client, query=""):
    return await (await client.get(f"/api/v1/queue{query}")).json()


def fail(real, cause, *, park=False):
    """The next delivery that is due fails; its id."""
    owner = real.spool.workers.enter("dispatcher", "0").owner
    claim = real.spool.deliveries.claim(owner, {"pacs": 99}, now=real.clock.now())
    if park:
        real.spool.deliveries.park(claim, "called AE title not recognised", cause)
    else:
        real.spool.deliveries.retry(claim, real.clock.now() + 600, "connection refused", cause)
    return claim.delivery


@pytest.fixture
def queue(real):
    """One delivery that waits, one that retries, one that gave up, one that gave up for another cause: their ids."""
    for number in range(1, 5):
        real.arrival(TestImage(study=number), calling_ae="MR1" if number == 4 else "CT1")
    retrying = fail(real, Cause.CONNECTION_REFUSED)
    parked, other = fail(real, Cause.UNKNOWN_AE, park=True), fail(real, Cause.CONNECTION_REFUSED, park=True)
    (waiting,) = [row["id"] for row in real.spool.deliveries.list(states=("waiting",))]
    return {"waiting": waiting, "retrying": retrying, "parked": parked, "other": other}


def state(real, id):
    return real.spool.deliveries.get(id)["state"]


async def test_an_empty_queue_is_good_news(real_viewer):
    assert "Nothing waits" in await text_of(real_viewer, "/queue")


async def test_tabs_count_by_state_and_list_what_is_in_it(real_viewer, queue):
    everything = await listed(real_viewer)
    assert everything["counts"] == {"waiting": 1, "retrying": 1, "parked": 2}
    assert {one["id"] for one in everything["deliveries"]} == set(queue.values())
    for name in ("waiting", "retrying"):
        assert [one["id"] for one in (await listed(real_viewer, f"?state={name}"))["deliveries"]] == [queue[name]]
    assert (await listed(real_viewer, "?state=done"))["deliveries"] == []
    text = await text_of(real_viewer, "/queue?state=parked")
    assert "called AE title not recognised" in text and "Gave up" in text and "Test, Image" in text


async def test_a_target_that_is_away_has_a_next_probe_and_a_paused_one_says_who_did_it_and_until_when(
    real, real_viewer, queue
):
    probe = real.clock.now() + 7200
    real.spool.targets.leave_alone("pacs", probe, "connection refused")
    (one,) = (await listed(real_viewer, "?state=retrying"))["deliveries"]
    assert one["due"] == probe and "next probe" in await text_of(real_viewer, "/queue?state=retrying")
    command = real.spool.commands.ask("target.pause", "ann", {"target": "pacs"})
    real.spool.targets.pause("pacs", "new disk", "ann", real.clock.now() + 3600, command)
    for name in ("retrying", "waiting"):
        text = await text_of(real_viewer, f"/queue?state={name}")
        assert "paused by ann: new disk (until" in text and "next probe" not in text
    rows = csv.DictReader(io.StringIO(await text_of(real_viewer, "/queue?format=csv")))
    assert {row["state"]: row["paused"] for row in rows} == {
        "waiting": "paused by ann: new disk", "retrying": "paused by ann: new disk", "parked": "",
    }  # fmt: skip


async def test_filters_and_pages(real_viewer, queue):
    (one,) = (await listed(real_viewer, "?cause=unknown_ae"))["deliveries"]
    assert (one["id"], one["cause"], one["error"]) == (queue["parked"], "unknown_ae", "called AE title not recognised")
    assert (await listed(real_viewer, "?source=MR1"))["counts"] == {"waiting": 1}
    first = await listed(real_viewer, "?limit=3")
    rest = await listed(real_viewer, f"?limit=3&after={first['next']}")
    assert len(first["deliveries"]) == 3 and len(rest["deliveries"]) == 1 and rest["next"] is None
    assert (await real_viewer.get("/api/v1/queue?state=lost")).status == 422


@pytest.mark.parametrize(
    ("by", "expected"), [("target", [["pacs", 4]]), ("rule", [["all", 4]]), ("source", [["CT1", 3], ["MR1", 1]])]
)
async def test_groups_say_how_many_belong_to_what(real_viewer, queue, by, expected):
    found = (await listed(real_viewer, f"?group={by}"))["groups"]
    assert [[one["name"], one["count"]] for one in found] == expected
    assert f"By {by}" in await text_of(real_viewer, f"/queue?group={by}")


async def test_failures_are_grouped_by_cause_with_what_to_do(real_viewer, queue):
    found = (await (await real_viewer.get("/api/v1/queue/causes")).json())["causes"]
    assert [(one["cause"], one["count"], one["states"]) for one in found] == [
        ("connection_refused", 2, ["parked", "retrying"]), ("unknown_ae", 1, ["parked"]),
    ]  # fmt: skip
    assert "no program listens at that port" in await text_of(real_viewer, "/queue")


async def test_the_list_as_csv(real_viewer, queue):
    rows = list(csv.DictReader(io.StringIO(await (await real_viewer.get("/queue?format=csv&state=parked")).text())))
    assert {int(row["id"]) for row in rows} == {queue["parked"], queue["other"]} and rows[0]["target"] == "pacs"


# ---- acts -------------------------------------------------------------------------------------------------------
async def test_one_is_retried_at_once_and_the_answer_is_told(real, real_admin, queue):
    real.answering()
    done = await real_admin.post("/queue/act", data={"act": "retry", "ids": str(queue["parked"])}, headers=HOME | PAGE)
    assert "Retry: 1 delivery" in await done.text() and state(real, queue["parked"]) == "waiting"


async def test_holding_can_be_undone_from_the_flash(real, real_admin, queue):
    real.answering()
    held = await real_admin.post("/queue/act", data={"act": "hold", "ids": str(queue["waiting"])}, headers=HOME | PAGE)
    text = await held.text()
    assert state(real, queue["waiting"]) == "held"
    await undo_from_the_flash(real_admin, text)
    assert state(real, queue["waiting"]) == "waiting"


async def undo_from_the_flash(client, text):
    """Press Undo in the word about what was done, with the fields that it has."""
    (path,) = re.findall(r'action="(/acts/\d+/undo)"', text)
    form = text[text.index(path) : text.index("Undo", text.index(path))]
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
    done = await client.post(path, data=fields, headers=HOME | PAGE)
    assert done.status == 200 and done.url.path == "/queue", await done.text()


async def test_what_was_held_of_all_that_match_is_let_go_again(real, real_admin, queue):
    real.answering()
    form = {"act": "hold", "scope": "match", "state": "parked", "confirmed": "true"}
    text = await (await real_admin.post("/queue/act", data=form, headers=HOME | PAGE)).text()
    assert state(real, queue["parked"]) == state(real, queue["other"]) == "held"
    await undo_from_the_flash(real_admin, text)
    assert state(real, queue["parked"]) == state(real, queue["other"]) == "waiting"
    assert real.spool.commands.list()[0].arguments["restore"] == real.spool.commands.list()[1].id


async def test_a_priority_can_be_changed_and_changed_back(real, real_admin, queue):
    real.answering()
    form = {"act": "priority", "priority": "urgent", "ids": str(queue["waiting"])}
    text = await (await real_admin.post("/queue/act", data=form, headers=HOME | PAGE)).text()
    assert real.spool.deliveries.get(queue["waiting"])["priority"] == 0
    await undo_from_the_flash(real_admin, text)
    assert real.spool.deliveries.get(queue["waiting"])["priority"] == 1


async def test_what_cannot_be_taken_back_is_asked_about_and_needs_no_scripts(real, real_admin, queue):
    real.answering()
    form = {"act": "cancel", "ids": str(queue["waiting"])}
    asked = await (await real_admin.post("/queue/act", data=form, headers=HOME | PAGE)).text()
    assert "1 delivery?" in asked and state(real, queue["waiting"]) == "waiting"
    assert real.spool.commands.list() == []
    await real_admin.post("/queue/act", data={**form, "confirmed": "true", "reason": "no use"}, headers=HOME)
    assert state(real, queue["waiting"]) == "cancelled"
    assert (real.spool.commands.list()[0].by, real.spool.commands.list()[0].reason) == ("ann", "no use")


async def test_all_that_match_are_meant_only_as_far_as_the_act_is_for_them(real, real_admin, queue):
    real.answering()
    form = {"act": "retry", "scope": "match", "target": "pacs", "cause": "connection_refused"}
    asked = await (await real_admin.post("/queue/act", data=form, headers=HOME | PAGE)).text()
    assert "2 deliveries?" in asked and "cause connection refused" in asked
    await real_admin.post("/queue/act", data={**form, "confirmed": "true"}, headers=HOME)
    assert [state(real, queue[name]) for name in ("retrying", "other", "parked")] == ["waiting", "waiting", "parked"]


async def test_of_many_the_number_has_to_be_typed(real, real_admin, queue, monkeypatch):
    monkeypatch.setattr("webgui.areas.queue.acts.MANY", 1)
    real.answering()
    form = {"act": "hold", "scope": "match", "state": "parked", "confirmed": "true", "count": "2"}
    wrong = await (await real_admin.post("/queue/act", data={**form, "typed": "3"}, headers=HOME | PAGE)).text()
    assert "not their number" in wrong and state(real, queue["parked"]) == "parked"
    await real_admin.post("/queue/act", data={**form, "typed": "2"}, headers=HOME)
    assert state(real, queue["parked"]) == state(real, queue["other"]) == "held"


async def test_nothing_ticked_and_nothing_possible_is_said(real, real_admin, queue):
    nothing = await (await real_admin.post("/queue/act", data={"act": "retry"}, headers=HOME | PAGE)).text()
    assert "Nothing was ticked" in nothing
    wrong = await real_admin.post(
        "/queue/act", data={"act": "release", "scope": "match", "state": "waiting"}, headers=HOME
    )
    assert wrong.status == 409
    assert (await real_admin.post("/queue/act", data={"act": "explode", "ids": "1"}, headers=HOME)).status == 422


async def test_programs_act_by_number_or_by_what_they_have_in_common(real, real_admin, queue):
    real.answering()
    both = {"ids": [1], "where": {"target": "pacs"}}
    misspelled = {"where": {"target": "pacs", "state": "parked"}}  # it is `states`: all of pacs would be meant
    for body in (
        {},
        both,
        {"where": {}},
        {"where": {"states": ["delivered"]}},
        misspelled,
        {"ids": [1], "prioirty": "urgent"},
    ):
        answer = await real_admin.post("/api/v1/queue/acts/retry", json=body, headers=HOME)
        assert answer.status in (409, 422), body
    done = await real_admin.post("/api/v1/queue/acts/retry", json={"where": {"states": ["parked"]}}, headers=HOME)
    told = await done.json()
    assert (told["state"], told["matched"], told["done"]) == ("done", 2, 2)
    refused = await real_admin.post("/api/v1/queue/acts/release", json={"ids": [queue["waiting"]]}, headers=HOME)
    assert refused.status == 409 and "not held" in (await refused.json())["error"]


async def test_redirect_goes_to_another_target_alone(real, real_admin, queue):
    target = {"type": "dicom", "host": "h", "port": 1, "called_ae": "P"}
    real.publish(targets={"pacs": target, "new": {**target, "port": 2}})
    real.answering()
    assert (
        await real_admin.post("/api/v1/queue/acts/redirect", json={"ids": [queue["parked"]]}, headers=HOME)
    ).status == 422
    body = {"ids": [queue["parked"]], "to": "new", "reason": "PACS replaced"}
    assert (await real_admin.post("/api/v1/queue/acts/redirect", json=body, headers=HOME)).status == 200
    assert real.spool.deliveries.get(queue["parked"])["target"] == "new"


async def test_who_may_only_look_cannot_act_on_the_queue(real, real_viewer, queue):
    text = await text_of(real_viewer, "/queue")
    assert 'name="ids"' not in text and "<button name=" not in text
    for path in ("/queue/act", "/acts/1/undo", "/api/v1/acts/1/stop", "/api/v1/queue/acts/retry"):
        assert (await real_viewer.post(path, data={"act": "retry"}, headers=HOME)).status == 403
    assert real.spool.commands.list() == []


# ---- acts and quarantine ----------------------------------------------------------------------------------------
async def test_acts_tell_who_wanted_what_and_what_came_of_it(real, real_admin, queue):
    real.answering()
    body = {"where": {"states": ["parked"]}, "reason": "AE title added"}
    id = (await (await real_admin.post("/api/v1/queue/acts/retry", json=body, headers=HOME)).json())["act"]
    text = await text_of(real_admin, f"/acts/{id}")
    assert "2 of 2 done" in text and "AE title added" in text and "<progress" in text
    assert "Retry deliveries" in await text_of(real_admin, "/acts?kind=queue&by=ann&state=done")
    assert "Nothing matches" in await text_of(real_admin, "/acts?kind=series")
    (one,) = (await (await real_admin.get("/api/v1/acts?by=ann")).json())["acts"]
    assert (one["kind"], one["state"], one["progress"]["done"]) == ("queue.retry", "done", 2)
    assert (await (await real_admin.get(f"/api/v1/acts/{id}")).json())["id"] == id
    await text_of(real_admin, "/acts/12345", 404)


async def test_an_act_without_a_router_says_that_it_waits(real, real_admin, queue):
    answer = await real_admin.post("/api/v1/queue/acts/retry", json={"ids": [queue["parked"]]}, headers=HOME)
    assert answer.status == 202
    text = await text_of(real_admin, f"/acts/{(await answer.json())['act']}")
    assert "not begun" in text and "as soon as it runs" in text


async def test_quarantine_shows_the_reason_and_only_admins_may_let_go(real, real_admin, real_viewer):
    image = TestImage()
    broken = type(
        "Broken", (TestImage,), {"dataset": lambda self: image.dataset().replace(b"2.25.4711.1.1", b"2.25.4711.x.1")}
    )
    real.receive(broken())
    (row,) = (await (await real_viewer.get("/api/v1/quarantine")).json())["objects"]
    assert "UID" in row["reason"] and row["reason"] in await text_of(real_viewer, "/quarantine")
    assert row["receipt"] in await text_of(real_viewer, f"/quarantine/{row['receipt']}")
    path = f"/quarantine/{row['receipt']}/discard"
    assert (await real_viewer.post(path, data={"reason": "a test"}, headers=HOME)).status == 403
    assert (await real_admin.post(f"/api/v1{path}", json={}, headers=HOME)).status == 422
    assert (await real_admin.post(path, data={"reason": "a test"}, headers=HOME, allow_redirects=False)).status == 303
    (command,) = real.spool.commands.list()
    assert (command.kind, command.executor, command.arguments["receipt"]) == (
        "quarantine.discard",
        "cleaner",
        row["receipt"],
    )
    await text_of(real_admin, "/quarantine/ffffffffff", 404)


async def test_of_many_only_the_newest_are_counted_by_what_has_no_index_and_the_page_says_so(
    real_viewer, queue, monkeypatch
):
    monkeypatch.setattr("protocol.spool.browsing.GROUPED", 2)
    told = await listed(real_viewer, "?source=CT1")
    assert not told["counted_all"] and sum(told["counts"].values()) <= 2
    assert re.search(r'class="count[^"]*">\d\+<', await text_of(real_viewer, "/queue?source=CT1"))
    assert (await listed(real_viewer))["counted_all"]


async def test_what_is_not_among_the_newest_is_found_all_the_same(real_viewer, queue, monkeypatch):
    monkeypatch.setattr("protocol.spool.selecting.LOOKED_AT_FIRST", 1)
    for query, wanted in (("source=CT1&limit=2", 3), ("rule=all&modality=CT", 4), ("source=NOBODY", 0)):
        found, after = [], 0
        while after is not None:
            page = await listed(real_viewer, f"?{query}&after={after}")
            found, after = found + [one["id"] for one in page["deliveries"]], page["next"]
        assert len(found) == len(set(found)) == wanted, query
