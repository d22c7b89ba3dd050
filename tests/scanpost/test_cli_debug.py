"""`scanpost debug`: an actor logs its steps for 15 minutes, or not any more."""

from __future__ import annotations

import json

from protocol.accounts import Accounts


def test_debug_lines_are_asked_for_seen_and_ended(run, tmp_path):
    assert "no actor logs its steps" in run("debug").stderr
    [wish] = json.loads(run("debug", "receiver", "--json").stdout)
    assert wish["actor"] == "receiver" and wish["by"].startswith("cli:") and 890 <= wish["left_s"] <= 900
    assert "receiver" in run("debug").stdout
    assert json.loads(run("debug", "receiver", "--end", "--json").stdout) == []
    accounts = Accounts(tmp_path / "accounts.sqlite3")
    entries = [(one.action, one.object) for one in accounts.audit_trail()]
    accounts.close()
    assert entries == [("log.level", "actor/receiver")] * 2


def test_the_next_associations_are_asked_for_seen_and_ended(run, tmp_path):
    [told] = json.loads(run("debug", "receiver", "--next", "10", "--json").stdout)
    assert (told["actor"], told["associations"]) == ("receiver", 10) and 86_390 <= told["left_s"] <= 86_400
    assert "the next 10 associations" in run("debug").stdout
    [told, _] = json.loads(run("debug", "receiver", "--json").stdout)
    assert told["associations"] is None, "the 15 minutes are a wish of their own"
    assert json.loads(run("debug", "receiver", "--end", "--json").stdout) == []
    accounts = Accounts(tmp_path / "accounts.sqlite3")
    first = accounts.audit_trail()[-1]
    accounts.close()
    assert (first.action, first.after) == ("log.level", {"debug_associations": 10})


def test_next_is_about_associations_of_the_receiver(run):
    for asked in (
        ["router", "--next", "3"],
        ["receiver", "--next", "3", "--end"],
        ["--next", "3"],
        ["receiver", "--next", "0"],
    ):
        assert "--next" in run("debug", *asked, code=2).output


def test_what_has_no_debug_lines_is_named_with_what_has(run):
    assert "receiver, router, dispatcher" in run("debug", "ledger", code=2).output
    assert "need an ACTOR" in run("debug", "--end", code=2).output
