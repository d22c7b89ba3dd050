"""Rules of all three triggers in a whole node: an image goes while its scanner still sends, a study waits for its series
beyond the death of the router, a new revision is taken up without a restart, and every rule is counted.
"""

from __future__ import annotations

from contextlib import closing

import pytest

from actors.dicom.frame import OutgoingImage
from actors.dicom.scu import Node as Peer
from actors.dicom.scu import open_association
from protocol.testing.images import TestImage
from tests.network import evidence
from tests.network.evidence import arrived, digests, events, send, series
from tests.network.system import Node, rule, target, wait_until
from tests.peers import StoreScp, needs_dcmtk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CT, PT = series(1, 4), series(1, 3, modality="PT", number=2)
FIRST = rule("first", "InstanceNumber == 1", "viewer", trigger="image", priority="urgent")
PAIR = rule("pair", "any_image(Modality == 'CT') and any_image(Modality == 'PT')", "pacs", trigger="study",
            study={"quiet_s": 3600, "complete": "any_image(Modality == 'PT')"})  # fmt: skip
SHADOW = rule("trial", "Modality == 'CT'", "pacs", mode="shadow")


@needs_dcmtk
def test_images_at_once_and_studies_when_they_are_complete(tmp_path):
    with (
        StoreScp(tmp_path / "pacs", options=("+uf",)) as pacs,
        StoreScp(tmp_path / "viewer", options=("+uf",)) as viewer,
    ):
        targets = {"pacs": target(pacs.port), "viewer": target(viewer.port, "VIEWER")}
        node = Node(tmp_path / "home", environment={"SCANPOST_ROUTER__IDLE_S": "600"})
        node.route(targets, [FIRST, PAIR, SHADOW])
        with node:
            an_image_arrives_while_its_series_is_coming(node, tmp_path, viewer)
            wait_until(lambda: evidence.images(node)["waiting"] == len(CT), 60, "the series waits for its study")
            assert node.kill("router")
            assert arrived(pacs) == digests([])
            send(node, tmp_path / "scanner", PT)
            wait_until(lambda: evidence.images(node)["delivered"] == len(CT) + len(PT), 60, "the study is delivered")
            assert arrived(pacs) == digests([*CT, *PT])
            assert arrived(viewer) == digests([CT[0], PT[0]])
            (decided,) = events(node, "study.decided")
            assert (decided.data["why"], decided.data["arrivals"], decided.data["outcome"]) == ("complete", 2, "route")
            with closing(node.spool()) as spool:
                counts = spool.rules.counts()
            assert counts["trial"] == {"true": 1, "false": 1} and counts["pair"] == {"true": 1}

            node.route(targets, [rule("all", "True", "viewer")])
            other = series(9, 2)
            send(node, tmp_path / "scanner", other)
            wait_until(lambda: evidence.images(node)["delivered"] == len(CT) + len(PT) + 2, 60, "by the new revision")
            assert node.cli("doctor").returncode == 0


def an_image_arrives_while_its_series_is_coming(node: Node, tmp_path, viewer: StoreScp) -> None:
    peer = Peer("127.0.0.1", node.port, "SCANPOST", "CT1")
    first, rest = CT[0], CT[1:]
    with open_association(peer, [(first.sop_class_uid, first.transfer_syntax_uid)]) as association:
        store(association, tmp_path, first)
        wait_until(lambda: arrived(viewer) == digests([first]), 60, "the first image is at the viewer")
        assert evidence.images(node)["open"] == 1
        for image in rest:
            store(association, tmp_path, image)


def store(association, folder, image: TestImage) -> None:
    file = folder / "image"
    file.write_bytes(b"-" + image.dataset())  # an offset of 0 would be a file without anything before its data set
    sent = OutgoingImage(file, 1, image.sop_class_uid, image.sop_uid, image.transfer_syntax_uid)
    assert association.store(sent).status == 0
