"""The audit on a page and for programs: filters, differences, files, the chain; nothing in it becomes markup or a formula."""

import csv
import io
import json
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webgui_fakes import HOME, PAGE

from webgui.areas.audit.differences import MAX_LINES, Difference, differences

EVIL = "=HYPERLINK(1)<script>alert(1)</script>"


async def text(client, path):
    answer = await client.get(path, headers=PAGE)
    assert answer.status == 200, path
    return await answer.text()


@pytest.fixture
def trail(people):
    people.record(
        "ann", "10.0.0.1", "rules publish", "routing version 7", {"rules": ["a"], "x": 1}, {"rules": ["a", "b"], "x": 1}
    )
    people.record("eve", "10.0.0.2", EVIL, EVIL, EVIL, {"a": EVIL})
    return people


async def test_entries_are_shown_with_before_and_after(real_viewer, trail):
    page = await text(real_viewer, "/audit")
    for word in ("rules publish", "routing version 7", "10.0.0.1", '<del>[&#34;a&#34;]</del>', "<ins>[&#34;a&#34;, &#34;b&#34;]</ins>",
                 "chain holds: 5 entries"):  # fmt: skip
        assert word in page, word
    assert "<script>alert" not in page


@pytest.mark.parametrize(
    ("query", "count"),
    [("who=eve", 1), ("action=user%20add", 2), ("object=version", 1), ("until=2001-01-01", 0), ("since=2001-01-01", 5),
     ("who=ann&action=login", 0), ("who=vera&action=login", 1)],
)  # fmt: skip
async def test_entries_are_filtered(real_viewer, trail, query, count):
    answer = await (await real_viewer.get(f"/api/v1/audit?{query}")).json()
    assert len(answer["entries"]) == count
    assert (await text(real_viewer, f"/audit?{query}")).count('<tr id="entry-') == count


async def test_the_list_pages_by_number(real_viewer, trail):
    seen, after = [], ""
    while after is not None:
        page = await (await real_viewer.get(f"/api/v1/audit?limit=2{after and f'&after={after}'}")).json()
        seen += [entry["number"] for entry in page["entries"]]
        after = page["next"]
    assert seen == [5, 4, 3, 2, 1]
    for bad in ("limit=0", "after=x", "since=yesterday", "format=xml"):
        assert (await real_viewer.get(f"/api/v1/audit?{bad}")).status == 422


@pytest.mark.parametrize("path", ["/audit", "/api/v1/audit"])
async def test_a_number_that_no_entry_can_have_is_refused(real_viewer, trail, path):
    answer = await real_viewer.get(f"{path}?after={2**63}", headers=PAGE)
    assert answer.status == 422


async def test_files_hold_every_entry_and_no_formula_and_are_audited(real_viewer, trail, monkeypatch):
    monkeypatch.setattr("webgui.areas.audit.pages.FILE_ROWS", 2)
    rows = list(csv.reader(io.StringIO(await text(real_viewer, "/audit?format=csv"))))
    assert rows[0][:3] == ["number", "time", "who"]
    assert [row[0] for row in rows[1:]] == ["6", "5", "4", "3", "2", "1"]
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row)
    lines = [json.loads(line) for line in (await text(real_viewer, "/audit?format=json&who=eve")).splitlines()]
    assert [line["action"] for line in lines] == [EVIL]
    exports = [entry for entry in trail.audit_trail() if entry.action == "audit export"]
    assert [entry.after for entry in exports] == [{"format": "json", "who": "eve"}, {"format": "csv"}]


async def test_a_changed_entry_is_told(real_viewer, trail, tmp_path):
    assert (await (await real_viewer.get("/api/v1/audit/check")).json())["holds"]
    with sqlite3.connect(tmp_path / "accounts.sqlite3") as db:
        db.execute("DROP TRIGGER audit_is_final")
        db.execute("UPDATE audit SET who = 'x' WHERE number = 3")
    db.close()
    told = await (await real_viewer.get("/api/v1/audit/check")).json()
    assert (told["holds"], told["broken"]) == (False, 3)
    assert "entry 3 was changed" in await text(real_viewer, "/audit")


async def test_the_audit_takes_no_change(real_admin):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert (await real_admin.request(method, "/audit", headers=HOME)).status == 405


def test_only_what_differs_is_told():
    assert differences({"a": 1, "b": {"c": [1], "d": "x"}}, {"a": 1, "b": {"c": [2]}, "e": None}) == [
        Difference("b.c", "[1]", "[2]"), Difference("b.d", "x", None), Difference("e", None, "null"),
    ]  # fmt: skip
    assert differences(None, {"role": "viewer"}) == [Difference("role", None, "viewer")]
    assert differences(3, None) == [Difference("", "3", None)]
    assert differences(1, True) == [Difference("", "1", "true")]
    assert len(differences(None, {str(number): 1 for number in range(MAX_LINES + 5)})) == MAX_LINES


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_equal_values_differ_in_nothing_and_any_can_be_compared(one, other):
    assert differences(one, one) == []
    assert all(found.before is not None or found.after is not None for found in differences(one, other))


async def test_what_a_token_did_says_which_token_everywhere(real, real_app, people, aiohttp_client):
    client, secret = await aiohttp_client(real_app), people.tokens.create("ann", "nightly", ["admin"])
    headers, id = {"Authorization": f"Bearer {secret}"}, real.arrival()
    acts = [
        ("PUT", "rules/other", {"rule": {"when": "Modality == 'NM'", "action": "hold"}}), ("POST", "rules/other/mode", {"mode": "off"}),
        ("PUT", "sources/ct1", {"settings": {"calling_ae": "CT1"}}), ("POST", "config/versions/1/rollback", {}),
        ("POST", "alerts/silences", {"pattern": "disk*", "hours": 1, "reason": "known"}),
        ("PATCH", "users/vera", {"role": "operator"}), ("POST", f"series/{id}/hold", {}), ("POST", "queue/acts/hold", {"ids": [1]}),
        ("POST", "targets/pacs/pause", {"reason": "works"}),
    ]  # fmt: skip
    for method, path, body in acts:
        answer = await client.request(method, f"/api/v1/{path}", json=body, headers=headers)
        assert answer.status in (200, 201, 202), (path, await answer.text())
    who = "ann (token nightly)"
    told = [(entry.who, entry.action) for entry in people.trail.search() if entry.action != "user add"]
    told = [one for one in told if one[1] != "token create"]
    assert len(told) >= 6 and {name for name, _ in told} == {who}, told
    assert {command.by for command in real.spool.commands.list()} == {who}
    assert [version.author for version in (real.versions.get(2), real.versions.current())] == [who, who]
