"""`scanpost history` and `scanpost ledger`: the past and how its database stands, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rules_node import NODE, Home

from scanpost.main import cli

MR = {"Modality": "MR", "PatientID": "P7", "AccessionNumber": "A77"}


@pytest.fixture
def home(tmp_path: Path):
    made = Home(tmp_path / "home")
    yield made
    made.spool.close()


@pytest.fixture
def run(home):
    def runner(*words: str, code: int = 0) -> Result:
        sets = ("--set", "bus.enabled=false", "--set", f"node.name={NODE}")
        done = CliRunner().invoke(cli, ["--home", str(home.folder), *sets, *words])
        assert done.exit_code == code, done.output
        return done

    return runner


def test_a_series_is_found_and_told_also_when_the_spool_has_forgotten_it(run, home, tmp_path):
    arrival = home.series(**MR)
    home.series(Modality="CT", PatientID="P8")
    home.tell_ledger()
    home.spool.close()
    (home.folder / "spool" / "spool.sqlite3").unlink()  # the ledger alone answers
    found = json.loads(run("history", "search", "A77", "--json").stdout)
    assert [row["arrival"] for row in found["arrivals"]] == [arrival] and found["next"] is None
    assert str(arrival) in run("history", "search", "P7", "--modality", "MR", "--since", "1h").output
    page = run("history", "search", "--limit", "1")
    mark = page.output.partition("--after ")[2].split()[0]
    assert str(arrival) in run("history", "search", "--after", mark).output
    told = json.loads(run("history", "show", str(arrival), "--json").stdout)
    assert [one["kind"] for one in told["timeline"]][-2:] == ["arrival.decided", "arrival.discarded"]
    text = run("history", "show", str(arrival)).output
    assert "Complete with 2 images" in text and "SECRET" not in text
    (image,) = json.loads(run("history", "image", "1.2.1.1.1", "--json").stdout)
    assert image["image"]["arrival"] == arrival
    assert image["receipt"] in run("history", "image", image["receipt"]).output


def test_what_is_not_there_is_one_line(run, home):
    missing = f"there is no ledger at {home.folder / 'ledger.sqlite3'} yet"  # no bookkeeper ever ran
    assert missing in run("ledger", "status", code=1).output
    for words in (("history", "search", "x"), ("mine", "volumes")):
        assert missing in run(*words, code=1).output
    home.series(**MR)
    home.tell_ledger()
    assert "nothing matches" in run("history", "search", "nobody").output
    assert "knows no arrival 7" in run("history", "show", "7", code=1).output
    assert "knows no image 1.9" in run("history", "image", "1.9", code=1).output
    assert "mark" in run("history", "search", "--after", "x", code=1).output


def test_status_tells_where_how_far_behind_and_how_large(run, home):
    home.series(**MR)
    home.tell_ledger()
    told = json.loads(run("ledger", "status", "--json").stdout)
    assert told["reachable"] and told["revision"] == told["newest_revision"] and told["bytes"] > 0
    assert told["rows"]["image"] == 2 and told["cursors"][0]["node"] == NODE
    assert told["behind_events"] > 0  # nobody told the spool
    text = run("ledger", "status").output
    assert "behind" in text and "sqlite 3" in text and "image" in text
    unreachable = run("--set", "ledger.url=postgresql://me:secret@127.0.0.1:1/none", "ledger", "status", code=1).output
    assert "secret" not in unreachable and "cannot be read" in unreachable and "127.0.0.1" in unreachable


def test_a_copy_goes_into_another_database(run, home, tmp_path):
    home.series(**MR)
    source = home.tell_ledger()
    target = f"sqlite:///{tmp_path / 'copy.sqlite3'}"
    told = json.loads(run("ledger", "copy", "current", target, "--json").stdout)
    assert told["tables"]["image"] == {"source": 2, "target": 2}
    assert "restart bookkeeper" in run("ledger", "copy", source, target).output
    assert "A77" not in run("history", "search", "A77").output  # patient data is not in the table
    refused = run("ledger", "copy", "mysql://x", target, code=1).output
    assert refused.startswith("scanpost: ") and refused.count("\n") == 1
