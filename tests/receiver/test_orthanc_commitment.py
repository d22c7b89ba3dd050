"""Storage commitment with Orthanc, where it is installed: as scanner that asks us, as target that we ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from commitment_rig import site
from receiver_rig import HOST

from actors.dicom.part10 import read_part10
from actors.targets.registry import make_target
from protocol.testing.images import TestImage
from tests.dicom.dicom_fakes import ct_and_mr
from tests.dispatcher.dispatcher_fakes import make_slot
from tests.orthanc import Orthanc, needs_orthanc
from tests.peers import free_port

pytestmark = [pytest.mark.slow, needs_orthanc]


def routing(orthanc_port: int) -> dict[str, Any]:
    times = {"connect_timeout_s": 30.0, "acse_timeout_s": 30.0, "dimse_timeout_s": 30.0}
    pacs = {"type": "dicom", "host": HOST, "port": orthanc_port, "called_ae": "ORTHANC", "commitment": {"answer_s": 0.2},
            **times}  # fmt: skip
    source = {"calling_ae": "ORTHANC", "quiet_s": 0.0, "commitment": {"policy": "spool", "port": orthanc_port}}
    return {
        "targets": {"pacs": pacs},
        "sources": {"orthanc": source, "ct1": {"calling_ae": "CT1", "quiet_s": 0.0}},
        "rules": [{"name": "ct", "when": "Modality == 'CT'", "action": "route", "targets": ["pacs"]}],
    }


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Orthanc, int]]:
    ours = free_port()
    made = Orthanc(tmp_path_factory.mktemp("peer") / "orthanc", "ORTHANC", {"us": ("SCANPOST", ours)})
    yield made, ours
    made.stop()


def test_orthanc_asks_and_hears_what_is_committed(tmp_path, ports):
    orthanc, ours = ports
    path = ct_and_mr()[0]
    with site(tmp_path / "home", routing(orthanc.port), receiver__port=ours) as at:
        instance = orthanc.add(path)
        assert orthanc.send("us", [instance])["FailedInstancesCount"] == 0
        asked = orthanc.json("/modalities/us/storage-commitment", json.dumps({"Resources": [instance]}).encode())
        at.until(lambda: orthanc.json(asked["Path"])["Status"] != "Pending", "Orthanc heard nothing")
        found = orthanc.json(asked["Path"])
        at.until(lambda: at.states() == ["reported"])
    assert found["Status"] == "Success"
    assert [one["SOPInstanceUID"] for one in found["Success"]] == [read_part10(path).sop_instance_uid]


def test_orthanc_commits_to_what_we_sent(tmp_path, ports):
    orthanc, ours = ports
    images, before = [TestImage(instance=number) for number in (1, 2)], len(orthanc.json("/instances"))
    with site(tmp_path / "home", routing(orthanc.port), receiver__port=ours) as at:
        at.receive(*images)
        slot = make_slot(
            at.spool, at.rig.actor.context.routing, at.spool.database.clock, lambda name: None, make=make_target
        )
        assert slot.run_once()
        at.until(lambda: at.spool.deliveries.list()[0]["state"] == "delivered", "Orthanc did not commit")
        (confirmation,) = at.spool.confirmations.list()
    assert (confirmation["state"], confirmation["count"], confirmation["failed"]) == ("answered", 2, [])
    assert len(orthanc.json("/instances")) == before + 2
