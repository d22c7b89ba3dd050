"""`scanpost mine` as people and spreadsheets use it."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from rules_node import Home

from protocol.accounts import Accounts

Run = Callable[..., Result]


@pytest.fixture
def mined(home: Home, tmp_path: Path) -> Home:
    for name in ("=Thorax", "Head"):
        home.series(Modality="MR", ProtocolName=name, PatientID="P1")
    home.tell_ledger()
    return home


def test_ready_queries_answer_as_table_sheet_and_json(mined: Home, run: Run) -> None:
    assert "Head" in run("mine", "contrast").output
    rows = list(csv.DictReader(run("mine", "contrast", "--csv").stdout.splitlines()))
    assert [(row["protocol"], row["series"]) for row in rows] == [("'=Thorax", "1"), ("Head", "1")]
    assert [row["protocol"] for row in json.loads(run("mine", "contrast", "--json").stdout)] == ["=Thorax", "Head"]


def test_the_window_and_the_source_count(mined: Home, run: Run) -> None:
    day = time.strftime("%Y-%m-%d", time.localtime(time.time() - 86_400))
    assert json.loads(run("mine", "software", "--source", "MR1", "--from", day, "--json").stdout)[0]["series"] == 2
    assert json.loads(run("mine", "software", "--modality", "mr", "--json").stdout)[0]["series"] == 2
    for words in (("--source", "CT9"), ("--to", day), ("--modality", "CT"), ("--days", "1", "--node", "other")):
        done = run("mine", "software", *words)
        assert "nothing was found" in done.stderr and done.stdout == ""
    assert "--days, or --from" in run("mine", "software", "--days", "3", "--from", day, code=2).output
    assert "before --to" in run("mine", "software", "--from", day, "--to", "2020-01-01", code=2).output


def test_every_query_is_listed_and_described(run: Run, home: Home) -> None:
    for one in json.loads(run("mine", "list", "--json").stdout):
        assert "mine_" in run("mine", "describe", one["query"]).output
        assert "Example:" in run("mine", one["query"], "--help").output


def test_own_sql_comes_from_a_file_or_standard_input(mined: Home, run: Run, tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_text("SELECT protocol FROM mine_series ORDER BY 1;")
    done = run("mine", "sql", str(tmp_path / "q.sql"), "--limit", "1", "--json")
    assert json.loads(done.stdout) == [{"protocol": "=Thorax"}] and "only the first 1 rows" in done.stderr
    assert "4" in run("mine", "sql", "-", input="SELECT sum(images) AS n FROM mine_series").output
    done = run("mine", "sql", "-", input="DELETE FROM series", code=1)
    assert "scanpost: the ledger cannot answer this" in done.output and "Traceback" not in done.output


def test_a_ledger_that_is_not_there_is_said_in_one_line(run: Run) -> None:
    done = run("mine", "dose", code=1)
    assert done.output.startswith("scanpost: ") and done.output.count("\n") == 1


def test_an_export_needs_a_key_and_is_on_record(mined: Home, run: Run, tmp_path: Path) -> None:
    key, out = tmp_path / "key", tmp_path / "trial"
    words = ("mine", "export", "--key-file", str(key), "--out", str(out), "--modality", "mr")
    key.write_text("short")
    assert "openssl rand" in run(*words, "--pseudonymise", code=2).output
    key.write_text("a secret of enough letters")
    assert not out.exists() and "--pseudonymise" in run(*words, code=2).output
    assert json.loads(run(*words, "--pseudonymise", "--json").stdout)["rows"] == {"series": 2, "deliveries": 0}
    assert "P1" not in (out / "series.csv").read_text()
    assert "is there already" in run(*words, "--pseudonymise", code=1).output
    accounts = Accounts(tmp_path / "accounts.sqlite3")
    assert {entry.action for entry in accounts.audit_trail(2)} == {"mine export"}
    assert all(entry.who.startswith("cli:") for entry in accounts.audit_trail(2))
    accounts.close()


def test_own_sql_is_on_record_without_the_values_that_it_asks_for(mined: Home, run: Run, tmp_path: Path) -> None:
    run("mine", "sql", "-", input="SELECT count(*) FROM phi_series WHERE patient_id = 'P1' -- of Jane")
    accounts = Accounts(tmp_path / "accounts.sqlite3")
    (entry,) = accounts.audit_trail(1)
    accounts.close()
    assert entry.action == "mine sql" and entry.who.startswith("cli:")
    assert entry.after["sql"] == "SELECT count(*) FROM phi_series WHERE patient_id = '?'"


def test_what_cannot_be_written_into_the_audit_is_not_answered(mined: Home, run: Run, tmp_path: Path) -> None:
    (tmp_path / "accounts.sqlite3").unlink(missing_ok=True)
    (tmp_path / "accounts.sqlite3").mkdir()
    done = run("mine", "sql", "-", input="SELECT count(*) AS n FROM phi_series", code=1)
    assert done.stdout == "" and "Traceback" not in done.output
