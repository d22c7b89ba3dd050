"""`scanpost target test` prints the steps of whatever type a target is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

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
