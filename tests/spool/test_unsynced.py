"""Copies that an earlier version left of small files that it had not synced: after its death they are what counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.header.scan import scan
from protocol.spool import Spool, open_spool
from protocol.spool.images import Incoming
from protocol.testing.images import TestImage


@pytest.fixture
def spool(tmp_path):
    opened = open_spool(tmp_path, create=True)
    yield opened
    opened.close()


def kept_copy(spool: Spool, owner: str, number: int = 1, padding: int = 100) -> Path:
    """What the earlier version left of one small image: its file, its row and a padded copy of the file."""
    association = bytes([number]) * 16
    spool.images.association_opened(association, owner, "CT1", "SCANPOST", "10.0.0.1", None)
    image = TestImage(instance=number)
    data = image.dataset()
    saved = spool.images.save(
        Incoming(association, "CT1", "SCANPOST", "10.0.0.1", None, image.sop_class_uid, image.sop_uid,
                 image.transfer_syntax_uid, data, scan(data, image.transfer_syntax_uid))
    )  # fmt: skip
    (receipt,) = spool.images.commit([saved])
    path = spool.images.open(receipt.receipt).path
    content = path.read_bytes()
    with spool.database.write() as tx:
        tx.execute(
            "INSERT INTO unsynced (owner, arrival, file, bytes, content) VALUES (?,?,?,?,?)",
            (owner, receipt.arrival, saved.file, len(content), content + bytes(padding)),
        )
    return path


def copies(spool: Spool) -> int:
    with spool.database.read() as connection:
        return int(connection.execute("SELECT count(*) FROM unsynced").fetchone()[0])


def test_copies_of_the_dead_are_written_and_those_of_the_living_left_to_them(spool) -> None:
    alive = spool.workers.enter("receiver", "2")
    lost, theirs = kept_copy(spool, "receiver/1/dead", 1), kept_copy(spool, alive.owner, 2)
    content = lost.read_bytes()
    lost.write_bytes(b"what a power cut left")
    theirs.write_bytes(b"still to be synced")
    assert spool.adoption.adopt()["restored"] == 1
    assert lost.read_bytes() == content and theirs.read_bytes() == b"still to be synced"
    assert copies(spool) == 1 and "restored" not in spool.adoption.adopt()
    assert spool.images.unsynced.restore() == 1, "at the start of the machine nobody lives"
    assert theirs.read_bytes() != b"still to be synced" and copies(spool) == 0


def test_a_copy_is_written_where_its_file_is_gone_and_over_what_an_interrupted_restore_left(spool) -> None:
    path = kept_copy(spool, "receiver/1/dead", padding=0)
    content = path.read_bytes()
    path.rename(path.with_suffix(".tmp"))
    assert spool.images.unsynced.restore() == 1 and path.read_bytes() == content
    assert not path.with_suffix(".tmp").exists()


def test_a_copy_of_what_was_deleted_brings_no_file_back(spool) -> None:
    path = kept_copy(spool, "receiver/1/dead")
    with spool.database.write() as tx:
        tx.execute("UPDATE arrival SET state = 'deleted'")
    path.unlink()
    assert spool.images.unsynced.restore() == 0 and not path.exists() and copies(spool) == 0
