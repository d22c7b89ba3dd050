"""Cleaning on a running node, as an operator does it: look first, then let it go; what a target wants kept stays."""

from __future__ import annotations

import pytest

from tests.network import evidence
from tests.network.evidence import events, send, series
from tests.network.system import Node, rule, wait_until
from tests.peers import needs_dcmtk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CT, MR = series(1, 5), series(2, 4, modality="MR")
SHUT = {"SCANPOST_CLEANER__WINDOW": "never", "SCANPOST_CLEANER__RETENTION_DELIVERED_H": "0.0001"}


@needs_dcmtk
def test_an_operator_looks_what_would_go_and_lets_it_go(tmp_path):
    node = Node(tmp_path / "home", environment=SHUT)
    for name in ("share", "keep"):
        (tmp_path / name).mkdir()
    share = {"type": "folder", "path": str(tmp_path / "share")}
    keep = {"type": "folder", "path": str(tmp_path / "keep"), "retention_h": 1000.0}
    rules = [rule("ct", "Modality == 'CT'", "share", "keep"), rule("mr", "Modality == 'MR'", "share")]
    node.route({"share": share, "keep": keep}, rules)
    with node:
        send(node, tmp_path / "scanner", CT)
        send(node, tmp_path / "scanner", MR)
        wait_until(lambda: evidence.images(node)["delivered"] == len(CT) + len(MR), 60, "both are delivered")
        told = wait_until(
            lambda: (found := node.json("clean", "--dry-run"))["goes"]["series"] and found, 20, "one is old enough"
        )
        assert [(one["targets"], one["images"]) for one in told["goes"]["by"]] == [(["share"], len(MR))]
        assert told["running"] and not told["runs"] and told["opens_at"] is None
        assert [one["images"] for one in told["kept"]] == [len(CT)]
        assert evidence.images(node)["deleted"] == 0

        answer = node.json("clean", "--now", "--reason", "the disk is needed")
        assert (answer["state"], answer["answer"]) == ("done", f"1 series and {len(MR)} files were deleted")
        assert len(list((node.home / "spool" / "images").rglob("*.dcm"))) == len(CT)
        (asked,) = [event for event in events(node, "command.asked") if event.data["kind"] == "clean.now"]
        assert asked.data["by"] and asked.data["arguments"] == {"reason": "the disk is needed"}
        assert node.json("clean", "--now", "--reason", "again")["answer"] == "nothing may go yet"
        assert evidence.images(node)["deleted"] == len(MR)
        node.cli("doctor")
