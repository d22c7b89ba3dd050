"""Small files whose own sync is still to come: after a death their copies count, and the living keep theirs."""

from __future__ import annotations

import pytest

from protocol.errors import OutOfSpace
from protocol.header.scan import scan
from protocol.spool import open_spool, unsynced
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


# ---- the rows of copies are used again ------------------------------------------------------------------------------
@pytest.fixture
def spool(tmp_path):
    opened = open_spool(tmp_path, create=True)
    opened.images.unsynced.begin(opened.workers.enter("receiver", "0").owner)
    opened.images.association_opened(b"a" * 16, "me", "CT1", "SCANPOST", "10.0.0.1", None)
    yield opened
    opened.close()


def saved(spool, number: int, size: int = 0):
    image = TestImage(instance=number, content=bytes([number % 251 + 1]) * size)
    data = image.dataset()
    return spool.images.save(
        Incoming(b"a" * 16, "CT1", "SCANPOST", "10.0.0.1", None, image.sop_class_uid, image.sop_uid,
                 image.transfer_syntax_uid, data, scan(data, image.transfer_syntax_uid))
    )  # fmt: skip


def rows(spool) -> dict[int, str]:
    with spool.database.read() as connection:
        return {row["id"]: row["file"] for row in connection.execute("SELECT id, file FROM unsynced")}


def test_the_next_copy_takes_the_row_of_a_file_that_is_synced_and_of_no_other(spool) -> None:
    first, second, third = (saved(spool, number) for number in (1, 2, 3))
    spool.images.commit([first])
    spool.images.commit([second])
    assert list(rows(spool).values()) == [first.file, second.file], "neither is synced: both keep their copy"
    spool.images.unsynced.sync()
    before = rows(spool)
    spool.images.commit([third])
    assert rows(spool) == {**before, min(before): third.file}, "the oldest goes first"


@pytest.mark.parametrize("size", [2, 4096, 6000, 30_000])
def test_a_file_is_written_anew_as_long_as_it_was_whatever_stood_in_the_row_before(spool, size: int) -> None:
    spool.images.commit([saved(spool, 1, 20_000)])
    spool.images.unsynced.sync()
    later = saved(spool, 2, size)
    spool.images.commit([later])
    path = spool.images.open(later.receipt).path
    content = path.read_bytes()
    path.write_bytes(b"what a power cut left")
    assert len(rows(spool)) == 1 and spool.images.unsynced.restore() == 1
    assert path.read_bytes() == content


def test_a_transaction_that_fails_leaves_the_rows_to_the_next(spool) -> None:
    spool.images.commit([saved(spool, 1)])
    spool.images.unsynced.sync()
    before = rows(spool)
    with pytest.raises(OutOfSpace), spool.images.unsynced.exchange() as copies, spool.database.write() as tx:
        copies.insert(tx, saved(spool, 2), 1)
        raise OutOfSpace("full")
    assert rows(spool) == before and len(spool.images.unsynced) == 0
    third = saved(spool, 3)
    spool.images.commit([third])
    assert rows(spool) == dict.fromkeys(before, third.file)


def test_two_transactions_at_a_time_never_take_the_same_row(spool) -> None:
    spool.images.commit([saved(spool, 1)])
    spool.images.unsynced.sync()
    with spool.images.unsynced.exchange() as one, spool.images.unsynced.exchange() as other:
        assert len(one.left) == 1 and other.left == []


def test_a_copy_that_somebody_removed_is_made_anew(spool) -> None:
    spool.images.commit([saved(spool, 1)])
    spool.images.unsynced.sync()
    with spool.database.write() as tx:
        tx.execute("DELETE FROM unsynced")
    second = saved(spool, 2)
    spool.images.commit([second])
    assert list(rows(spool).values()) == [second.file]


def test_rows_beyond_what_is_used_again_go(spool, monkeypatch) -> None:
    spool.images.commit([saved(spool, number) for number in range(1, 8)])
    spool.images.unsynced.sync()
    monkeypatch.setattr(unsynced.Exchange.drop, "__defaults__", (2,))
    last = saved(spool, 9)
    spool.images.commit([last])
    assert len(rows(spool)) == 3 and last.file in rows(spool).values()
    spool.images.unsynced.finish()
    assert not rows(spool), "nothing is left when there is nothing else to do"
