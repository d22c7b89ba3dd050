"""Series: found by what people know of them, shown with all that happened, acted on; patient data never in an address."""

import csv
import io
import re
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from real_node import RealNode
from webgui_fakes import HOME, PAGE, log_in

from protocol.accounts import Preferences
from protocol.causes import Cause
from protocol.clock import SystemClock
from protocol.testing.images import TestImage
from webgui.app import init_app
from webgui.areas.series.asked import moment
from webgui.node import Node
from webgui.source import SpoolSource


class Evil(TestImage):
    """A name that is a script, and an id that is a formula."""

    def dataset(self):
        return super().dataset().replace(b"Test^Image", b"<script>1 ").replace(b"T1", b"=1")


async def text_of(client, path, status=200):
    answer = await client.get(path, headers=PAGE)
    assert answer.status == status, await answer.text()
    return await answer.text()


@pytest.fixture
def two(real):
    """Two series, recorded by the ledger: their ids, the older first."""
    ids = [real.arrival(TestImage()), real.arrival(TestImage(study=2, modality="MR"), TestImage(study=2, instance=2, modality="MR"),
                                                   calling_ae="MR1")]  # fmt: skip
    real.record()
    return ids


async def test_an_empty_list_says_where_scanners_should_send_to(real_viewer):
    text = await text_of(real_viewer, "/series")
    assert "No series yet" in text and "SCANPOST" in text and "11112" in text


async def test_the_list_has_the_newest_first_with_states_and_deliveries(real_viewer, two):
    found = (await (await real_viewer.get("/api/v1/series")).json())["series"]
    assert [one["id"] for one in found] == two[::-1]
    assert (found[0]["source"], found[0]["modality"], found[0]["images"], found[0]["state"]) == (
        "MR1",
        "MR",
        2,
        "in_delivery",
    )
    assert found[0]["deliveries"] == [{"target": "pacs", "state": "waiting", "cause": ""}]
    assert found[0]["patient_name"] == "Test, Image"
    text = await text_of(real_viewer, "/series")
    assert f'href="/series/{two[0]}"' in text and "pacs: waiting" in text


async def test_the_timeline_is_told_in_the_zone_of_who_looks(real, real_viewer, people):
    id = real.arrival()
    opened = real.spool.arrivals.get(id)["opened"]
    for name in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        people.set_preferences("vera", Preferences(time_zone=name))
        then = datetime.fromtimestamp(opened, ZoneInfo(name))
        text = await text_of(real_viewer, f"/series/{id}")
        assert f"{then:%A, %d %B %Y}" in text and f">{then:%H:%M:}" in text[text.index('id="timeline"') :]


async def test_the_deliveries_tab_says_as_the_queue_what_a_delivery_waits_for(real, real_viewer):
    id, now = real.arrival(), real.clock.now()

    async def says(page=f"/series/{id}?tab=deliveries"):
        return re.sub(r"<[^>]*>", "", await text_of(real_viewer, page))

    claim = real.spool.deliveries.claim(real.spool.workers.enter("dispatcher", "0").owner, {"pacs": 9}, now=now)
    real.spool.deliveries.retry(claim, now - 60, "refused", Cause.CONNECTION_REFUSED)
    for page in (f"/series/{id}?tab=deliveries", "/queue"):
        text = await says(page)
        assert "due since" in text and "next try" not in text.lower()
    real.spool.targets.leave_alone("pacs", now + 7200, "refused")
    text = await says()
    assert "next probe" in text and "Next probe of pacs" in text and "next try" not in text.lower()
    command = real.spool.commands.ask("target.pause", "ann", {"target": "pacs"})
    real.spool.targets.pause("pacs", "new disk", "ann", now + 3600, command)
    text = await says()
    assert "paused by ann: new disk (until" in text and "The pause of pacs ends" in text
    assert "next probe" not in text.lower()


async def test_what_the_ledger_does_not_have_yet_stands_on_top_once(real, real_viewer, two):
    newest = real.arrival(TestImage(study=3))
    found = (await (await real_viewer.get("/api/v1/series")).json())["series"]
    assert [one["id"] for one in found] == [newest, *two[::-1]]


async def test_without_the_ledger_the_spool_answers_and_the_page_says_so(real, real_viewer):
    id = real.arrival()
    text = await text_of(real_viewer, "/series")
    assert "ledger&#39;s database is away" in text and f"/series/{id}" in text
    assert (await text_of(real_viewer, f"/series/{id}")).count("database is away") == 1


@pytest.mark.parametrize(
    "query", ["source=MR1", "modality=MR", "state=in_delivery&modality=MR", f"study={TestImage(study=2).study_uid}"]
)
@pytest.mark.parametrize("recorded", [True, False])
async def test_filters_narrow_the_list_with_and_without_the_ledger(real, real_viewer, query, recorded):
    real.arrival(TestImage())
    wanted = real.arrival(TestImage(study=2, modality="MR"), calling_ae="MR1")
    if recorded:
        real.record()
    found = (await (await real_viewer.get(f"/api/v1/series?{query}")).json())["series"]
    assert [one["id"] for one in found] == [wanted]


async def test_pages_hang_together(real, real_viewer):
    ids = [real.arrival(TestImage(study=number)) for number in range(1, 6)]
    for recorded in (False, True):
        if recorded:
            real.record()
        seen, after = [], ""
        for _ in range(3):
            page = await (await real_viewer.get("/api/v1/series", params={"limit": "2", "after": after})).json()
            seen += [one["id"] for one in page["series"]]
            after = page["next"]
        assert (seen, after) == (ids[::-1], None)


async def test_series_of_one_association_stand_once_though_a_page_ends_between_them(real, real_viewer, monkeypatch):
    monkeypatch.setattr("webgui.csvs.FIRST", 2)
    with monkeypatch.context() as still:
        still.setattr(SystemClock, "now", lambda self: 1795778282.9695897)
        real.receive(*(TestImage(series=number) for number in range(1, 6)))
    real.route()
    real.record()
    ids = sorted((row["id"] for row in real.spool.arrivals.list(limit=9)), reverse=True)
    first = (await (await real_viewer.get("/api/v1/series?limit=2")).json())["series"]
    rows = csv.DictReader(io.StringIO(await text_of(real_viewer, "/series?format=csv")))
    assert ([one["id"] for one in first], [int(row["id"]) for row in rows]) == (ids[:2], ids)


async def test_a_mark_of_a_page_that_is_none_is_told(real_viewer, two):
    answer = await real_viewer.get("/api/v1/series?after=lxyz")
    assert answer.status == 422 and "after" in (await answer.json())["fields"]
    assert (await real_viewer.get("/api/v1/series?since=yesterday")).status == 422
    assert (await real_viewer.get(f"/api/v1/series/{two[0]}/events?after=xyz")).status == 422


@pytest.mark.parametrize("text", ["T1", "test", "Test, Image", "image", TestImage(study=2).study_uid, TestImage(study=2).sop_uid,
                                  TestImage(study=2).series_uid, "MR1"])  # fmt: skip
async def test_the_box_understands_patients_uids_and_senders_with_and_without_the_ledger(real, real_viewer, text):
    id = real.arrival(TestImage(study=2), calling_ae="MR1")
    for recorded in (False, True):
        if recorded:
            real.record()
            if text == "image":
                continue  # the ledger knows names by their beginning alone
        found = await real_viewer.post("/api/v1/series/search", json={"q": text}, headers=HOME)
        assert [one["id"] for one in (await found.json())["series"]] == [id], recorded
    assert (await real_viewer.post("/api/v1/series/search", json={"text": "CT9"}, headers=HOME)).status == 422
    nothing = await real_viewer.post("/api/v1/series/search", json={"q": "Somebody Else"}, headers=HOME)
    assert (await nothing.json())["series"] == []


async def test_a_patients_name_is_searched_for_without_standing_in_any_address(real_viewer, real_admin, two):
    sent = await real_viewer.post(
        "/series/search", data={"q": "Test^Image", "state": "in_delivery"}, headers=HOME, allow_redirects=False
    )
    address = sent.headers["Location"]
    assert sent.status == 303 and "Test" not in address and "state=in_delivery" in address
    text = await text_of(real_viewer, address)
    assert "Test^Image" in text and f"/series/{two[0]}" in text
    assert "not kept any more" in await text_of(real_viewer, "/series?s=nonsense")


async def test_csv_cells_are_no_formulas(real, real_viewer):
    real.arrival(Evil())
    answer = await real_viewer.get("/series?format=csv")
    assert answer.content_type == "text/csv"
    (row,) = csv.DictReader(io.StringIO(await answer.text()))
    assert row["patient id"] == "'=1" and row["images"] == "1"


async def test_a_list_taken_away_as_a_file_is_in_the_audit_without_what_was_searched_for(real, real_viewer, people):
    real.arrival()
    await real_viewer.get("/series?format=csv&source=CT1")
    sent = await real_viewer.post("/series/search", data={"q": "Test^Image"}, headers=HOME, allow_redirects=False)
    await real_viewer.get(sent.headers["Location"] + "&format=csv")
    await real_viewer.get("/queue?format=csv&state=parked")
    exports = [(one.action, one.after) for one in people.audit_trail() if one.action.endswith(" export")]
    assert exports == [
        ("queue export", {"state": "parked", "format": "csv"}),
        ("series export", {"format": "csv", "searched": True}),
        ("series export", {"source": "CT1", "format": "csv"}),
    ]


async def test_one_series_tells_its_story_in_order(real, real_viewer):
    id = real.arrival(TestImage(), TestImage(instance=2))
    real.record()
    story = await (await real_viewer.get(f"/api/v1/series/{id}")).json()
    titles = [step["title"] for step in story["timeline"]]
    assert titles == ["CT1 connected", "First image", "Last image", "The association was released", "Complete with 2 images",
                      "Rules (version 1): route to pacs", "Queued for pacs"]  # fmt: skip
    assert story["timeline"][5]["rules"] == [{"rule": "all", "result": "match", "why": ""}]


@pytest.mark.parametrize("tab", ["why", "deliveries", "files", "header", "events", "nonsense"])
async def test_every_tab_shows_what_it_is_for(real, real_viewer, tab):
    id = real.arrival()
    real.record()
    text = await text_of(real_viewer, f"/series/{id}?tab={tab}")
    expected = {"why": "routed by rule", "deliveries": "0 of 1 images", "files": TestImage().sop_uid, "header": "PatientName",
                "events": "arrival.decided", "nonsense": "routed by rule"}  # fmt: skip
    assert expected[tab].replace("'", "&#39;") in text


async def test_why_a_rule_did_not_match_is_told_with_the_value(real, real_viewer):
    real.publish(
        {"name": "mr", "when": "Modality == 'MR' and InstanceNumber == 1", "action": "route", "targets": ["pacs"]}
    )
    id = real.arrival()
    story = await (await real_viewer.get(f"/api/v1/series/{id}")).json()
    (rules,) = [step["rules"] for step in story["timeline"] if step["rules"]]
    assert rules == [{"rule": "mr", "result": "no match", "why": "Modality is \"CT\" (wanted: Modality == 'MR')"}]


async def test_header_values_are_found_and_differences_marked(real, real_viewer):
    id = real.arrival(TestImage(), TestImage(instance=2))
    tags = {
        tag["keyword"]: tag for tag in (await (await real_viewer.get(f"/api/v1/series/{id}/header")).json())["tags"]
    }
    assert (tags["Modality"]["tag"], tags["Modality"]["vr"], tags["Modality"]["value"]) == ("0008,0060", "CS", "CT")
    assert tags["InstanceNumber"]["other"] == ["2"] and tags["PatientID"]["other"] == []
    found = await real_viewer.post(f"/series/{id}/find?tab=header", data={"find": "test^im"}, headers=HOME | PAGE)
    assert "PatientName" in await found.text() and "InstanceNumber" not in await found.text()


async def test_what_the_spool_forgot_is_told_by_the_ledger(real, real_viewer):
    id = real.arrival()
    real.record()
    with real.spool.database.write() as tx:
        tx.execute("DELETE FROM arrival WHERE id = ?", (id,))
    text = await text_of(real_viewer, f"/series/{id}")
    assert "The spool has forgotten this series" in text and "Decision: route to pacs" in text
    assert [one["id"] for one in (await (await real_viewer.get("/api/v1/series")).json())["series"]] == [id]


async def test_an_unknown_series_is_not_found(real_viewer, two):
    for path in (
        "/series/1",
        "/series/x",
        "/series/99999999999999999999",
        "/studies/1.2.3",
        "/studies/x",
        "/patients/x",
    ):
        assert (await real_viewer.get(path)).status == 404, path
        assert (await real_viewer.get(f"/api/v1{path}")).status == 404, path


async def test_scripts_in_header_values_stay_text(real, real_viewer):
    evil = "<script>1"
    id = real.arrival(Evil())
    for path in ("/series", f"/series/{id}", f"/series/{id}?tab=header", f"/studies/{TestImage().study_uid}"):
        text = await text_of(real_viewer, path)
        assert evil not in text and "&lt;script&gt;1" in text, path


# ---- acts -------------------------------------------------------------------------------------------------------
async def test_holding_and_releasing_are_carried_out_and_can_be_undone(real, real_admin):
    real.answering()
    id = real.arrival()
    held = await real_admin.post(f"/series/{id}/hold", data={"reason": "wrong patient"}, headers=HOME | PAGE)
    text = await held.text()
    act = real.spool.commands.list()[0].id
    assert "is held" in text and f'action="/acts/{act}/undo"' in text and "wrong patient" in text
    assert real.spool.arrivals.get(id)["state"] == "held"
    assert f'action="/acts/{act}/undo"' in await text_of(real_admin, f"/acts/{act}")
    done = await real_admin.post(f"/acts/{act}/undo", data={"back": f"/series/{id}"}, headers=HOME | PAGE)
    assert real.spool.arrivals.get(id)["state"] == "in_delivery" and done.url.path == f"/series/{id}"
    again = await (await real_admin.post(f"/api/v1/acts/{act}/undo", json={}, headers=HOME)).json()
    assert again["state"] == "done" and again["done"] == 0
    elsewhere = await real_admin.post(
        f"/acts/{act}/undo", data={"back": "//evil.example"}, headers=HOME, allow_redirects=False
    )
    assert elsewhere.headers["Location"] == "/"


async def test_ticked_series_are_asked_about_sent_and_kept(real, real_admin):
    real.publish(targets={"pacs": {"type": "dicom", "host": "h", "port": 1, "called_ae": "P"},
                          "other": {"type": "dicom", "host": "h", "port": 2, "called_ae": "Q"}})  # fmt: skip
    real.answering()
    ids = [str(real.arrival(TestImage(study=at))) for at in (1, 2)]
    text = await text_of(real_admin, "/series")
    assert all(f'name="ids" value="{id}"' in text for id in ids) and 'name="act" value="keep"' in text
    form = {"act": "route", "ids": ids}
    asked = await (await real_admin.post("/series/act", data=form, headers=HOME | PAGE)).text()
    assert "Send to: 2 series" in asked and 'value="other"' in asked and real.spool.commands.list() == []
    wrong = await (await real_admin.post("/series/act", data={**form, "confirmed": "true"}, headers=HOME | PAGE)).text()
    assert "name at least one target" in wrong
    await real_admin.post("/series/act", data={**form, "confirmed": "true", "targets": "other"}, headers=HOME)
    assert [len(real.spool.deliveries.of_arrival(int(id))) for id in ids] == [2, 2]
    keep = {"act": "keep", "ids": ids, "confirmed": "true"}
    wrong = await (await real_admin.post("/series/act", data=keep, headers=HOME | PAGE)).text()
    assert "name a day such as" in wrong
    done = await real_admin.post(
        "/series/act", data={**keep, "keep_until": "2099-12-31", "reason": "trial"}, headers=HOME | PAGE
    )
    assert "Keep: 2 arrivals" in await done.text()
    kept = [real.spool.arrivals.get(int(id))["keep_until"] for id in ids]
    assert kept[0] == kept[1] == moment("2099-12-31", end=True)
    assert "somebody wants it" in await text_of(real_admin, f"/series/{ids[0]}")
    await real_admin.post("/series/act", data={**keep, "no_longer": "true"}, headers=HOME)
    assert real.spool.arrivals.get(int(ids[0]))["keep_until"] is None


async def test_all_that_the_filters_or_a_search_find_are_meant(real, real_admin, monkeypatch):
    real.answering()
    ours, other = real.arrival(TestImage(), calling_ae="MR1"), real.arrival(TestImage(study=2))
    form = {"act": "hold", "scope": "match", "source": "MR1"}
    monkeypatch.setattr("webgui.areas.series.many.MANY", 0)
    asked = await (await real_admin.post("/series/act", data=form, headers=HOME | PAGE)).text()
    assert "Hold: 1 series?" in asked and "source MR1" in asked
    wrong = await (
        await real_admin.post("/series/act", data={**form, "confirmed": "true", "typed": "7"}, headers=HOME | PAGE)
    ).text()
    assert "not their number" in wrong
    await real_admin.post("/series/act", data={**form, "confirmed": "true", "typed": "1"}, headers=HOME)
    assert [real.spool.arrivals.get(id)["state"] for id in (ours, other)] == ["held", "in_delivery"]
    real.record()
    found = await real_admin.post("/series/search", data={"q": "Test"}, headers=HOME | PAGE)
    searched = {"act": "release", "scope": "match", "s": found.url.query["s"], "confirmed": "true", "typed": "1"}
    await real_admin.post("/series/act", data=searched, headers=HOME)
    assert real.spool.arrivals.get(ours)["state"] == "in_delivery"
    assert "Test" not in str(real.spool.commands.list()[0].arguments)
    none = await (await real_admin.post("/series/act", data=searched, headers=HOME | PAGE)).text()
    assert "None of what matches" in none
    assert (await real_admin.post("/series/act", data={**searched, "s": "lost"}, headers=HOME)).status == 409


async def test_programs_keep_series_and_say_for_how_long(real, real_admin):
    real.answering()
    id = real.arrival()
    for wrong in ({}, {"keep_until": "soon"}):
        assert (await real_admin.post(f"/api/v1/series/{id}/keep", json=wrong, headers=HOME)).status == 422
    past = await real_admin.post(f"/api/v1/series/{id}/keep", json={"keep_until": "2001-01-31"}, headers=HOME)
    assert past.status == 409 and "in the future" in (await past.json())["error"]
    body = {"where": {"source": "CT1"}, "keep_until": "2099-01-31T08:00:00+00:00", "reason": "trial"}
    assert (await (await real_admin.post("/api/v1/series/acts/keep", json=body, headers=HOME)).json())["done"] == 1
    found = await (await real_admin.get(f"/api/v1/series/{id}")).json()
    assert found["kept_until"] == 4073529600.0


async def test_an_act_that_is_refused_says_why(real, real_admin):
    real.answering()
    id = real.arrival()
    refused = await real_admin.post(f"/api/v1/series/{id}/release", json={}, headers=HOME)
    assert refused.status == 409 and "not held" in (await refused.json())["answer"]
    assert (await real_admin.post(f"/api/v1/series/{id}/explode", json={}, headers=HOME)).status == 404


async def test_a_series_is_sent_to_another_target(real, real_admin):
    real.publish(targets={"pacs": {"type": "dicom", "host": "h", "port": 1, "called_ae": "P"},
                          "other": {"type": "dicom", "host": "h", "port": 2, "called_ae": "Q"}})  # fmt: skip
    real.answering()
    id = real.arrival()
    assert (await real_admin.post(f"/api/v1/series/{id}/route", json={}, headers=HOME)).status == 422
    body = {"targets": ["other"], "priority": "urgent"}
    done = await real_admin.post(f"/api/v1/series/{id}/route", json=body, headers=HOME)
    assert done.status == 200, await done.text()
    assert {(one["target"], one["priority"]) for one in real.spool.deliveries.of_arrival(id)} == {
        ("pacs", 1),
        ("other", 0),
    }


async def test_many_are_acted_on_by_what_they_have_in_common(real, real_admin):
    real.answering()
    wanted, other = real.arrival(TestImage(), calling_ae="MR1"), real.arrival(TestImage(study=2))
    assert (await real_admin.post("/api/v1/series/acts/hold", json={"where": {}}, headers=HOME)).status == 422
    assert (await real_admin.post("/api/v1/series/acts/hold", json={}, headers=HOME)).status == 422
    misspelled = {"where": {"source": "MR1", "modalty": "US"}}
    assert (await real_admin.post("/api/v1/series/acts/hold", json=misspelled, headers=HOME)).status == 409
    done = await real_admin.post("/api/v1/series/acts/hold", json={"where": {"source": "MR1"}}, headers=HOME)
    assert (await done.json())["done"] == 1
    assert [real.spool.arrivals.get(id)["state"] for id in (wanted, other)] == ["held", "in_delivery"]


async def test_who_may_only_look_sees_no_buttons_and_changes_nothing(real, real_viewer):
    id = real.arrival()
    assert f'action="/series/{id}/hold"' not in await text_of(real_viewer, f"/series/{id}")
    for path in (f"/series/{id}/hold", f"/api/v1/series/{id}/hold", "/api/v1/series/acts/hold", "/series/act"):
        assert (await real_viewer.post(path, headers=HOME)).status == 403
    assert real.spool.commands.list() == []


# ---- studies and patients ---------------------------------------------------------------------------------------
async def test_a_study_shows_its_series_side_by_side(real, real_viewer):
    ids = [real.arrival(TestImage(series=number)) for number in (1, 2)]
    text = await text_of(real_viewer, f"/studies/{TestImage().study_uid}")
    assert all(f'href="/series/{id}"' in text for id in ids) and text.count('<svg viewBox="0 0 100') == 2
    told = await (await real_viewer.get(f"/api/v1/studies/{TestImage().study_uid}")).json()
    assert (told["study"]["series"], told["study"]["images"]) == (2, 2)


async def test_a_study_of_which_another_node_has_series_says_so(real, real_viewer, tmp_path):
    real.arrival()
    real.record()
    other = RealNode(tmp_path / "other", SCANPOST_NODE__NAME="annex", SCANPOST_LEDGER__URL=real.settings.ledger.url)
    other.publish()
    for image in (TestImage(series=2), TestImage(series=3), TestImage(study=2)):
        other.arrival(image)
    other.record()
    other.close()
    uid, alone = TestImage().study_uid, TestImage(study=2).study_uid
    said = f"ode annex has {{}} series of this study: see its own page, or scanpost history search {uid} --node annex"
    assert said.format(2) in await text_of(real_viewer, f"/studies/{uid}")
    told = await (await real_viewer.get(f"/api/v1/studies/{uid}")).json()
    assert told["study"]["series"] == 1 and told["notes"] == [f"N{said.format(2)}."]
    text = await text_of(real_viewer, f"/studies/{alone}", 404)
    assert "there is no such study here; node annex has 1 series" in text


async def test_many_series_of_a_study_and_studies_of_a_patient_come_in_parts_and_are_counted_whole(
    real, real_viewer, monkeypatch
):
    monkeypatch.setattr("webgui.areas.series.studies.PAGE", 2)
    ids = [real.arrival(TestImage(series=number)) for number in (1, 2, 3)]
    path = f"/studies/{TestImage().study_uid}"
    text = await text_of(real_viewer, path)
    assert [f'data-key="{id}"' in text for id in ids] == [True, True, False] and f'href="{path}?skip=2"' in text
    assert "1 to 2 of 3" in text and "<dt>Series</dt><dd>3 " in text and text.count('<svg viewBox="0 0 100') == 2
    text = await text_of(real_viewer, f"{path}?skip=2")
    assert [f'data-key="{id}"' in text for id in ids] == [False, False, True] and 'rel="next"' not in text
    assert "3 to 3 of 3" in text and f'href="{path}"' in text and "<dt>Series</dt><dd>3 " in text
    await text_of(real_viewer, f"{path}?skip=-1", 422)
    for number in (2, 3):
        real.arrival(TestImage(study=number))
    text = await text_of(real_viewer, f"/series/{ids[0]}")
    path = text[text.index("/patients/") :].split('"')[0]
    text = await text_of(real_viewer, path)
    assert text.count('class="row-link"') == 2 and "1 to 2 of 3" in text and f'href="{path}?skip=2"' in text
    assert (await text_of(real_viewer, f"{path}?skip=2")).count('class="row-link"') == 1


async def test_a_patients_page_has_an_address_that_tells_nobody_who_it_is(real, real_viewer):
    id = real.arrival(TestImage())
    real.arrival(TestImage(study=2))
    text = await text_of(real_viewer, f"/series/{id}")
    path = text[text.index("/patients/") :].split('"')[0]
    assert "T1" not in path
    page = await text_of(real_viewer, path)
    assert "Test, Image" in page and TestImage(study=1).study_uid in page and TestImage(study=2).study_uid in page
    real.record()
    told = await (await real_viewer.get(f"/api/v1{path}")).json()
    assert told["patient_id"] == "T1" and len(told["studies"]) == 2
    assert oct((real.settings.home / "config" / "patients.secret").stat().st_mode)[-3:] == "600"


# ---- masked patient data ----------------------------------------------------------------------------------------
@pytest.fixture
async def masked(config, accounts, real, people, aiohttp_client):
    """A client of an application that masks patient data for everybody."""
    source, behind = SpoolSource(real.settings, real.clock), Node(real.settings, real.clock)
    app = init_app(replace(config, mask_phi="everybody"), accounts, source, real.clock, None, behind)
    yield await log_in(await aiohttp_client(app), "ann")
    behind.close()
    source.close()


async def test_where_patients_are_masked_no_page_or_answer_says_who_it_is(real, masked):
    real.publish({"name": "who", "when": "PatientName == 'Test^Image'", "action": "route", "targets": ["pacs"]})
    id = real.arrival()
    real.record()
    study, pages = (
        TestImage().study_uid,
        [f"/series/{id}?tab={tab}" for tab in ("why", "deliveries", "files", "header", "events")],
    )
    pages += ["/series", f"/studies/{study}", "/queue", "/series?format=csv", "/queue?format=csv"]
    pages += [
        f"/api/v1/series/{id}",
        f"/api/v1/series/{id}/header",
        "/api/v1/series",
        f"/api/v1/studies/{study}",
        "/api/v1/queue",
    ]
    for path in pages:
        text = await text_of(masked, path)
        rule = "PatientName == 'Test^Image'"
        text = text.replace(rule, "").replace(rule.replace("'", "&#39;"), "")
        assert "Test^Image" not in text and "Test, Image" not in text, path
    found = await masked.post(f"/series/{id}/find?tab=header", data={"find": "Test^Im"}, headers=HOME | PAGE)
    assert "Nothing matches" in await found.text()


async def test_where_patients_are_masked_searching_finds_none_out(real, masked):
    id = real.arrival()
    for text, expected in (("Test", []), ("T1", []), (TestImage().study_uid, [id]), ("CT1", [id])):
        found = await masked.post("/api/v1/series/search", json={"q": text}, headers=HOME)
        assert [one["id"] for one in (await found.json())["series"]] == expected, text


async def test_revealed_a_page_shows_who_it_is(real, masked):
    id = real.arrival()
    await masked.post("/reveal", data={"path": f"/series/{id}"}, headers=HOME)
    assert "Test, Image" in await text_of(masked, f"/series/{id}")
    assert "Test, Image" not in await text_of(masked, "/series")
