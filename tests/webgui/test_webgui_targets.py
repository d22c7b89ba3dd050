"""Targets and groups on the page and in the API: state, forms out of the models, the test ladder, pause, redirect, removal."""

import pytest
from real_node import ALL, PACS
from webgui_fakes import HOME, PAGE

from protocol.routing.groups import Group
from protocol.routing.parse import build
from protocol.routing.syntaxes import EXPLICIT
from protocol.testing.images import CT_IMAGE_STORAGE as CT
from tests.dicom.dicom_fakes import RecordingHandler, running_scp
from webgui.areas.targets import reading, words
from webgui.keys import LADDERS

FOLDER = {"type": "folder", "name": "share", "was": "", "do": "save"}


async def page(client, path, status=200):
    answer = await client.get(path, headers=PAGE)
    assert answer.status == status, await answer.text()
    return await answer.text()


async def post(client, path, data, status=303):
    answer = await client.post(path, data=data, headers=HOME | PAGE, allow_redirects=False)
    assert answer.status == status, await answer.text()
    return answer


async def call(client, method, path, status=200, **more):
    answer = await client.request(method, f"/api/v1{path}", headers=HOME, **more)
    assert answer.status == status, await answer.text()
    return await answer.json()


def targets(real):
    return real.versions.current().configuration.targets


@pytest.mark.parametrize("kind", list(words.TYPES))
def test_every_setting_of_every_type_has_its_words(kind):
    assert {spec.name for spec in reading.SPECS[kind]} <= set(words.FIELDS)
    assert set(Group.model_fields) <= set(words.GROUP)


async def test_the_list_shows_state_queue_address_and_who_uses_it(real, real_viewer):
    real.arrival()
    text = await page(real_viewer, "/targets")
    assert "PACS @ 127.0.0.1:1" in text and "up" in text and "New target" not in text
    found = (await call(real_viewer, "GET", "/targets"))["targets"][0]
    assert (found["name"], found["waiting"], found["rules"]) == ("pacs", 1, ["all"])
    assert "name,kind,address" in await (await real_viewer.get("/targets?format=csv")).text()


async def test_times_in_the_file_of_targets_are_written_as_in_every_other_one(real, real_viewer):
    with real.spool.database.write() as tx:
        tx.execute("INSERT INTO target_state (name, last_success) VALUES ('pacs', 1795778282.9695897)")
    assert ",2026-11-27T11:18:02Z," in await (await real_viewer.get("/targets?format=csv")).text()


@pytest.mark.parametrize("kind", list(words.TYPES))
async def test_each_type_has_a_form_and_says_what_is_missing(kind, real_admin):
    assert 'action="/targets/save"' in await page(real_admin, f"/targets/new?type={kind}")
    text = await (await post(real_admin, "/targets/save", {"type": kind, "name": "x", "do": "save"}, 422)).text()
    assert "missing" in text


async def test_a_target_is_added_changed_renamed_with_its_rules_and_removed(real, real_admin, tmp_path):
    await post(real_admin, "/targets/save", FOLDER | {"path": str(tmp_path), "create": "true", "retry.first_s": "30"})
    assert (targets(real)["share"].path, targets(real)["share"].retry.first_s) == (str(tmp_path), 30)
    text = await page(real_admin, "/targets/share")
    assert "First retry" in text and 'value="30"' in text
    pacs = {
        "type": "dicom",
        "was": "pacs",
        "base": str(real.versions.current().number),
        "name": "archive",
        "host": "10.0.0.9",
        "port": "104",
        "called_ae": "PACS",
        "probe": "true",
    }
    await post(real_admin, "/targets/save", pacs)
    now = real.versions.current().configuration
    assert "pacs" not in now.targets and now.rules[0].targets == ("archive",)
    await post(real_admin, "/targets/archive/delete", {}, 409)
    await post(real_admin, "/targets/share/delete", {})
    assert list(targets(real)) == ["archive"]


def pacs_form(**more):
    return {"type": "dicom", "was": "pacs", "base": "1", "name": "pacs", "host": "10.0.0.9", "port": "104",
            "called_ae": "PACS", "do": "save"} | more  # fmt: skip


async def test_the_second_of_two_editors_of_a_target_is_told_and_what_was_typed_stays(real, real_admin):
    assert 'name="base" value="1"' in await page(real_admin, "/targets/pacs")
    real.publish(ALL, targets={"pacs": PACS | {"port": 4242}})
    real.publish(ALL | {"comment": "another thing"}, targets={"pacs": PACS | {"port": 4242}})
    mine = pacs_form(comment="typed", reason="mine")
    text = await (await post(real_admin, "/targets/save", mine, 409)).text()
    assert "changed this target meanwhile" in text and "<ins>4242</ins>" in text and "/config/versions/2" in text
    assert ">typed</textarea>" in text and 'value="mine"' in text and 'name="base" value="3"' in text
    assert targets(real)["pacs"].port == 4242
    await post(real_admin, "/targets/save", mine | {"base": "3"})
    assert (targets(real)["pacs"].port, targets(real)["pacs"].comment) == (104, "typed")


async def test_where_several_changed_a_target_all_are_named(real, real_admin):
    for author, port in (("ben", 1), ("cara", 2), ("ben", 3)):
        data = build({"targets": {"pacs": PACS | {"port": port}}, "rules": [ALL]}, "test")
        real.versions.publish(data, author, "", real.versions.current().number)
    text = await (await post(real_admin, "/targets/save", pacs_form(), 409)).text()
    assert "ben and cara changed this target meanwhile (last in version" in text


async def test_a_change_elsewhere_or_a_fault_in_the_form_is_no_conflict(real, real_admin):
    real.publish(ALL, targets={"pacs": PACS, "other": PACS | {"port": 2}})
    text = await (await post(real_admin, "/targets/save", pacs_form(port="0"), 422)).text()
    assert 'name="base" value="1"' in text and "meanwhile" not in text
    await post(real_admin, "/targets/save", pacs_form())


async def test_a_target_that_was_renamed_meanwhile_is_not_made_anew_unasked(real, real_admin):
    await post(real_admin, "/targets/save", pacs_form(name="archive"))
    text = await (await post(real_admin, "/targets/save", pacs_form(comment="typed"), 409)).text()
    assert "removed or renamed this target meanwhile" in text and "archive" in text and ">typed</textarea>" in text
    assert list(targets(real)) == ["archive"] and 'name="was" value=""' in text


async def test_a_form_that_says_not_what_it_was_made_from_replaces_nothing(real, real_admin):
    for base in ("", "99", "x"):
        await post(real_admin, "/targets/save", pacs_form(base=base), 409)
    assert targets(real)["pacs"].host == "127.0.0.1"


@pytest.mark.parametrize("was", ["", "pacs"])
async def test_a_name_that_is_taken_is_told_at_the_name_and_what_was_typed_stays(real, real_admin, was):
    real.publish(ALL, targets={"pacs": PACS, "other": PACS | {"port": 2}})
    mine = pacs_form(was=was, name="other", comment="typed")
    text = await (await post(real_admin, "/targets/save", mine, 422)).text()
    assert 'role="alert">There is a &#39;other&#39; already. Choose another name</span>' in text
    assert ">typed</textarea>" in text and targets(real)["other"].port == 2


async def test_faults_stand_at_their_fields_and_a_secret_is_never_repeated(real, real_admin):
    data = {
        "type": "dicomweb",
        "name": "web",
        "url": "https://x.org",
        "token": "hunter2secret",
        "timeout_s": "soon",
        "do": "save",
    }
    text = await (await post(real_admin, "/targets/save", data, 422)).text()
    assert "a secret is not written down here" in text and "must be a number" in text
    assert "web" not in targets(real)


async def test_a_test_climbs_the_ladder_of_what_stands_in_the_form(real, real_admin, real_app, tmp_path):
    answer = await post(real_admin, "/targets/save", FOLDER | {"path": str(tmp_path / "none"), "do": "test"}, 200)
    assert "testing" in await answer.text() and "share" not in targets(real)
    job = next(iter(real_app[LADDERS]._jobs.values()))
    await job.task
    found = await call(real_admin, "GET", f"/targets/tests/{job.id}")
    assert found["running"] is False and found["ok"] is False and found["steps"][-1]["ok"] is False


async def test_an_operator_tests_a_target_in_force_and_reads_steps_and_contexts_on_its_page(real, real_admin, real_app):
    real.arrival()
    assert real.spool.targets.lately("pacs") == [(CT, EXPLICIT)] and real.spool.targets.lately("other") == []
    with running_scp(RecordingHandler()) as port:
        real.publish(ALL, targets={"pacs": PACS | {"port": port}})
        answer = await post(real_admin, "/targets/pacs/test", {})
        job = next(iter(real_app[LADDERS]._jobs.values()))
        await job.task
    text = await page(real_admin, answer.headers["Location"])
    assert "all good" in text and "What it accepts, by SOP class" in text and "MR Image Storage" in text
    found = await call(real_admin, "GET", f"/targets/tests/{job.id}")
    row = next(step for step in found["steps"] if step["name"] == "contexts")["contexts"][0]
    assert (row["sop_class"], row["lately"]) == (CT, True) and "explicit" in row["accepted"]


async def test_a_target_is_paused_with_a_reason_and_resumed(real, real_admin):
    real.answering()
    await post(real_admin, "/targets/pacs/pause", {"reason": "PACS update", "hours": "2"})
    text = await page(real_admin, "/targets/pacs")
    assert "Paused by ann" in text and "PACS update" in text
    await post(real_admin, "/targets/pacs/resume", {})
    assert (await call(real_admin, "GET", "/targets/pacs"))["state"] == "up"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({}, "reason: say why"),
        ({"reason": " "}, "reason: say why"),
        ({"reason": "x", "hours": "0"}, "hours: a number above 0"),
        ({"reason": "x", "hours": "-3"}, "hours: a number above 0"),
        ({"reason": "x", "hours": "1e9"}, "up to 8760"),
        ({"reason": "x", "hours": "soon"}, "hours: a number above 0"),
    ],
)
async def test_a_pause_without_a_reason_or_for_odd_hours_is_refused_in_words(real, real_admin, sent, told):
    text = await (await post(real_admin, "/targets/pacs/pause", sent, 422)).text()
    assert told in text and "Input should" not in text
    assert not real.spool.commands.list(limit=1)


async def test_a_program_that_pauses_without_a_reason_is_not_told_to_be_its_own_reason(real, real_admin):
    real.answering()
    await call(real_admin, "POST", "/targets/pacs/pause", json={})
    assert "Paused by ann: no reason given" in await page(real_admin, "/targets/pacs")


async def test_what_waits_goes_to_another_target(real, real_admin, tmp_path):
    real.publish(ALL, targets={"pacs": PACS, "other": PACS | {"port": 2}})
    real.arrival()
    real.answering()
    await post(real_admin, "/targets/pacs/redirect", {"to": "other"})
    assert (await call(real_admin, "GET", "/targets/other"))["waiting"] == 1
    await call(real_admin, "POST", "/targets/pacs/redirect", 409, json={"to": "nowhere"})


async def test_groups_keep_the_order_of_their_members(real, real_admin):
    real.publish(ALL, targets={"pacs": PACS, "b": PACS | {"port": 2}})
    data = {"name": "ai", "mode": "failover", "members": ["pacs", "b"], "place-pacs": "2", "place-b": "1"}
    await post(real_admin, "/groups/save", data)
    assert real.versions.current().configuration.groups["ai"].members == ("b", "pacs")
    assert "failover" in await page(real_admin, "/groups/ai")
    text = await (await post(real_admin, "/groups/save", {"name": "none", "mode": "failover"}, 422)).text()
    assert "at least 1" in text
    await call(real_admin, "DELETE", "/groups/ai", json={})


async def test_the_second_of_two_editors_of_a_group_is_told(real, real_admin):
    both = {"pacs": PACS, "b": PACS | {"port": 2}}
    base = real.publish(ALL, targets=both, groups={"ai": {"mode": "failover", "members": ["pacs"]}})
    real.publish(ALL, targets=both, groups={"ai": {"mode": "failover", "members": ["pacs", "b"]}})
    mine = {"was": "ai", "base": str(base), "name": "ai", "mode": "balance", "members": "pacs", "reason": "mine"}
    text = await (await post(real_admin, "/groups/save", mine, 409)).text()
    assert "changed this group meanwhile" in text and 'value="mine"' in text
    assert real.versions.current().configuration.groups["ai"].members == ("pacs", "b")
    await post(real_admin, "/groups/save", mine | {"base": str(base + 1)})
    assert real.versions.current().configuration.groups["ai"].members == ("pacs",)


async def test_a_group_whose_name_is_taken_is_told_at_the_name(real, real_admin):
    real.publish(ALL, groups={"ai": {"mode": "failover", "members": ["pacs"]}})
    mine = {"name": "ai", "mode": "failover", "members": "pacs", "comment": "typed"}
    text = await (await post(real_admin, "/groups/save", mine, 422)).text()
    assert 'role="alert">There is a &#39;ai&#39; already' in text and ">typed</textarea>" in text


async def test_the_api_puts_and_deletes(real, real_admin):
    await call(real_admin, "PUT", "/targets/new-one", json={"settings": PACS | {"port": 3}})
    assert targets(real)["new-one"].port == 3
    wrong = await call(real_admin, "PUT", "/targets/new-one", 422, json={"settings": PACS | {"port": 0}})
    assert "port" in wrong["error"]
    await call(real_admin, "DELETE", "/targets/new-one", json={})


@pytest.mark.parametrize("path", ["/targets/save", "/targets/pacs/test", "/targets/pacs/pause", "/targets/pacs/resume",
                                  "/targets/pacs/redirect", "/targets/pacs/delete", "/groups/save"])  # fmt: skip
async def test_a_viewer_changes_no_target(real_viewer, path):
    await post(real_viewer, path, FOLDER | {"to": "x"}, 403)
