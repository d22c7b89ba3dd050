"""`scanpost audit`: who did what at the command line, that nothing was changed or cut off, and a copy to keep elsewhere."""

import csv
import hashlib
import json
import sqlite3

import pytest

from protocol.accounts import Accounts
from protocol.wire.events import AuditHead


@pytest.fixture
def accounts(home, tmp_path):
    made = Accounts(tmp_path / "accounts.sqlite3")
    yield made
    made.close()


def listed(run, *words):
    return json.loads(run("audit", "list", "--json", *words).stdout)


def tamper(tmp_path, statement):
    with sqlite3.connect(tmp_path / "accounts.sqlite3") as db:
        for trigger in ("audit_is_final", "audit_is_kept"):
            db.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        db.execute(statement)
    db.close()


def test_changes_of_the_configuration_stand_with_before_and_after_and_why(home, run, accounts):
    run("routing", "mode", home.versions.current().configuration.rules[0].name, "shadow", "--reason", "is tried")
    (entry,) = listed(run)
    assert entry["who"].startswith("cli:")
    assert entry["action"] == "config.changed" and entry["before"]["mode"] == "active"
    assert entry["after"]["mode"] == "shadow" and entry["after"]["reason"] == "is tried"
    run("routing", "undo")
    newest = listed(run)[0]
    assert newest["after"]["mode"] == "active" and newest["after"]["version"] == home.versions.current().number
    assert newest["after"]["reason"].startswith("undo of")


def test_a_dry_run_and_a_change_that_changes_nothing_are_no_acts(home, run, accounts, tmp_path):
    same = tmp_path / "same.json"
    same.write_text(run("routing", "export").stdout)
    run("routing", "import", str(same), "--dry-run")
    run("routing", "import", str(same))
    assert listed(run) == []


def test_users_and_backups_stand_too_and_lists_are_filtered(home, run, accounts, tmp_path):
    run("user", "add", "vera", "--role", "viewer", "--password-stdin", input="correct horse battery\n")
    run("backup", str(tmp_path / "copies"))
    assert [one["action"] for one in listed(run)] == ["backup", "user add"]
    assert [one["object"] for one in listed(run, "--object", "vera")] == ["vera"]
    assert listed(run, "--action", "backup")[0]["after"]["folder"].endswith("copies")
    assert listed(run, "--who", "nobody") == [] and "no entry fits" in run("audit", "list", "--who", "nobody").output
    assert len(listed(run, "--since", "1h", "--limit", "1")) == 1


def test_an_audit_that_nobody_touched_is_verified(run, accounts):
    accounts.record("ann", "", "did", "a")
    document = json.loads(run("audit", "verify", "--json").stdout)
    assert document["good"] and document["entries"] == 1 and document["first_broken"] is None


def test_a_changed_entry_is_named(run, accounts, tmp_path):
    for number in range(4):
        accounts.record("ann", "", "did", str(number))
    tamper(tmp_path, "UPDATE audit SET who = 'eve' WHERE number = 3")
    assert json.loads(run("audit", "verify", "--json", code=1).stdout)["first_broken"] == 3
    assert "entry 3" in run("audit", "verify", code=1).output
    findings = json.loads(run("doctor", "--quick", "--json", code=1).stdout)["findings"]
    assert [one["text"] for one in findings if one["check"] == "audit" and "entry 3" in one["text"]]


def test_an_end_that_was_cut_off_is_named_by_the_head_that_was_told(home, run, accounts, tmp_path):
    for number in range(4):
        accounts.record("ann", "", "did", str(number))
    head = accounts.chain.head()
    home.spool.outbox.record(AuditHead(head.number, head.link))
    run("audit", "verify")
    tamper(tmp_path, "DELETE FROM audit WHERE number > 2")
    said = run("audit", "verify", code=1).output
    assert "entry 4" in said and "cut off" in said


def test_an_export_can_be_verified_without_the_node(run, accounts, tmp_path):
    accounts.record("ann", "10.0.0.1", "did", "a", {"b": 1, "a": None}, {"ä": [1.5, "x"]})
    accounts.record("ann", "", "did", "=cmd()")
    kept = tmp_path / "audit.jsonl"
    run("audit", "export", "-o", str(kept))
    *lines, last = kept.read_text("utf-8").splitlines(keepends=True)
    seal, link = json.loads(last)["seal"], b""
    assert seal["sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest() and seal["entries"] == 2
    for one in map(json.loads, lines):
        text = [
            None if one[k] is None else json.dumps(one[k], ensure_ascii=False, sort_keys=True)
            for k in ("before", "after")
        ]
        values = [one["time"], one["who"], one["address"], one["action"], one["object"], *text]
        link = hashlib.sha256(link + json.dumps(values, ensure_ascii=True).encode()).digest()
        assert one["link"] == link.hex()
    assert seal["link"] == link.hex()
    newest = listed(run)[0]
    assert newest["action"] == "audit export" and newest["after"]["sha256"] == seal["sha256"]
    assert "cannot be made" in run("audit", "export", "-o", str(kept), code=2).output, "a copy is not overwritten"


def test_a_table_for_spreadsheets_runs_no_formulas(run, accounts, tmp_path):
    accounts.record("ann", "", "did", "=cmd()")
    kept = tmp_path / "audit.csv"
    run("audit", "export", "--format", "csv", "-o", str(kept))
    head, entry, seal = csv.reader(kept.read_text("utf-8").splitlines())
    assert dict(zip(head, entry, strict=True))["object"] == "'=cmd()" and seal[0].startswith("# ")


def test_what_could_not_be_audited_is_told_and_is_done_all_the_same(home, run, tmp_path):
    (tmp_path / "accounts.sqlite3").mkdir()
    said = run("routing", "mode", home.versions.current().configuration.rules[0].name, "off", "--reason", "r").output
    assert "could not be written into the audit" in said
    assert home.versions.current().configuration.rules[0].mode == "off"
