"""`scanpost sources list` over a real spool and a real routing configuration."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from protocol.clock import SystemClock
from protocol.fsops import RealFs
from protocol.routing.parse import build
from protocol.routing.versions import RoutingVersions
from protocol.spool import open_spool
from scanpost.main import cli


def node(home: Path) -> None:
    spool = open_spool(home, create=True)
    versions = RoutingVersions(home / "config" / "routing", RealFs(), SystemClock())
    mr1 = {"calling_ae": "MR1", "label": "MR, ground floor", "resend": "deliver", "max_associations": 2}
    versions.publish(build({"sources": {"mr1": mr1, "old": {"calling_ae": "OLD"}}}, "test"), "ann", "", 0)
    spool.images.association_opened(b"1" * 16, "me", "MR1", "SCANPOST", "10.0.0.1", "mr1")
    spool.images.association_rejected("CT 9", "SCANPOST", "10.0.0.2", "unknown source", None, "CN=ct9")
    spool.close()


def run(home: Path, *words: str) -> Result:
    done = CliRunner().invoke(cli, ["--home", str(home), "sources", "list", *words])
    assert done.exit_code == 0, done.output
    return done


def test_known_and_unknown_senders_are_one_json_document(tmp_path: Path) -> None:
    node(tmp_path)
    found = json.loads(run(tmp_path, "--json").stdout)
    assert set(found) == {"unknown_sources", "sources", "unknown", "late"}
    assert found["sources"]["mr1"]["associations"] == 1 and found["sources"]["old"]["last_seen"] is None
    (stranger,) = found["unknown"]
    assert stranger["source"] == {"calling_ae": "CT 9", "address": "10.0.0.2", "certificate": "CN=ct9"}


def test_people_see_policies_and_get_a_line_to_paste_that_makes_the_stranger_known(tmp_path: Path) -> None:
    node(tmp_path)
    done = run(tmp_path)
    assert 'resend="deliver", max_associations=2' in done.stdout and "MR, ground floor" in done.stdout
    line = done.stdout.splitlines()[-1]
    assert line == '"ct-9": {"calling_ae": "CT 9", "address": "10.0.0.2", "certificate": "CN=ct9"},'
    assert "routing import" in done.stderr
    build({"sources": json.loads("{" + line.rstrip(",") + "}")}, "pasted")
    assert "ct-9" not in run(tmp_path, "--days", "0").stdout, "a stranger who was not seen lately is not shown"


def test_of_the_policy_only_what_somebody_changed_is_shown(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, create=True)
    versions = RoutingVersions(tmp_path / "config" / "routing", RealFs(), SystemClock())
    kept = {"calling_ae": "CT1", "commitment": {"policy": "spool", "wait_s": 3600}}
    versions.publish(build({"sources": {"ct1": kept, "old": {"calling_ae": "OLD"}}}, "test"), "ann", "", 0)
    spool.close()
    lines = run(tmp_path).stdout.splitlines()
    (usual,) = [line for line in lines if "old" in line.split()]
    assert "commitment" not in usual
    (changed,) = [line for line in lines if "ct1" in line.split()]
    assert 'commitment={"policy": "spool", "wait_s": 3600.0}' in changed
