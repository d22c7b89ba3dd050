"""Configuration versions on the page and in the API: history, differences, rollback, import, undo, audit."""

import json

import pytest
from real_node import ALL, PACS
from webgui_fakes import HOME, PAGE

from webgui.changes import marked


async def page(client, path, status=200):
    answer = await client.get(path, headers=PAGE)
    assert answer.status == status, await answer.text()
    return await answer.text()


async def post(client, path, data, status=303):
    answer = await client.post(path, data=data, headers=HOME | PAGE, allow_redirects=False)
    assert answer.status == status, await answer.text()
    return answer


async def call(client, method, path, status=200, **more):
    answer = await client.request(method, f"/api/v1/config{path}", headers=HOME, **more)
    assert answer.status == status, await answer.text()
    return await answer.json()


@pytest.fixture
def second(real):
    """A second version: the rule narrowed, a rule with markup in its comment added."""
    narrowed = ALL | {"when": "Modality == 'CT'", "comment": "<script>alert(1)</script>"}
    return real.publish(narrowed, {"name": "mr", "when": "Modality == 'MR'", "action": "hold"})


async def test_history_lists_versions_with_what_changed_and_a_csv_twin(real_viewer, second):
    text = await page(real_viewer, "/config/versions")
    assert 'href="/config/versions/2"' in text and "in force" in text and "rule &#39;mr&#39; added" in text
    csv = await (await real_viewer.get("/config/versions?format=csv")).text()
    assert csv.splitlines()[0] == "number,time,author,reason,parent,changes" and len(csv.splitlines()) == 3


async def test_a_filter_finds_the_versions_of_one_part(real_viewer, second):
    found = await call(real_viewer, "GET", "/versions?part=mr")
    assert [one["number"] for one in found["versions"]] == [2]


async def test_who_set_what_of_one_part_is_told_back_to_where_it_was_added(real, real_viewer, second):
    real.publish(ALL | {"when": "Modality == 'CT'", "comment": "<b>why</b>"})
    found = (await call(real_viewer, "GET", "/blame?name=all"))["blame"]
    assert [(one["field"], one["value"], one["version"]) for one in found] == [
        ("comment", "<b>why</b>", 3), ("when", "Modality == 'CT'", 2), ("", None, 1),
    ]  # fmt: skip
    text = await page(real_viewer, "/config/versions?part=all")
    assert "Who set what of all" in text and "&lt;b&gt;why" in text and "<b>why" not in text
    assert "Who set what" not in await page(real_viewer, "/config/versions?part=al")
    for gone in ("mr", "nothing"):
        await call(real_viewer, "GET", f"/blame?name={gone}", 404)


async def test_a_difference_marks_the_words_that_changed_and_shows_markup_as_text(real_viewer, second):
    text = await page(real_viewer, "/config/diff?a=1&b=2")
    assert "<ins>Modality" in text and "&lt;script&gt;" in text and "<script>alert" not in text
    found = await call(real_viewer, "GET", "/diff?a=1&b=2")
    assert {one["name"] for one in found["changes"]} == {"all", "mr"}


def test_only_words_of_one_side_are_marked():
    assert marked("Modality == 'CT'", "Modality == 'MR'") == (
        [(False, "Modality == '"), (True, "CT"), (False, "'")],
        [(False, "Modality == '"), (True, "MR"), (False, "'")],
    )


async def test_a_rollback_is_a_new_version_stands_in_the_audit_and_can_be_undone(real, real_admin, second, accounts):
    answer = await post(real_admin, "/config/versions/1/rollback", {"reason": "was better"})
    assert answer.headers["Location"] == "/config/versions"
    now = real.versions.current()
    assert (now.number, now.author, now.reason, len(now.configuration.rules)) == (3, "ann", "was better", 1)
    entry = accounts.audit_trail(limit=1)[0]
    assert entry.who == "ann" and "was better" in json.dumps(entry.after)
    assert "Undo" in await page(real_admin, "/config/versions")
    await post(real_admin, "/config/undo", {"version": "3"})
    assert len(real.versions.current().configuration.rules) == 2


async def test_an_undo_of_what_is_no_longer_in_force_is_refused(real, real_admin, second):
    await post(real_admin, "/config/undo", {"version": "1"}, 409)
    assert real.versions.current().number == 2


async def test_one_part_can_be_taken_as_it_was_while_the_others_stay(real, real_admin, second):
    await post(real_admin, "/config/versions/1/restore", {"section": "rules", "name": "all"})
    rules = {rule.name: rule.when for rule in real.versions.current().configuration.rules}
    assert rules == {"all": "True", "mr": "Modality == 'MR'"}
    await call(real_admin, "POST", "/versions/1/restore", 404, json={"section": "rules", "name": "nothing"})


async def test_an_export_comes_back_in_by_check_and_activate(real, real_admin, second):
    exported = await (await real_admin.get("/config/versions/1/export")).text()
    data = json.loads(exported) | {"$base": 2}
    answer = await post(real_admin, "/config/import", {"routing": json.dumps(data)}, 200)
    text = await answer.text()
    assert "What would change" in text and 'value="activate"' in text and real.versions.current().number == 2
    await post(real_admin, "/config/import", {"routing": json.dumps(data), "do": "activate", "reason": "back"})
    assert real.versions.current().reason == "back"


async def test_an_import_that_is_overtaken_or_wrong_says_why_and_changes_nothing(real, real_admin, second):
    stale = json.dumps({"$base": 1, "targets": {"pacs": PACS}, "rules": [ALL]})
    answer = await post(real_admin, "/config/import", {"routing": stale, "do": "activate"}, 409)
    text = await answer.text()
    assert "published meanwhile" in text and "&#34;$base&#34;" in text
    answer = await post(real_admin, "/config/import", {"routing": '{"rules": [{}]}'}, 422)
    assert "missing" in await answer.text()
    found = await call(real_admin, "POST", "/import", 422, json={"routing": {"targets": {"x": {}}}})
    assert "missing" in found["error"]
    assert real.versions.current().number == 2


async def test_nobody_rolls_back_to_what_never_was(real_admin):
    await post(real_admin, "/config/versions/77/rollback", {}, 404)
    await page(real_admin, "/config/versions/77", 404)


@pytest.mark.parametrize(
    "path", ["/config/versions/1/rollback", "/config/undo", "/config/import", "/config/versions/1/restore"]
)
async def test_a_viewer_changes_nothing(real_viewer, path):
    await post(real_viewer, path, {"version": "1", "section": "rules", "name": "all"}, 403)
