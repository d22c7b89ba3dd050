"""`scanpost rules`: trying rules on files, headers, arrivals, the past and live traffic."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pydicom.data import get_testdata_file

from protocol.routing.backtest.asked import TAKEN_UP_S
from protocol.routing.edits import set_mode
from protocol.routing.parse import build, to_data
from scanpost.main import cli
from tests.scanpost.rules_node import CURRENT, DRAFT, NODE, Home

CARDIAC = {"Modality": "MR", "StudyDescription": "Cardiac MR", "SliceThickness": 1.0}
KNEE = {"Modality": "MR", "StudyDescription": "knee", "SliceThickness": 3.0}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "home")
    yield made
    made.spool.close()


def run(home: Home, *words: str, stdin: str | None = None, code: int = 0) -> Result:
    base = ["--home", str(home.folder), "--set", f"node.name={NODE}", "--set", "bus.enabled=false", "rules"]
    done = CliRunner().invoke(cli, [*base, *words], input=stdin)
    assert done.exit_code == code, done.output + repr(done.exception)
    return done


def asked(home: Home, *words: str, stdin: str | None = None) -> Any:
    return json.loads(run(home, *words, "--json", stdin=stdin).stdout)


def written(tmp_path: Path, data: Any) -> str:
    path = tmp_path / "draft.json"
    path.write_text(json.dumps(data))
    return str(path)


# ---- list, explain --------------------------------------------------------------------------------------------------
def test_rules_are_listed_in_order_in_english_with_how_often_they_applied(home: Home) -> None:
    home.series(**CARDIAC)
    found = asked(home, "list")
    assert [one["rule"] for one in found["rules"]] == ["cardiac", "thin"] and found["revision"] == 1
    assert found["rules"][0]["counts"] == {"true": 1} and "Study Description contains" in found["rules"][0]["english"]
    assert "route pacs" in run(home, "list").stdout


def test_the_list_says_which_rule_is_off_until_when_and_no_longer_once_it_is_back(home: Home) -> None:
    for version, (until, word) in enumerate((("2999-12-31", "off until 2999-12-31"), ("2001-01-01", "active")), 1):
        data = set_mode("cardiac", "active", until)(to_data(home.versions.current().configuration))
        home.versions.publish(build(data, "test"), "ann", "because", version)
        line = next(line for line in run(home, "list").stdout.splitlines() if "cardiac" in line)
        assert word in " ".join(line.split()) and ("off until" in line) == word.startswith("off")


def test_explain_tells_which_rule_with_which_values_and_what_todays_rules_would_do(home: Home) -> None:
    arrival = str(home.series(**CARDIAC))
    (decision,) = asked(home, "explain", arrival)["decisions"]
    assert decision["outcome"] == "route" and decision["explanation"]["rules"][0]["rule"] == "cardiac"
    text = run(home, "explain", arrival).stdout
    assert (
        "✓ cardiac: true" in text and 'Modality = "MR"' in text and "→ route to pacs" in text and "revision 1" in text
    )
    from protocol.routing.parse import build

    home.versions.publish(build(DRAFT, "test"), "ann", "second", 1)
    text = run(home, "explain", arrival, "--now").stdout
    assert "By today's rules (revision 2)" in text and "→ route to pacs, ai" in text


def test_explain_of_an_arrival_that_only_the_ledger_knows(home: Home, tmp_path: Path) -> None:
    arrival = str(home.series(**CARDIAC))
    home.tell_ledger()
    home.spool.close()
    shutil.rmtree(home.folder / "spool", ignore_errors=True)
    for path in (home.folder).glob("**/spool*.sqlite3*"):
        path.unlink()
    home.spool = type(home)(tmp_path / "other").spool
    text = run(home, "explain", arrival, "--now").stdout
    assert "→ route: routed by rule 'cardiac'" in text and "✓ thin: true" in text
    (case,) = asked(home, "test", "--arrival", arrival)["cases"]
    assert case["title"] == f"arrival {arrival} of the ledger, 2 images" and case["decision"]["outcome"] == "route"


def test_an_arrival_that_nobody_knows_is_one_line(home: Home) -> None:
    home.series(**CARDIAC)
    home.tell_ledger()
    done = run(home, "explain", "17", code=1)
    assert "neither spool nor ledger" in done.stderr and len(done.stderr.splitlines()) == 1


# ---- test -----------------------------------------------------------------------------------------------------------
def test_files_are_tried_by_series_with_the_origin_that_is_said(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copy(get_testdata_file("CT_small.dcm"), folder / "a.dcm")
    shutil.copy(get_testdata_file("MR_small.dcm"), folder / "b.dcm")
    (folder / "notes.txt").write_text("no image")
    rules = {"rules": [{"name": "from", "when": "SenderAET == 'CT1' and Modality == 'CT'", "action": "hold"}]}
    done = run(home, "test", str(folder), "--sender-aet", "CT1", "--routing", written(tmp_path, rules), "--json")
    cases = json.loads(done.stdout)["cases"]
    assert [one["rules"][0]["result"] for one in cases] == ["true", "false"] and "notes.txt" in done.stderr
    assert cases[0]["decision"]["outcome"] == "hold"


def test_of_what_is_held_it_is_told_what_a_release_would_do(home: Home, tmp_path: Path) -> None:
    hold = {"name": "look", "when": "Modality == 'MR'", "action": "hold", "stop": True}
    pacs = {"pacs": {"type": "dicom", "host": "pacs", "port": 104, "called_ae": "PACS"}}
    route = {"name": "all", "when": "True", "action": "route", "targets": ["pacs"], "fallback": True}
    drop = {"name": "drop", "when": "True", "action": "discard", "fallback": True}
    for others, words in (
        ([], "a release is refused: no rule names a target for it"),
        ([route], "a release sends it to pacs"),
        ([drop], "a release sends nothing: discarded by rule 'drop'"),
        ([route | {"name": "study", "fallback": False, "trigger": "study"}], "a release lets it wait for its study"),
    ):
        routing = written(tmp_path, {"targets": pacs, "rules": [hold, *others]})
        done = run(home, "test", "--header", "-", "--routing", routing, stdin=json.dumps(KNEE))
        assert "→ hold: held by rule 'look'" in done.stdout and words in done.stdout, done.stdout


def test_a_pasted_header_shows_ticks_and_actual_values(home: Home) -> None:
    text = run(home, "test", "--header", "-", stdin=json.dumps(KNEE)).stdout
    assert "✗ cardiac: false" in text and 'StudyDescription = "knee"' in text and "✓ Modality == 'MR'" in text
    assert "shadow" in text and "→ discard: no rule applied" in text


def test_an_element_that_nobody_read_when_the_arrival_came_is_not_told_as_missing(home: Home, tmp_path: Path) -> None:
    """What no rule asks for is not read from images: of a draft's private element the spool knows nothing."""
    arrival = str(home.series(**CARDIAC))
    private = {"name": "private", "when": "exists(tag('0019,100C', creator='SIEMENS MR HEADER'))", "action": "hold"}
    draft = written(tmp_path, {**DRAFT, "rules": [*DRAFT["rules"], private]})
    (case,) = asked(home, "test", "--arrival", arrival, "--routing", draft)["cases"]
    (note,) = case["notes"]
    assert note.startswith("rule private cannot be told: 0019,xx0C SIEMENS MR HEADER may not have been read")
    assert note in run(home, "test", "--arrival", arrival, "--routing", draft).stderr
    assert asked(home, "test", "--arrival", arrival)["cases"][0]["notes"] == []


def test_an_element_that_the_rules_in_force_asked_for_when_the_arrival_came_is_missing(home: Home) -> None:
    private = {"name": "private", "when": "exists(tag('0019,100C', creator='SIEMENS MR HEADER'))", "action": "hold"}
    data = to_data(home.versions.current().configuration)
    before = str(home.series(**CARDIAC))
    home.versions.publish(build({**data, "rules": [*data["rules"], private]}, "test"), "ann", "because", 1)
    home.clock.advance(TAKEN_UP_S + 1)  # versions keep their time in microseconds, rounded
    after = str(home.series(**KNEE))
    home.clock.advance(1)
    home.versions.publish(build(data | {"rules": [private]}, "test"), "ann", "another one that asks", 2)
    assert "rule private cannot be told" in run(home, "explain", before, "--now").stderr
    assert asked(home, "explain", after, "--now")["now"]["notes"] == []
    home.tell_ledger()
    (rule,) = asked(home, "backtest")["draft"]["rules"]
    assert (rule["matched"], rule["unknown"], rule["untold"], rule["examples"]["untold"]) == (0, 0, 1, [int(before)])


def test_one_rule_alone_can_be_tried_on_an_arrival(home: Home) -> None:
    arrival = home.series(**CARDIAC)
    (case,) = asked(home, "test", "--arrival", str(arrival), "--rule", "thin")["cases"]
    (thin,) = case["rules"]
    assert (thin["result"], thin["asked"], thin["applies"], case["images"]) == ("true", True, False, 2)
    done = run(home, "test", "--arrival", str(arrival), "--rule", "thinn", code=1)
    assert "did you mean 'thin'" in done.stderr


def test_a_rule_that_would_not_be_asked_is_tried_all_the_same(home: Home, tmp_path: Path) -> None:
    rules = {"rules": [
        {"name": "first", "when": "True", "action": "hold", "stop": True},
        {"name": "off", "when": "Modality == 'MR'", "action": "hold", "mode": "off"},
    ]}  # fmt: skip
    (case,) = asked(home, "test", "--header", "-", "--routing", written(tmp_path, rules), stdin=json.dumps(KNEE))[
        "cases"
    ]
    off = case["rules"][1]
    assert (off["result"], off["asked"], off["why"], off["applies"]) == ("true", False, "off", False)


def test_what_is_no_header_is_one_line_and_nothing_to_test_is_usage(home: Home) -> None:
    done = run(home, "test", "--header", "-", stdin="hello", code=1)
    assert "no JSON" in done.stderr and len(done.stderr.splitlines()) == 1
    run(home, "test", code=2)
    run(home, "test", "--header", "-", "--received", "yesterday", stdin="{}", code=2)


# ---- add-test -------------------------------------------------------------------------------------------------------
def test_a_test_case_is_kept_with_its_rule_without_the_rest_of_the_header(home: Home) -> None:
    header = json.dumps({**CARDIAC, "PatientName": "SECRET^NAME"})
    run(home, "add-test", "cardiac", "--header", "-", "--expect", "true", "--name", "a heart", stdin=header)
    current = home.versions.current()
    (case,) = current.configuration.rules[0].tests
    assert current.number == 2 and case.name == "a heart" and case.expect == "true"
    assert dict(case.header) == {"Modality": "MR", "StudyDescription": "Cardiac MR"}


def test_a_test_case_that_fails_is_refused_and_the_version_stays(home: Home) -> None:
    done = run(home, "add-test", "cardiac", "--header", "-", "--expect", "false", stdin=json.dumps(CARDIAC), code=78)
    assert "expects false" in done.stderr and home.versions.current().number == 1
    run(home, "add-test", "none", "--header", "-", "--expect", "true", stdin="{}", code=1)


def test_a_test_case_with_several_images_and_an_origin(home: Home) -> None:
    images = json.dumps([{"SliceThickness": 1.0, "InstanceNumber": 2}, {"SliceThickness": 3.0, "InstanceNumber": 1}])
    run(home, "add-test", "thin", "--header", "-", "--expect", "true", "--sender-aet", "MR1", stdin=images)
    (case,) = home.versions.current().configuration.rules[1].tests
    assert len(case.images) == 2 and dict(case.origin) == {"SenderAET": "MR1"}


# ---- backtest -------------------------------------------------------------------------------------------------------
def test_a_backtest_shows_what_a_draft_would_have_done(home: Home, tmp_path: Path) -> None:
    home.series(**CARDIAC)
    knee = home.series(**KNEE)
    home.tell_ledger()
    document = asked(home, "backtest", "--routing", written(tmp_path, DRAFT))
    assert document["arrivals"] == 2 and document["draft"]["targets"]["ai"]["series"] == 2
    found = document["difference"]["arrivals"]["newly_routed"]
    assert found == {
        "count": 1,
        "arrivals": [{"arrival": knee, "active": ["discard"], "draft": ["route", "ai", "pacs"]}],
    }
    assert "knee" not in json.dumps(document) and "SECRET" not in json.dumps(document)
    text = run(home, "backtest", "--routing", written(tmp_path, DRAFT)).stdout
    assert "2 of 2" in text and "newly routed: 1" in text and f"arrival {knee}: discard → route ai, pacs" in text
    assert "knee 1" in text  # people see descriptions, programs only if they ask


def test_without_a_draft_the_current_rules_are_shown(home: Home) -> None:
    home.series(**CARDIAC)
    home.tell_ledger()
    document = asked(home, "backtest", "--days", "1", "--values")
    assert document["active"] is None and document["difference"] is None
    assert {one["rule"]: one["matched"] for one in document["draft"]["rules"]} == {"cardiac": 1, "thin": 1}
    assert document["draft"]["rules"][0]["by"]["study_description"] == [["Cardiac MR", 1]]
    assert "Difference" not in run(home, "backtest").stdout


def test_a_ledger_that_is_not_there_yet_is_one_line(home: Home) -> None:
    assert len(run(home, "backtest", code=1).stderr.splitlines()) == 1


# ---- dry-run --------------------------------------------------------------------------------------------------------
def test_a_dry_run_tells_of_each_arrival_what_the_draft_would_have_done(home: Home, tmp_path: Path) -> None:
    cardiac, knee = home.series(**CARDIAC), home.series(**KNEE)
    draft = written(tmp_path, DRAFT)
    done = run(home, "dry-run", "--routing", draft, "--since", "1h", "--count", "2", "--json")
    *lines, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["arrival"], one["differs"]) for one in lines] == [(cardiac, True), (knee, True)]
    assert (lines[0]["active"], lines[0]["draft"]) == (["route", "pacs"], ["route", "ai", "pacs"])
    assert last["summary"]["arrivals"] == last["summary"]["different"] == 2
    assert home.spool.deliveries.list(limit=10)[0]["target"] == "pacs"  # only what the active rules wanted
    text = run(home, "dry-run", "--routing", draft, "--since", "1h", "--count", "2").stdout
    assert f"≠ arrival {knee}: discard  draft: route ai, pacs" in text


def test_a_dry_run_names_rules_that_ask_for_what_nobody_read(home: Home, tmp_path: Path) -> None:
    """Beside an old router the node has no such rules yet: "discard" alone would be a wrong answer."""
    home.series(**CARDIAC)
    private = {"name": "private", "when": "exists(tag('0019,100C', creator='SIEMENS MR HEADER'))", "action": "hold"}
    spare = {**private, "name": "spare", "mode": "shadow"}
    draft = [
        "dry-run",
        "--routing",
        written(tmp_path, {**DRAFT, "rules": [private, spare]}),
        "--since",
        "1h",
        "--count",
        "1",
    ]
    line, last = [json.loads(line) for line in run(home, *draft, "--json").stdout.splitlines()]
    assert line["cannot_tell"] == ["private"] and last["summary"]["cannot_tell"] == 1
    done = run(home, *draft)
    assert done.stdout.rstrip().endswith("cannot tell: private") and "1 that it cannot tell" in done.stderr
    usual = ["dry-run", "--routing", written(tmp_path, DRAFT), "--since", "1h", "--count", "1"]
    assert json.loads(run(home, *usual, "--json").stdout.splitlines()[0])["cannot_tell"] == []
    assert "cannot tell" not in run(home, *usual).output


def test_equal_rules_do_not_differ_in_a_dry_run_and_time_runs_out(home: Home, tmp_path: Path) -> None:
    home.series(**CARDIAC)
    done = run(home, "dry-run", "--routing", written(tmp_path, CURRENT), "--since", "1h", "--count", "3", "--timeout", "0.5",
               "--json", code=124)  # fmt: skip
    assert json.loads(done.stdout.splitlines()[0])["differs"] is False
    assert json.loads(done.stdout.splitlines()[-1])["summary"]["same"] == 1
    run(home, "dry-run", "--routing", written(tmp_path, CURRENT), "--timeout", "0.1")


def test_what_a_person_decided_is_no_matter_of_rules(home: Home, tmp_path: Path) -> None:
    from protocol.spool.arrivals import TargetChoice, Verdict

    arrival = home.series(**KNEE)
    command = home.spool.commands.ask("series.route", "ann", {})
    home.spool.arrivals.decide(arrival, Verdict("route", 1, [TargetChoice("ai")], command=command))
    done = run(home, "dry-run", "--routing", written(tmp_path, DRAFT), "--since", "1h", "--timeout", "0.3", "--json")
    assert json.loads(done.stdout.splitlines()[-1])["summary"]["arrivals"] == 1
