"""An image that is adopted after a death is read as the living receiver would have read it."""

from __future__ import annotations

import pytest

from protocol.header.scan import Header
from protocol.spool import open_spool
from protocol.spool.images import Incoming
from protocol.testing.images import TestImage


@pytest.mark.parametrize(
    ("charsets", "name"), [({"mr1": "ISO_IR 100"}, "Tést^Image"), ({"x": "ISO_IR 100"}, "T\ufffdst^Image")]
)
def test_the_character_set_of_its_source_counts_for_an_adopted_image(tmp_path, charsets, name) -> None:
    spool = open_spool(tmp_path, create=True)
    try:
        worker = spool.workers.enter("receiver", "0")
        spool.images.association_opened(b"a" * 16, worker.owner, "MR1", "SCANPOST", "10.0.0.1", "mr1")
        image = TestImage()
        data = image.dataset().replace(b"Test^Image", "Tést^Image".encode("latin_1"))
        header = Header({"StudyInstanceUID": image.study_uid, "SeriesInstanceUID": image.series_uid,
                         "SOPInstanceUID": image.sop_uid})  # fmt: skip
        spool.images.save(
            Incoming(b"a" * 16, "MR1", "SCANPOST", "10.0.0.1", "mr1", image.sop_class_uid, image.sop_uid,
                     image.transfer_syntax_uid, data, header)
        )  # fmt: skip
        worker._lock.release()  # it died between the file and its row
        assert spool.adoption.adopt(charsets=charsets)["adopted"] == 1
        (arrival,) = spool.arrivals.list()
        assert arrival["source"] == "mr1"
        assert spool.arrivals.subject(arrival["id"]).images[0]["PatientName"] == name
    finally:
        spool.close()
