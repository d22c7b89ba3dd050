"""`scanpost clean` and `scanpost quarantine`: what people see before something is deleted, and what they may order."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import pytest
from click.testing import CliRunner, Result
from rules_node import Home

from protocol.header.scan import Header
from protocol.spool.images import Incoming
from scanpost.main import cli
from scanpost.moments import moment

MR = {"Modality": "MR", "StudyDescription": "brain"}


@pytest.fixture
def home(tmp_path: Path):
    made = Home(tmp_path / "home")
    yield made
    made.spool.close()


@pytest.fixture
def run(home):
    def runner(*words: str, code: int = 0, **settings: str) -> Result:
        sets = [part for key, value in settings.items() for part in ("--set", f"cleaner.{key}={value}")]
        done = CliRunner().invoke(cli, ["--home", str(home.folder), "--set", "bus.enabled=false", *sets, *words])
        assert done.exit_code == code, done.output
        return done

    return runner


def quarantined(home: Home) -> str:
    one = Incoming(bytes(16), "MR1", "SCANPOST", "10.0.0.1", None, "1.2", "1.2.3", "1.2.840.10008.1.2.1", b"bytes",
                   Header({}), "no study")  # fmt: skip
    (receipt,) = home.spool.images.commit([home.spool.images.save(one)])
    return receipt.receipt.hex()


def test_a_dry_run_tells_what_goes_tonight_and_changes_nothing(run, home):
    home.series(**MR)  # no rule wants it: discarded
    told = json.loads(run("clean", "--dry-run", "--json", window="always").stdout)
    assert told["goes"]["series"] == 0 and told["runs"] is True
    (kept,) = told["kept"]
    assert kept["why"].startswith("discarded: younger") and kept["goes_at"] > time.time() + 71 * 3600
    told = json.loads(run("clean", "--dry-run", "--at", "73h", "--json").stdout)
    assert told["goes"]["series"] == 1 and told["goes"]["images"] == 2
    assert [row["state"] for row in home.spool.arrivals.list()] == ["discarded"]
    text = run("clean", "--dry-run", "--at", "73h").output
    assert "1 series, 2 images" in text and "discarded" in text


def test_a_dry_run_says_when_the_window_opens(run, home):
    home.series(**MR)
    told = json.loads(run("clean", "--dry-run", "--json", window="never").stdout)
    assert told["runs"] is False and told["opens_at"] is None
    assert "does not open" in run("clean", "--dry-run", window="never").output
    # A window that opens in two hours, by the clock of the wall here.
    hour = (datetime.now().hour + 2) % 24
    told = json.loads(run("clean", "--dry-run", "--json", window=f"{hour:02d}:00-{(hour + 1) % 24:02d}:00").stdout)
    assert time.time() < told["opens_at"] < time.time() + 2 * 3600 + 1 and told["runs"] is False


def test_a_dry_run_tells_that_the_clock_paused_cleaning(run, home):
    home.spool.notices.raise_alert("clock", "cleaning pauses: the clock jumped by +3.0 hours")
    told = json.loads(run("clean", "--dry-run", "--json", window="always").stdout)
    assert told["runs"] is False and "jumped" in told["paused"][0]
    assert "But cleaning pauses" in run("clean", "--dry-run").output


def test_a_dry_run_of_an_empty_node_is_no_error(run):
    assert "0 series" in run("clean", "--dry-run").output


def test_cleaning_now_is_written_down_with_who_and_why(run, home):
    said = run("clean", "--now", "--reason", "the disk is needed", code=1)
    assert "cleaner did not answer yet" in said.output
    (command,) = home.spool.commands.pending("cleaner")
    assert command.kind == "clean.now" and command.by and command.arguments == {"reason": "the disk is needed"}


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--now",),
        ("--now", "--reason", " "),
        ("--now", "--dry-run", "--reason", "x"),
        ("--now", "--at", "8h", "--reason", "x"),
        ("--dry-run", "--at", "tomorrow"),
    ],
)
def test_half_an_order_is_refused(run, home, words):
    run("clean", *words, code=2)
    assert home.spool.commands.pending("cleaner") == []


def test_the_quarantine_is_listed_shown_and_its_discard_written_down(run, home):
    assert "nothing is in quarantine" in run("quarantine", "list").output
    assert json.loads(run("quarantine", "list", "--json").stdout) == []
    receipt = quarantined(home)
    (row,) = json.loads(run("quarantine", "list", "--json").stdout)
    assert (row["receipt"], row["reason"]) == (receipt, "no study")
    assert receipt in run("quarantine", "list").stdout
    shown = json.loads(run("quarantine", "show", receipt[:6], "--json").stdout)
    assert Path(shown["file"]).is_file() and shown["meta"]["calling_ae"] == "MR1"
    assert "no study" in run("quarantine", "show", receipt).stdout
    run("quarantine", "show", "ff" * 16, code=1)
    run("quarantine", "discard", receipt, code=2)
    run("quarantine", "discard", receipt[:6], "--reason", "test", code=1)
    (command,) = home.spool.commands.pending("cleaner")
    assert command.arguments == {"receipt": receipt[:6], "reason": "test"}


BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 28, 12, tzinfo=BERLIN).timestamp()  # the night after it has no 02:30


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h30m", NOON + 9000),
        ("22:00", datetime(2026, 3, 28, 22, tzinfo=BERLIN).timestamp()),
        ("11:00", datetime(2026, 3, 29, 11, tzinfo=BERLIN).timestamp()),
        ("2026-03-29T08:00", datetime(2026, 3, 29, 8, tzinfo=BERLIN).timestamp()),
        ("2026-03-29T08:00+00:00", datetime(2026, 3, 29, 8, tzinfo=UTC).timestamp()),
    ],
)
def test_times_are_written_as_people_write_them(text, expected):
    assert moment(text, NOON, BERLIN) == expected


def test_what_is_no_time_is_refused():
    with pytest.raises(click.BadParameter, match="is no time"):
        moment("soon", NOON)
