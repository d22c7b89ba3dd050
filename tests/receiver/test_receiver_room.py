"""The disk at its reserve, before, within and after an object: A700, nothing half-stored, recovery by itself."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from receiver_rig import LaterClock, RawSender, Rig, TroubledFs, dataset, receiver

from actors.receiver.admission import MIN_INODES
from protocol.errors import OutOfSpace
from protocol.fsops import NewFile, Room

pytestmark = pytest.mark.slow
GB = 10**9
PLENTY = Room(100 * GB, None)
FULL = Room(5 * GB - 1, None)


def large(size: int, sop: bytes = b"1.2.3.9") -> bytes:
    return dataset(sop=sop) + b"\xe0\x7f\x10\x00OB\0\0" + struct.pack("<I", size) + bytes(size)


def leftovers(rig: Rig) -> list[str]:
    """Files that no row knows."""
    known = {rig.spool.images.open(bytes.fromhex(event["receipt"])).path for event in rig.events("image.received")}
    files = [path for path in rig.spool.places.images.rglob("*") if path.is_file() and path not in known]
    return [path.name for path in files] + [path.name for path in rig.spool.places.quarantine.iterdir()]


class Node:
    """A receiver whose disk a test fills and empties."""

    def __init__(self, rig: Rig, fs: TroubledFs, clock: LaterClock) -> None:
        self.rig, self.fs, self.clock = rig, fs, clock

    def room(self, room: Room) -> None:
        """From now on the disk has this much left, and the receiver has looked."""
        self.fs.left = room
        self.clock.ahead += 2


@pytest.fixture(params=["fsync", "relaxed"])
def node(request: pytest.FixtureRequest, tmp_path: Path):
    fs, clock = TroubledFs(), LaterClock()
    fs.left = PLENTY
    with receiver(
        tmp_path / "home", fs=fs, clock=clock, spool__reserve_gb=5, receiver__durability=request.param
    ) as rig:
        yield Node(rig, fs, clock)


def test_an_association_that_was_open_before_the_disk_filled_up_gets_a700_and_goes_on_afterwards(node: Node) -> None:
    rig = node.rig
    with RawSender(rig.port) as sender:
        assert sender.store(b"1.2.3.1", dataset(sop=b"1.2.3.1")) == 0
        node.room(FULL)
        assert [sender.store(b"1.2.3.2", dataset(sop=b"1.2.3.2")) for _ in range(2)] == [0xA700, 0xA700]
        node.room(PLENTY)
        assert sender.store(b"1.2.3.2", dataset(sop=b"1.2.3.2")) == 0
        sender.release()
    assert rig.until_closed() == ["released"]
    figures = rig.spool.accounting.figures()
    assert (figures.received, figures.refused, figures.duplicates) == (2, 2, 0)
    assert leftovers(rig) == [] and rig.healthy()
    assert {event["reason"] for event in rig.events("image.rejected")} == {"the reserve of disk space is reached"}


def test_inodes_that_run_out_are_a700_too_though_there_is_space(node: Node) -> None:
    with RawSender(node.rig.port) as sender:
        node.room(Room(100 * GB, MIN_INODES))
        assert sender.store(b"1.2.3.1", dataset(sop=b"1.2.3.1")) == 0xA700
        node.room(Room(100 * GB, MIN_INODES + 1))
        assert sender.store(b"1.2.3.1", large(2_000_000, b"1.2.3.1")) == 0, "however many pieces it comes in"
        sender.release()
    node.rig.until_closed()
    (event,) = node.rig.events("image.rejected")
    assert (event["status"], event["reason"]) == (0xA700, "the reserve of inodes is reached")
    assert leftovers(node.rig) == [] and node.rig.healthy()


def test_a_large_object_that_meets_the_reserve_in_its_middle_leaves_nothing_behind(node: Node) -> None:
    rig = node.rig
    with RawSender(rig.port) as sender:
        node.room(Room(5 * GB + 1_000_000, None))
        assert sender.store(b"1.2.3.9", large(3_000_000)) == 0xA700
        assert leftovers(rig) == []
        node.room(Room(5 * GB + 1_000_000, None))
        assert sender.store(b"1.2.3.1", dataset(sop=b"1.2.3.1")) == 0, "the association goes on, smaller ones fit"
        node.room(PLENTY)
        assert sender.store(b"1.2.3.9", large(3_000_000)) == 0
        sender.release()
    assert rig.until_closed() == ["released"]
    assert set(rig.stored()) == {"1.2.3.1", "1.2.3.9"} and rig.stored()["1.2.3.9"] == [large(3_000_000)]
    assert leftovers(rig) == [] and rig.healthy()


def test_a_disk_that_is_full_in_the_middle_of_an_object_whatever_it_said_before(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, create = node.rig, node.fs.create

    def cramped(path: Path) -> NewFile:
        file, written = create(path), [0]
        write_all = file.write_all

        def write(parts: Sequence[bytes | memoryview]) -> None:
            written[0] += sum(map(len, parts))
            if written[0] > 1_000_000:
                raise OutOfSpace("write file: No space left on device")
            write_all(parts)

        file.write_all = write  # type: ignore[method-assign]
        return file

    with RawSender(rig.port) as sender:
        assert sender.store(b"1.2.3.1", dataset(sop=b"1.2.3.1")) == 0
        monkeypatch.setattr(node.fs, "create", cramped)
        assert sender.store(b"1.2.3.9", large(3_000_000)) == 0xA700
        rig.until(lambda: rig.stored().keys() == {"1.2.3.1"})
        assert leftovers(rig) == []
        monkeypatch.setattr(node.fs, "create", create)
        assert sender.store(b"1.2.3.9", large(3_000_000)) == 0
        sender.release()
    rig.until_closed()
    assert leftovers(rig) == [] and rig.healthy()


def test_a_sender_that_vanishes_within_an_object_that_was_refused_leaves_nothing(node: Node) -> None:
    rig = node.rig
    with RawSender(rig.port) as sender:
        node.room(Room(5 * GB + 1_000_000, None))
        sender.sock.sendall(sender.begin(b"1.2.3.9", large(3_000_000))[:-500_000])
    assert rig.until_closed() == ["aborted"]
    assert leftovers(rig) == [] and rig.events("image.received") == [] and rig.healthy()
