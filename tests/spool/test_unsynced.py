"""Small files whose own sync is still to come: after a death their copies count, and the living keep theirs."""

from __future__ import annotations

import pytest

from protocol.header.scan import scan
from protocol.spool import open_spool
from protocol.spool.images import Incoming
from protocol.testing.images import TestImage


@pytest.fixture
def spools(tmp_path):
    """Three processes of one node."""
    opened = [open_spool(tmp_path, create=True), open_spool(tmp_path), open_spool(tmp_path)]
    yield opened
    for one in opened:
        one.close()


def receives(spool, number: int):
    """A receiver that acknowledged one small image; its worker, and the file."""
    worker = spool.workers.enter("receiver", str(number))
    spool.images.unsynced.begin(worker.owner)
    association = bytes([number]) * 16
    spool.images.association_opened(association, worker.owner, "CT1", "SCANPOST", "10.0.0.1", None)
    image = TestImage(instance=number)
    data = image.dataset()
    saved = spool.images.save(
        Incoming(association, "CT1", "SCANPOST", "10.0.0.1", None, image.sop_class_uid, image.sop_uid,
                 image.transfer_syntax_uid, data, scan(data, image.transfer_syntax_uid))
    )  # fmt: skip
    (receipt,) = spool.images.commit([saved])
    assert receipt.outcome == "stored" and len(spool.images.unsynced) == 1
    return worker, spool.images.open(receipt.receipt).path


def test_copies_of_the_dead_are_written_and_those_of_the_living_left_to_them(spools) -> None:
    first, second, mending = spools
    dead, lost = receives(first, 1)
    _, kept = receives(second, 2)
    content, theirs = lost.read_bytes(), kept.stat()
    lost.write_bytes(b"what a power cut left")
    dead._lock.release()
    assert mending.adoption.adopt()["restored"] == 1
    assert lost.read_bytes() == content
    assert kept.stat().st_ino == theirs.st_ino, "a living worker's file is not written anew"
    assert "restored" not in mending.adoption.adopt(), "nothing of it is left, and nothing of the living one touched"
    kept.write_bytes(b"what a power cut left")
    assert mending.images.unsynced.restore() == 1, "at the start of the machine nobody lives"
    assert kept.read_bytes() != b"what a power cut left"
