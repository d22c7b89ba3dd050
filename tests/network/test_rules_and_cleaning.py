"""One node for two stories. Cleaning, as an operator does it: look first, then let it go; what a target wants kept stays.
Rules of all three triggers: an image goes while its scanner still sends, a study waits for its series beyond the death of
the router, a new revision is taken up without a restart, and every rule is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
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

SHUT = {"SCANPOST_CLEANER__WINDOW": "never", "SCANPOST_CLEANER__RETENTION_DELIVERED_H": "0.0001"}
GONE, KEPT = series(22, 4, modality="MR"), series(21, 5)
CT, PT = series(1, 4), series(1, 3, modality="PT", number=2)
FIRST = rule("first", "InstanceNumber == 1", "viewer", trigger="image", priority="urgent")
PAIR = rule("pair", "any_image(Modality == 'CT') and any_image(Modality == 'PT')", "pacs", trigger="study",
            study={"quiet_s": 3600, "complete": "any_image(Modality == 'PT')"})  # fmt: skip
SHADOW = rule("trial", "Modality == 'CT'", "pacs", mode="shadow")


@pytest.fixture(scope="module")
def node(tmp_path_factory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("node") / "home", environment={"SCANPOST_ROUTER__IDLE_S": "600", **SHUT}) as made:
        yield made


@needs_dcmtk
def test_an_operator_looks_what_would_go_and_lets_it_go(node, tmp_path):
    for name in ("share", "keep"):
        (tmp_path / name).mkdir()
    share = {"type": "folder", "path": str(tmp_path / "share")}
    keep = {"type": "folder", "path": str(tmp_path / "keep"), "retention_h": 1000.0}
    rules = [rule("ct", "Modality == 'CT'", "share", "keep"), rule("mr", "Modality == 'MR'", "share")]
    node.route({"share": share, "keep": keep}, rules)
    send(node, tmp_path / "scanner", KEPT)
    send(node, tmp_path / "scanner", GONE)
    wait_until(lambda: evidence.images(node)["delivered"] == len(KEPT) + len(GONE), 60, "both are delivered")
    told = wait_until(
        lambda: (found := node.json("clean", "--dry-run"))["goes"]["series"] and found, 20, "one is old enough"
    )
    assert [(one["targets"], one["images"]) for one in told["goes"]["by"]] == [(["share"], len(GONE))]
    assert told["running"] and not told["runs"] and told["opens_at"] is None
    assert [one["images"] for one in told["kept"]] == [len(KEPT)]
    assert evidence.images(node)["deleted"] == 0

    answer = node.json("clean", "--now", "--reason", "the disk is needed")
    assert (answer["state"], answer["answer"]) == ("done", f"1 series and {len(GONE)} files were deleted")
    assert len(list((node.home / "spool" / "images").rglob("*.dcm"))) == len(KEPT)
    (asked,) = [event for event in events(node, "command.asked") if event.data["kind"] == "clean.now"]
    assert asked.data["by"] and asked.data["arguments"] == {"reason": "the disk is needed"}
    assert node.json("clean", "--now", "--reason", "again")["answer"] == "nothing may go yet"
    assert evidence.images(node)["deleted"] == len(GONE)
    node.cli("doctor")


@needs_dcmtk
def test_images_at_once_and_studies_when_they_are_complete(node, tmp_path):
    delivered = evidence.images(node)["delivered"]
    with (
        StoreScp(tmp_path / "pacs", options=("+uf",)) as pacs,
        StoreScp(tmp_path / "viewer", options=("+uf",)) as viewer,
    ):
        targets = {"pacs": target(pacs.port), "viewer": target(viewer.port, "VIEWER")}
        node.route(targets, [FIRST, PAIR, SHADOW])
        an_image_arrives_while_its_series_is_coming(node, tmp_path, viewer)
        wait_until(lambda: evidence.images(node)["waiting"] == len(CT), 60, "the series waits for its study")
        assert node.kill("router")
        assert arrived(pacs) == digests([])
        send(node, tmp_path / "scanner", PT)
        wait_until(
            lambda: evidence.images(node)["delivered"] == delivered + len(CT) + len(PT), 60, "the study is delivered"
        )
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
        wait_until(
            lambda: evidence.images(node)["delivered"] == delivered + len(CT) + len(PT) + 2, 60, "by the new revision"
        )
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
