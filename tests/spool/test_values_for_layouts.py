"""A claim hands its target the header values that a layout names, and no others."""

from __future__ import annotations

import pytest

from protocol.header.scan import Header
from protocol.spool import open_spool
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.deliveries import ImageResult
from protocol.spool.images import Incoming

STUDY, SERIES = "1.2", "1.2.3"


@pytest.fixture
def spool(tmp_path):
    spool = open_spool(tmp_path, create=True)
    yield spool
    spool.close()


def incoming(number: int, **values: object) -> Incoming:
    sop = f"{SERIES}.{number}"
    header = Header(
        {"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES, "SOPInstanceUID": sop, "PatientID": "P1", **values}
    )
    return Incoming(
        bytes(16),
        "CT1",
        "SCANPOST",
        "10.0.0.9",
        "ct-room",
        "1.2.840.1",
        sop,
        "1.2.840.10008.1.2.1",
        sop.encode(),
        header,
    )


def claimed(spool, *images: Incoming):
    receipts = spool.images.commit([spool.images.save(one) for one in images])
    arrival = receipts[0].arrival
    spool.arrivals.close(arrival, "released")
    spool.arrivals.decide(arrival, Verdict("route", 1, [TargetChoice("share")]))
    return spool.deliveries.claim("me", {"share": 1}, spool.database.clock.now() + 1)


def values(images) -> list[dict]:
    return [dict(image.values) for image in images]


def test_each_image_has_the_values_that_were_asked_for(spool):
    claim = claimed(spool, incoming(1, InstanceNumber=1), incoming(2, InstanceNumber=2, PatientID="P2"), incoming(3))
    claim = spool.deliveries.with_values(claim, {"PatientID", "InstanceNumber", "StudyInstanceUID"})
    assert values(image.file for image in claim.images) == [
        {"PatientID": "P1", "StudyInstanceUID": STUDY, "InstanceNumber": 1},
        {"PatientID": "P2", "StudyInstanceUID": STUDY, "InstanceNumber": 2},
        {"PatientID": "P1", "StudyInstanceUID": STUDY},
    ]


def test_nothing_is_looked_up_for_a_target_without_a_layout(spool):
    claim = claimed(spool, incoming(1))
    assert spool.deliveries.with_values(claim, frozenset()) is claim and values([claim.images[0].file]) == [{}]


def test_images_with_equal_values_share_them(spool):
    claim = claimed(spool, incoming(1, InstanceNumber=1), incoming(2, InstanceNumber=2))
    first, second = spool.deliveries.with_values(claim, {"PatientID", "SeriesInstanceUID"}).images
    assert first.file.values is second.file.values and dict(first.file.values)["SeriesInstanceUID"] == SERIES


def test_no_object_can_pose_as_another_sender(spool):
    claim = claimed(spool, incoming(1, SenderAET="EVIL"))
    names = {"SenderAET", "ReceiverAET", "SenderAddress", "Source"}
    (image,) = spool.deliveries.with_values(claim, names).images
    assert dict(image.file.values) == {
        "SenderAET": "CT1", "ReceiverAET": "SCANPOST", "SenderAddress": "10.0.0.9", "Source": "ct-room"
    }  # fmt: skip


def test_all_images_of_a_delivery_are_known_also_those_that_are_confirmed(spool):
    claim = claimed(spool, incoming(1, PatientID="P1"), incoming(2, PatientID="P2"))
    done = claim.images[0]
    spool.deliveries.confirm(claim, [ImageResult(done.position, done.file.receipt, 0, True)])
    spool.deliveries.retry(claim, 0.0, "away")
    again = spool.deliveries.claim("me", {"share": 1}, spool.database.clock.now() + 1)
    assert len(again.images) == 1
    assert values(spool.deliveries.all_images(again, {"PatientID"})) == [{"PatientID": "P1"}, {"PatientID": "P2"}]


def test_the_values_of_an_image_are_not_shown_where_it_is_printed(spool):
    claim = spool.deliveries.with_values(claimed(spool, incoming(1, PatientID="SECRET")), {"PatientID"})
    assert "SECRET" not in repr(claim)
