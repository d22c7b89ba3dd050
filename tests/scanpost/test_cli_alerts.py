"""`scanpost alerts`: what people see and do about what is wrong."""

from __future__ import annotations

import json
import time

import pytest
from click.testing import CliRunner, Result

from protocol.spool import open_spool
from protocol.spool.alerting import Symptom
from protocol.spool.alerts import Step
from protocol.spool.letters import Item
from scanpost import alerts
from scanpost.main import cli

DOWN = Symptom("target.down.pacs", "target pacs is down", "critical", "target/pacs", 3)


@pytest.fixture
def spool(tmp_path):
    opened = open_spool(tmp_path, create=True)
    yield opened
    opened.close()


@pytest.fixture
def run(tmp_path, spool, monkeypatch):
    monkeypatch.setattr(alerts, "who", lambda: "anna")

    def runner(*words: str, code: int = 0) -> Result:
        done = CliRunner().invoke(cli, ["--home", str(tmp_path), "alerts", *words])
        assert done.exit_code == code, done.output
        return done

    return runner


def test_a_node_without_troubles_says_so(run) -> None:
    assert "Nothing needs a person" in run("list").output and json.loads(run("list", "--json").stdout) == []
    assert "Nothing is silenced" in run("silences").output and "scanpost alerts test mail" in run("letters").output


def test_what_stands_is_listed_shown_and_taken_care_of(run, spool) -> None:
    spool.alerts.apply([Step("raise", DOWN)])
    spool.notices.raise_alert("clock", "the clock jumped")
    assert [one["key"] for one in json.loads(run("list", "--json").stdout)] == ["target.down.pacs", "clock"]
    assert "target pacs is down" in run("list").output
    assert "acknowledged by anna" in run("ack", "target.down.pacs", "--note", "the vendor is on it").output
    shown = json.loads(run("show", "target.down.pacs", "--json").stdout)
    assert (shown["state"], shown["by"], shown["note"], shown["count"]) == (
        "acknowledged",
        "anna",
        "the vendor is on it",
        3,
    )
    assert "the vendor is on it" in run("show", "target.down.pacs").output
    spool.notices.clear_alert("clock")
    assert len(json.loads(run("list", "--json").stdout)) == 1
    assert {one["state"] for one in json.loads(run("list", "--all", "--json").stdout)} == {"acknowledged", "cleared"}
    assert "is over already" in run("ack", "clock", code=1).output
    assert "no alert 'x'" in run("show", "x", code=1).output


def test_an_alert_that_only_waits_to_be_cleared_says_since_when_it_is_over_and_when_it_clears(run, spool) -> None:
    spool.alerts.apply([Step("raise", DOWN)])
    (one,) = json.loads(run("list", "--json").stdout)
    assert (one["over_since"], one["clears_at"]) == (None, None) and "over since" not in run("list").output
    spool.alerts.apply([Step("going", DOWN)])
    over = spool.alerts.get(DOWN.key).gone
    for words in (("list", "--json"), ("show", DOWN.key, "--json"), ("ack", DOWN.key, "--json")):
        told = json.loads(run(*words).stdout)
        one = told if isinstance(told, dict) else told[0]
        assert (one["over_since"], one["clears_at"]) == (over, over + 300)
    assert "over since" in run("list").output
    assert "over since" in (shown := run("show", DOWN.key).output) and "unless it comes back" in shown
    spool.alerts.apply([Step("clear", DOWN)])
    assert json.loads(run("show", DOWN.key, "--json").stdout)["clears_at"] is None
    assert "unless it comes back" not in run("show", DOWN.key).output


def test_a_silence_is_made_shown_and_ended(run, spool) -> None:
    spool.alerts.apply([Step("raise", DOWN)])
    made = json.loads(run("silence", "target/*", "--for", "2h", "--reason", "update", "--json").stdout)
    assert made["covers"] == ["target.down.pacs"] and abs(made["until"] - time.time() - 7200) < 60
    assert "update" in run("show", "target.down.pacs").output and "anna" in run("silences").output
    run("unsilence", str(made["id"]))
    assert json.loads(run("silences", "--json").stdout) == []
    assert "no silence 99" in run("unsilence", "99", code=1).output
    run("silence", "*", "--for", "yesterday", "--reason", "x", code=2)
    run("silence", "*", "--for", "2h", code=2)


def test_letters_are_listed_without_what_may_be_a_secret(run, spool) -> None:
    recipient = "webhook:https://hooks.example.org/services/SECRET"
    spool.letters.tell([], [Item(recipient, {"kind": "test"})])
    id = spool.letters.seal(spool.letters.items(recipient), {"subject": "hello", "count": 1})
    spool.letters.failed(id, "answered 503", time.time() + 60)
    (one,) = json.loads(run("letters", "--json").stdout)
    assert (one["recipient"], one["state"], one["error"], one["attempts"]) == (
        "webhook:hooks.example.org",
        "waiting",
        "answered 503",
        1,
    )
    assert "SECRET" not in run("letters").output + run("letters", "--json").output


def test_the_test_button_says_what_is_missing(run) -> None:
    told = json.loads(run("test", "mail", "--json", code=1).stdout)
    assert told["ok"] is False and "alerts.smtp.host" in told["steps"][0]["text"]
    assert "a channel is mail" in run("test", "pigeon", code=1).output


@pytest.mark.parametrize("words", [["--help"], ["silence", "--help"], ["test", "--help"]])
def test_every_command_explains_itself(run, words: list[str]) -> None:
    assert "Usage" in run(*words).output


def test_doctor_names_what_nobody_takes_care_of_and_that_nobody_is_told(tmp_path, run, spool) -> None:
    def told() -> list[str]:
        done = CliRunner().invoke(cli, ["--home", str(tmp_path), "doctor", "--json"])
        return [one["text"] for one in json.loads(done.stdout)["findings"] if one["check"].startswith("alert")]

    assert told() == ["none is open", "nobody is told: set alerts.smtp or alerts.webhook (docs/alerts.md)"]
    spool.alerts.apply([Step("raise", DOWN)])
    assert told()[0] == "critical: target pacs is down (target.down.pacs)"
    run("ack", DOWN.key)
    assert told()[0] == "none is open"
