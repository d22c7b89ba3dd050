"""`scanpost target test` prints the steps of whatever type a target is."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from protocol.spool import open_spool
from scanpost.main import cli


@pytest.fixture
def run(tmp_path: Path):
    def runner(*words: str, code: int = 0) -> Result:
        done = CliRunner().invoke(cli, ["--home", str(tmp_path / "home"), *words])
        assert done.exit_code == code, done.output
        return done

    return runner


def test_a_folder_is_tested_step_by_step(run, tmp_path):
    share = tmp_path / "share"
    share.mkdir()
    file = tmp_path / "routing.json"
    file.write_text(json.dumps({"targets": {"share": {"type": "folder", "path": str(share)}}}))
    run("routing", "import", str(file))
    told = json.loads(run("target", "test", "share", "--json").stdout)
    assert told["ok"] and [step["name"] for step in told["steps"]] == ["folder", "writable", "space"]
    share.rmdir()
    told = json.loads(run("target", "test", "share", "--json", code=1).stdout)
    assert [(step["name"], step["ok"]) for step in told["steps"]] == [("folder", False)] and not share.exists()
    assert "failed" in run("target", "test", "share", code=1).stdout


def test_the_list_says_how_the_breaker_of_each_target_stands_and_since_when(run, tmp_path):
    file = tmp_path / "routing.json"
    plain = {"type": "dicom", "host": "127.0.0.1", "port": 104, "called_ae": "PACS"}
    file.write_text(json.dumps({"targets": {"pacs": plain, "viewer": plain}}))
    run("routing", "import", str(file))
    spool = open_spool(tmp_path / "home", create=True)
    spool.targets.leave_alone("pacs", time.time() + 60, "nobody is there")
    spool.close()
    told = json.loads(run("target", "list", "--json").stdout)
    assert told["viewer"]["breaker"] == {"state": "closed", "since": None, "next_probe": None, "probes": 0, "why": ""}
    found = told["pacs"]["breaker"]
    assert found["state"] == "open" and found["since"] < found["next_probe"]
    assert "open since" in run("target", "list").stdout
