"""The pages of rules: the list, the editor, drafts, activation, two editors at once, trying, backtests, order."""

import io
import json
import re
from dataclasses import replace

import pytest
from real_node import ALL, PACS
from webgui_fakes import HOME, PAGE

from protocol.accounts.trail import Wanted
from protocol.routing.model import Rule
from protocol.routing.parse import build
from protocol.testing.images import TestImage
from webgui.areas.rules import form, reading, words
from webgui.keys import CONFIG, JOBS

CARDIAC = {
    "name": "cardiac", "when": "Modality == 'CT' and contains(StudyDescription, 'chest')", "action": "route",
    "targets": ["pacs"],
}  # fmt: skip


async def page(client, path, status=200):
    answer = await client.get(path, headers=PAGE)
    assert answer.status == status, await answer.text()
    return await answer.text()


async def post(client, path, data, status=303):
    answer = await client.post(path, data=data, headers=HOME | PAGE, allow_redirects=False)
    assert answer.status == status, await answer.text()
    return answer


async def call(client, method, path, status=200, **more):
    answer = await client.request(method, f"/api/v1/rules{path}", headers=HOME, **more)
    assert answer.status == status, await answer.text()
    return await answer.json()


def sent(rule=CARDIAC, **more):
    return {**rule, "was": "", "base": "1", "tests": "[]", "do": "activate"} | more


def rules(real):
    return [rule.name for rule in real.versions.current().configuration.rules]


# ---- the list
async def test_a_new_rule_is_not_blamed_for_thirty_days_without_a_match(real, real_viewer):
    real.publish(ALL, CARDIAC)
    (told,) = (await call(real_viewer, "GET", "/cardiac"))["warnings"]
    assert told["text"].startswith("no match yet: in force for ")
    month_ago = replace(real.versions.current(), time=real.clock.now() - 31 * 86_400)
    assert reading.ages_of(real.versions, month_ago, ["cardiac"], real.clock.now()) == {}


def test_a_rule_is_as_old_as_its_condition_and_mode_whatever_else_was_changed(real):
    number = real.publish(ALL, CARDIAC)
    changed = real.versions.get(number).time
    real.publish(ALL | {"comment": "another"}, CARDIAC | {"owner": "Lee"})
    now = real.clock.now()
    assert reading.ages_of(real.versions, real.versions.current(), ["cardiac"], now) == {"cardiac": now - changed}
    real.publish(ALL, CARDIAC | {"mode": "shadow"})
    latest = real.versions.current()
    assert reading.ages_of(real.versions, latest, ["cardiac"], latest.time + 9) == {"cardiac": pytest.approx(9)}


async def test_the_list_says_in_english_what_rules_do_how_often_and_what_is_odd(real, real_viewer):
    real.publish(
        ALL, {"name": "never", "when": "Modality == 'CT' and Modality == 'MR'", "action": "hold", "owner": "Lee"}
    )
    real.arrival()
    text = await page(real_viewer, "/rules")
    assert "send to pacs" in text and "can never apply" in text and "Lee" in text
    assert "<strong>1</strong>" in text and "New rule" not in text and "/move" not in text
    csv = await (await real_viewer.get("/rules?format=csv")).text()
    assert csv.splitlines()[1].startswith("1,all,active,True,always,send to pacs")


async def test_without_rules_the_list_offers_to_write_one(real_admin, real):
    real.versions.publish(type(real.versions.current().configuration)(), "ann", "", 1)
    assert "Write the first rule" in await page(real_admin, "/rules")


def test_every_setting_of_a_rule_has_its_words():
    names = {spec.name for spec in form.SPECS} | set(Rule.model_fields)
    assert names <= set(words.RULE)


# ---- editing
async def test_a_new_rule_becomes_a_version_with_author_and_reason_and_can_be_undone(real, real_admin):
    answer = await post(
        real_admin, "/rules/edit", sent(reason="cardiology asked", schedule="mon-fri 7:00-18:00", place="1")
    )
    assert answer.headers["Location"] == "/rules/cardiac"
    now = real.versions.current()
    rule = now.configuration.rules[0]
    assert (now.author, now.reason, rule.name, rule.mode) == ("ann", "cardiology asked", "cardiac", "active")
    assert (rule.schedule[0].days, rule.schedule[0].start) == (("mon", "tue", "wed", "thu", "fri"), "07:00")
    text = await page(real_admin, "/rules/cardiac")
    assert "Undo" in text and "mon-fri 07:00-18:00" in text
    await post(real_admin, "/config/undo", {"version": "2"})
    assert rules(real) == ["all"]


async def test_faults_stand_at_their_fields_and_nothing_typed_is_lost(real, real_admin):
    data = sent(
        CARDIAC | {"name": "Bad Name", "when": "Modalty == 'CT'", "comment": "<script>x</script>"}, expires="soon"
    )
    text = await (await post(real_admin, "/rules/edit", data, 422)).text()
    assert (
        "did you mean &#39;Modality&#39;" in text
        and "a name is 1 to 64" in text.lower()
        and "write a day" in text.lower()
    )
    assert "<mark>Modalty</mark>" in text and "&lt;script&gt;x" in text and rules(real) == ["all"]


async def test_the_second_of_two_editors_is_told_with_a_difference_and_loses_nothing(real, real_admin):
    theirs = ALL | {"when": "Modality == 'MR'"}
    real.publish(theirs)
    mine = sent(ALL | {"when": "Modality == 'CT'"}, was="all", base="1", comment="mine")
    text = await (await post(real_admin, "/rules/edit", mine, 409)).text()
    assert "changed this rule meanwhile" in text and "<ins>Modality" in text and ">mine</textarea>" in text
    assert real.versions.current().number == 2
    await post(real_admin, "/rules/edit", mine | {"base": "2"})
    assert real.versions.current().configuration.rules[0].when == "Modality == 'CT'"


async def test_the_second_of_two_editors_is_told_everybody_who_changed_the_rule_and_nobody_else(real, real_admin):
    def publish(author, when, **more):
        data = {"targets": {"pacs": PACS}, "rules": [ALL | {"when": when}], **more}
        real.versions.publish(build(data, "test"), author, f"by {author}", real.versions.current().number)

    publish("ben", "Modality == 'MR'")
    publish("cara", "Modality == 'US'")
    publish("dora", "Modality == 'US'", sources={"ct1": {"calling_ae": "CT1"}})
    mine = sent(ALL | {"when": "Modality == 'CT'"}, was="all", base="1")
    text = await (await post(real_admin, "/rules/edit", mine, 409)).text()
    assert "cara and ben changed this rule meanwhile" in text and 'href="/config/versions/3"' in text
    assert "by cara" in text and "dora" not in text
    text = await (await post(real_admin, "/rules/edit", mine | {"base": "2"}, 409)).text()
    assert "cara changed this rule meanwhile" in text


async def test_a_rule_that_others_left_alone_is_published_on_top_of_their_changes(real, real_admin):
    real.publish(ALL, {"name": "theirs", "when": "True", "action": "hold"})
    await post(real_admin, "/rules/edit", sent(ALL | {"when": "Modality == 'CT'"}, was="all"))
    assert rules(real) == ["all", "theirs"]


async def test_a_draft_waits_for_its_author_alone_and_acts_on_nothing(real, real_admin, accounts):
    await post(real_admin, "/rules/edit", sent(do="draft"))
    assert rules(real) == ["all"]
    assert "cardiac" in await page(real_admin, "/rules")
    assert "your draft" in await page(real_admin, "/rules/cardiac?draft=true")
    await post(real_admin, "/rules/edit", sent(do="shadow"))
    assert real.versions.current().configuration.rules[1].mode == "shadow"
    assert "Your drafts" not in await page(real_admin, "/rules")


async def test_the_drafts_of_others_are_not_shown(real, real_app, real_admin, aiohttp_client, accounts):
    from webgui_fakes import PASSWORD, log_in

    await post(real_admin, "/rules/edit", sent(do="draft"))
    accounts.add_user("bob", "admin", PASSWORD)
    bob = await log_in(real_admin, "bob")
    assert "Your drafts" not in await page(bob, "/rules")
    await page(bob, "/rules/cardiac?draft=true", 404)


async def test_a_rule_whose_test_cases_fail_cannot_be_activated(real, real_admin):
    tests = [{"name": "mr", "header": {"Modality": "MR"}, "expect": "true"}]
    text = await (await post(real_admin, "/rules/edit", sent(tests=json.dumps(tests)), 422)).text()
    assert "expects true" in text and rules(real) == ["all"]
    await post(real_admin, "/rules/edit", sent(tests=json.dumps(tests), do="draft"))


async def test_modes_order_and_removal_are_versions_with_a_way_back(real, real_admin):
    real.publish(ALL, CARDIAC, {"name": "third", "when": "True", "action": "hold"})
    await post(real_admin, "/rules/cardiac/mode", {"mode": "off"})
    await post(real_admin, "/rules/third/move", {"to": "up"})
    assert rules(real) == ["all", "third", "cardiac"]
    await post(real_admin, "/rules/order", {"names": "cardiac,all"})
    assert rules(real) == ["cardiac", "all", "third"]
    await post(real_admin, "/rules/third/delete", {})
    assert rules(real) == ["cardiac", "all"]
    await post(real_admin, "/config/undo", {"version": str(real.versions.current().number)})
    assert rules(real) == ["cardiac", "all", "third"]
    await post(real_admin, "/rules/nothing/delete", {}, 404)


async def test_a_rule_is_off_until_a_day_and_switching_it_on_ends_that(real, real_admin):
    real.publish(ALL, CARDIAC)
    await post(real_admin, "/rules/cardiac/mode", {"mode": "off", "off_until": "2999-12-31"}, 422)
    await post(real_admin, "/rules/cardiac/mode", {"mode": "active", "off_until": "soon"}, 422)
    await post(real_admin, "/rules/cardiac/mode", {"mode": "active", "off_until": "2999-12-31"})
    assert "off until 2999-12-31" in await page(real_admin, "/rules")
    assert 'value="2999-12-31"' in await page(real_admin, "/rules/cardiac")
    await post(real_admin, "/rules/cardiac/mode", {"mode": "active", "off_until": ""})
    assert "off until" not in (await page(real_admin, "/rules")).replace("Off until", "").replace(
        "Switch off until then", ""
    )


async def test_a_rule_made_of_an_arrival_describes_it(real, real_admin):
    number = (
        real.arrival(TestImage(modality="CT"), calling_ae="CT1")
        if "modality" in TestImage.__dataclass_fields__
        else real.arrival()
    )
    text = await page(real_admin, f"/rules/new?from={number}")
    assert "SenderAET == &#39;CT1&#39;" in text and "Modality == " in text
    assert f'<option value="{number}" selected>' in text


async def test_a_copy_has_a_name_of_its_own(real_admin, real):
    assert 'value="all-copy"' in await page(real_admin, "/rules/new?copy=all")
    await page(real_admin, "/rules/new?copy=nothing", 404)


# ---- trying
async def test_a_past_series_is_tried_clause_by_clause_with_its_values(real, real_viewer):
    number = real.arrival()
    data = sent(ALL | {"when": "SenderAET == 'CT1' and Modality == 'XX'"}, was="all", arrival=str(number))
    text = await (await post(real_viewer, "/rules/try", data, 200)).text()
    assert "No match" in text and "SenderAET is <b>CT1</b>" in text and "With all rules" in text


async def test_a_hold_that_a_release_cannot_end_is_told_by_the_check_the_list_and_the_test(real, real_admin):
    hold = {"name": "look", "when": "Modality == 'CT'", "action": "hold"}
    real.publish(ALL | {"when": "Modality == 'MR'"}, hold)
    odd, pasted = "a release has nowhere to send it", json.dumps({"Modality": "CT"})
    assert odd in await page(real_admin, "/rules")
    data = sent(hold, was="look", do="check", pasted=pasted)
    text = await (await post(real_admin, "/rules/edit", data, 200)).text()
    assert odd in text and "Nothing stands against it" not in text and "rules[1]" not in text
    assert (
        "A release is refused: no rule names a target" in await (await post(real_admin, "/rules/try", data, 200)).text()
    )
    data |= {"targets": "pacs"}
    assert "Nothing stands against it" in await (await post(real_admin, "/rules/edit", data, 200)).text()
    assert "A release sends it to pacs." in await (await post(real_admin, "/rules/try", data, 200)).text()


@pytest.mark.parametrize(("do", "status"), [("check", 200), ("activate", 422), ("keep", 422)])
async def test_what_the_test_panel_was_filled_with_stays_whatever_the_form_was_sent_for(real, real_admin, do, status):
    number = real.arrival()
    data = sent(ALL | {"when": "True" if do == "check" else "Modalty == 1"}, was="all", do=do, arrival=str(number))
    text = await (await post(real_admin, "/rules/edit", data, status)).text()
    assert f'value="{number}" selected' in text
    data |= {"arrival": "", "pasted": '{"Modality": "US"}', "o-calling_ae": "CT9"}
    text = await (await post(real_admin, "/rules/edit", data, status)).text()
    assert "&#34;Modality&#34;: &#34;US&#34;" in text and 'value="CT9"' in text


async def test_who_sees_patients_masked_cannot_find_them_out_by_testing_rules(real, real_app, real_viewer):
    real_app[CONFIG] = replace(real_app[CONFIG], mask_phi="viewers")
    data = sent(CARDIAC | {"when": "PatientName == 'X'"}, arrival=str(real.arrival()))
    assert "masked for you" in await (await post(real_viewer, "/rules/try", data, 422)).text()
    await post(real_viewer, "/rules/backtest", data, 422)


async def test_a_pasted_header_is_tried_and_markup_in_it_stays_text(real_viewer):
    data = sent(CARDIAC | {"when": "contains(StudyDescription, 'script')"},
                pasted=json.dumps({"StudyDescription": "<script>alert(1)</script>"}))  # fmt: skip
    answer = await real_viewer.post("/rules/try", data=data, headers=HOME | PAGE | {"X-Fragment": "1"})
    text = await answer.text()
    assert "Matches" in text and "&lt;script&gt;" in text and "<script>" not in text and "Also matches" in text


async def test_a_dicom_file_is_read_for_the_answer_and_a_torn_one_is_told(real_viewer, tmp_path):
    from protocol.spool.part10 import fresh

    image = TestImage()
    part10 = fresh(image.sop_class_uid, image.sop_uid, image.transfer_syntax_uid) + image.dataset()
    for data, said in ((part10, "Matches"), (part10[:150], "file meta information"), (b"nothing", "no DICOM file")):
        fields = sent(ALL, was="all") | {"targets": "pacs", "files": io.BytesIO(data)}
        answer = await real_viewer.post("/rules/try", data=fields, headers=HOME | PAGE | {"X-Fragment": "1"})
        assert said in await answer.text()


async def test_what_was_tried_becomes_a_test_case_with_only_what_the_rule_reads(real, real_admin):
    number = real.arrival()
    data = sent(CARDIAC | {"when": "Modality == 'XX'"}, do="keep", arrival=str(number), test_name="not this")
    await post(real_admin, "/rules/edit", data)
    text = await page(real_admin, "/rules/cardiac?draft=true")
    assert "not this" in text and "all 1 pass" in text and "&#34;PatientName&#34;" not in text
    again = sent(CARDIAC, do="forget:0", tests='[{"header": {}, "expect": "true"}]')
    await post(real_admin, "/rules/edit", again)
    assert "Test cases" in await page(real_admin, "/rules/cardiac?draft=true")


# ---- help while typing
async def test_the_compiler_answers_while_one_types_with_english_rows_or_the_place_of_the_fault(real_viewer):
    good = await call(real_viewer, "POST", "/lint", json={"when": "modality == 'CT' and SeriesNumber > 5"})
    assert good["english"] == "Modality is 'CT' and Series Number is above 5"
    assert [row["field"] for row in good["rows"]["rows"]] == ["Modality", "SeriesNumber"]
    bad = await call(real_viewer, "POST", "/lint", json={"when": "Modalty == 'CT'"})
    assert bad["error"]["pieces"] == ["", "Modalty", " == 'CT'"] and "Modality" in bad["error"]["cure"]
    rows = {
        "op": "or",
        "rows": [{"field": "Modality", "test": "in", "value": "CT, MR"}, {"field": "", "test": "==", "value": ""}],
    }
    assert (await call(real_viewer, "POST", "/lint", json={"builder": rows}))["text"] == "Modality in ('CT', 'MR')"


async def test_completion_knows_the_names_of_this_site_and_never_tells_a_patient(real, real_viewer):
    real.arrival()
    found = (await call(real_viewer, "POST", "/complete", json={"prefix": "Modal"}))["names"]
    assert found[0]["name"] == "Modality" and found[0]["vr"] == "CS"
    seen = (await call(real_viewer, "POST", "/complete", json={"values_of": "SenderAET"}))["values"]
    assert seen == [{"value": "CT1", "arrivals": 1}]
    for name in ("PatientName", "PatientID", "AccessionNumber", "StudyInstanceUID"):
        assert (await call(real_viewer, "POST", "/complete", json={"values_of": name}))["values"] == []
        (told,) = (await call(real_viewer, "POST", "/complete", json={"about": name}))["names"]
        assert told["values"] == [] and "values are not shown" in told["help"]


@pytest.mark.parametrize(
    ("name", "tag", "vr", "said"),
    [
        (
            "modality",
            "0008,0060",
            "CS",
            "Modality · (0008,0060) CS, code · compared as text · seen here in 30 days: CT 1×",
        ),
        ("SeriesNumber", "0020,0011", "IS", "compared as a number"),
        ("SenderAET", "", "arrival", "of the arrival, not of the image"),
        ("RequestAttributesSequence.ScheduledProcedureStepID", "0040,0009", "SH", "of Request Attributes Sequence"),
        ("0019,100C", "0019,100C", "UN", "compared as it is written"),
        ("PixelData", "7FE0,0010", "OB or OW", "a rule cannot read it"),
    ],
)
async def test_a_name_is_explained_with_its_tag_vr_and_the_values_of_this_site(real, real_viewer, name, tag, vr, said):
    real.arrival()
    (told,) = (await call(real_viewer, "POST", "/complete", json={"about": name}))["names"]
    assert (told["tag"].upper(), told["vr"]) == (tag, vr) and said in told["help"]


async def test_an_unknown_name_has_no_help_and_the_editor_explains_what_a_rule_reads(real, real_admin):
    assert (await call(real_admin, "POST", "/complete", json={"about": "Modalty"}))["names"] == []
    real.publish(CARDIAC)
    text = await page(real_admin, "/rules/cardiac")
    assert "What these names mean" in text and "(0008,0060) CS, code" in text and "(0008,1030) LO" in text


async def test_blanks_within_a_text_are_kept_from_the_rows_to_the_rule_in_force(real, real_admin, real_viewer):
    """A rule made of a series whose description has several blanks in a row has to match that series."""
    row = {"scope": "", "field": "SeriesDescription", "test": "==", "value": "from   C"}
    text = (await call(real_viewer, "POST", "/lint", json={"builder": {"op": "and", "rows": [row]}}))["text"]
    told = await call(real_viewer, "POST", "/lint", json={"when": f"  {text} "})
    assert told["text"] == text == "SeriesDescription == 'from   C'" and told["rows"]["rows"] == [row]
    await post(real_admin, "/rules/edit", sent(when=text.replace(" == ", "\r\n  ==  ")))
    assert real.versions.current().configuration.rules[-1].when == text


async def test_rows_that_are_sent_along_are_the_condition(real, real_admin):
    rows = {"op": "and", "rows": [{"scope": "", "field": "Modality", "test": "!=", "value": "CT"}]}
    await post(real_admin, "/rules/edit", sent(rows=json.dumps(rows)))
    assert real.versions.current().configuration.rules[-1].when == "Modality != 'CT'"


@pytest.mark.parametrize("field", ["rows", "tests"])
@pytest.mark.parametrize("text", ["[", "3", "[" * 100_000])
async def test_rows_or_test_cases_that_cannot_be_read_are_told_and_nothing_is_published(real, real_admin, field, text):
    answer = await post(real_admin, "/rules/edit", sent(**{field: text}), status=422)
    assert field in await answer.text() and "is no JSON" in await answer.text() and "cardiac" not in rules(real)


async def test_rows_that_are_no_rows_are_told_and_many_are_all_kept(real, real_admin):
    for rows_of in ("5", "null", '"x"'):
        await post(real_admin, "/rules/edit", sent(rows=f'{{"rows": {rows_of}}}'), status=422)
    row = {"scope": "", "field": "Modality", "test": "!=", "value": "CT"}
    await post(real_admin, "/rules/edit", sent(rows=json.dumps({"op": "and", "rows": [row] * 70 + [{"rows": 5}, 7]})))
    assert real.versions.current().configuration.rules[-1].when.count("Modality != 'CT'") == 70


async def test_a_text_full_of_open_quotes_is_refused_at_once(real_viewer):
    """To look for the end of each quote anew took minutes, and the whole page stood still meanwhile."""
    told = await call(real_viewer, "POST", "/lint", json={"when": "'" + "\\'" * 9_000 + "\\"})
    assert told["error"] is not None


# ---- backtests
async def test_a_backtest_of_the_draft_tells_numbers_and_pins_them(real, real_admin, real_app, accounts):
    real.arrival()
    real.record()
    answer = await post(real_admin, "/rules/backtest", sent(CARDIAC | {"when": "SenderAET == 'CT1'"}, days="7"))
    path = answer.headers["Location"]
    job = next(iter(real_app[JOBS]._jobs.values()))
    await job.task
    text = await page(real_admin, path)
    assert "of 1 series match (100.0 %)" in text and "newly matched" in text and "Load per target" in text
    assert re.search(r"1 series, \d+ B on 20\d\d-\d\d-\d\d, \d\d:00 to \d\d:00", text)
    assert '<strong class="ok-text">+1</strong>' in text and '<strong class="">0</strong>' in text
    assert "1 of 1 series" in await page(real_admin, "/rules/cardiac?draft=true")
    csv = await (await real_admin.get(f"{path}&format=csv")).text()
    assert csv.startswith("difference,arrival")
    keep = path.replace("?", "/cases?")
    assert "Keep 1 of these as test cases" in text
    assert (await post(real_admin, keep, {})).headers["Location"] == "/rules/cardiac?draft=true"
    draft = await page(real_admin, "/rules/cardiac?draft=true")
    assert "all 1 pass" in draft and "SenderAET" in draft
    await post(real_admin, "/rules/edit", sent(CARDIAC | {"when": "SenderAET == 'CT1'"}, do="activate"))
    (entry,) = accounts.trail.search(Wanted(action="rule backtest"))
    assert entry.object == "rule cardiac" and (entry.after["matched"], entry.after["of"], entry.after["mode"]) == (
        1,
        1,
        "active",
    )


# ---- API
async def test_the_api_adds_changes_switches_and_removes_rules(real, real_admin):
    await call(real_admin, "PUT", "/cardiac", json={"rule": CARDIAC, "reason": "by program", "place": 1})
    assert rules(real) == ["cardiac", "all"]
    found = await call(real_admin, "GET", "/cardiac")
    assert found["rule"]["when"] == CARDIAC["when"] and found["english"].startswith("Modality is")
    stale = {"rule": CARDIAC | {"comment": "x"}, "base": 1}
    await call(real_admin, "PUT", "/cardiac", 409, json=stale)
    wrong = await call(real_admin, "PUT", "/cardiac", 422, json={"rule": CARDIAC | {"targets": ["nowhere"]}})
    assert "nowhere" in wrong["error"]
    await call(real_admin, "POST", "/cardiac/mode", json={"mode": "shadow"})
    await call(real_admin, "POST", "/cardiac/move", json={"to": "2"})
    await call(real_admin, "POST", "/order", json={"names": ["cardiac", "all"]})
    await call(real_admin, "DELETE", "/cardiac", json={})
    assert rules(real) == ["all"]


@pytest.mark.parametrize(
    "path",
    ["/rules/edit", "/rules/order", "/rules/all/mode", "/rules/all/move", "/rules/all/delete", "/rules/all/forget"],
)
async def test_a_viewer_changes_no_rule(real, real_viewer, path):
    await post(real_viewer, path, sent() | {"mode": "off", "to": "up"}, 403)
    assert real.versions.current().number == 1
