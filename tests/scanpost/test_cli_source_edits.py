"""`scanpost sources add`, `set`, `remove`: each publishes a version; the suggestion comes from parts that came late."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from protocol.spool import open_spool
from protocol.spool.arrivals import Arrivals, LateSeries
from scanpost.main import cli

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def runner(*words: str, code: int = 0) -> Result:
        done = CliRunner().invoke(cli, ["--home", str(tmp_path), *words])
        assert done.exit_code == code, done.output
        return done

    return runner


def sources(run: Run) -> dict[str, Any]:
    known: dict[str, Any] = json.loads(run("routing", "export").stdout)["sources"]
    return known


def test_a_source_is_added_changed_and_removed_each_as_a_version(run: Run) -> None:
    done = run("sources", "add", "mr1", "--calling-ae", "104", "--address", "10.1.0.7", "quiet_s=10", "label=2")
    assert "+ source 'mr1'" in done.stderr and "version 1 is current" in done.stderr
    assert (sources(run)["mr1"]["calling_ae"], sources(run)["mr1"]["label"]) == ("104", "2"), "text stays text"
    run("sources", "set", "mr1", "accept=false", "commitment=spool", 'sop_classes=["1.2.840.10008.5.1.4.1.1.2"]')
    mr1 = sources(run)["mr1"]
    assert (mr1["accept"], mr1["commitment"]["policy"], mr1["quiet_s"]) == (False, "spool", 10)
    done = run("sources", "set", "mr1", "quiet_s=null", "accept=null", "commitment=null", "label=null", "--json")
    assert json.loads(done.stdout)["version"] == 3
    mr1 = sources(run)["mr1"]
    assert (mr1["quiet_s"], mr1["accept"], mr1["commitment"]["policy"], mr1["label"]) == (None, True, "target", "")
    run("sources", "remove", "mr1", "-r", "sold")
    assert sources(run) == {}
    history = json.loads(run("routing", "history", "--json").stdout)
    assert [one["reason"] for one in history] == [
        "sold",
        "source mr1 changed",
        "source mr1 changed",
        "source mr1 added",
    ]


def test_storage_commitment_can_be_set_as_a_whole(run: Run) -> None:
    run("sources", "add", "ct1", "--calling-ae", "CT1", 'commitment={"policy": "spool", "port": 104}')
    kept = sources(run)["ct1"]["commitment"]
    assert (kept["policy"], kept["port"], kept["wait_s"]) == ("spool", 104, 86400)
    run("sources", "set", "ct1", "label={odd}", "commitment=off")
    assert (sources(run)["ct1"]["label"], sources(run)["ct1"]["commitment"]["policy"]) == ("{odd}", "off")


def test_what_does_not_fit_is_refused_and_nothing_is_published(run: Run) -> None:
    run("sources", "add", "mr1", "--calling-ae", "MR1")
    assert "sources.mr2: 'mr2' and 'mr1'" in run("sources", "add", "mr2", "--calling-ae", "MR1", code=78).stderr
    assert "sources.mr1.quiet: unknown key" in run("sources", "set", "mr1", "quiet=3", code=78).stderr
    assert "must be a number" in run("sources", "set", "mr1", "quiet_s=soon", code=78).stderr
    assert "calling_ae, address or certificate" in run("sources", "set", "mr1", "calling_ae=null", code=78).stderr
    assert "there is a source 'mr1' already" in run("sources", "add", "mr1", "--calling-ae", "X", code=1).stderr
    assert "did you mean 'mr1'?" in run("sources", "set", "mr", "quiet_s=3", code=1).stderr
    run("sources", "remove", "ct", code=1)
    run("sources", "set", "mr1", code=2)
    run("sources", "set", "mr1", "quiet_s", code=2)
    assert len(json.loads(run("routing", "history", "--json").stdout)) == 1


def test_the_suggestion_learned_from_late_parts_is_shown_and_taken(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_spool(tmp_path, create=True).close()
    run("sources", "add", "mr1", "--calling-ae", "MR1", "quiet_s=10")
    assert "nothing to suggest" in run("sources", "set", "mr1", "--suggested", code=1).stderr
    late = LateSeries(calling_ae="MR1", source="mr1", why="released", addenda=2, longest_s=31.0)
    monkeypatch.setattr(Arrivals, "late", lambda self, since: [late])
    listed = run("sources", "list")
    assert "10 s quiet, 60 s idle" in listed.stdout and "scanpost sources set mr1 --suggested" in listed.stderr
    assert json.loads(run("sources", "list", "--json").stdout)["sources"]["mr1"]["completion"]["quiet_s"] == 10
    done = run("sources", "set", "mr1", "--suggested")
    assert "    quiet_s: 10.0 -> 40.0" in done.stderr.splitlines()
    assert "did you mean 'mr1'?" in run("sources", "set", "mr2", "--suggested", "quiet_s=1", code=1).stderr
