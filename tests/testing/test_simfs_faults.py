"""The simulated disk breaks as real ones do, and its dead processes stay dead."""

from pathlib import Path
from random import Random

import pytest

from protocol.errors import DiskFailed, OutOfSpace
from protocol.fsops import Room
from protocol.testing.crash import CrashPoints, Died
from protocol.testing.simfs import SimDisk

ROOT = Path("/disk")


@pytest.fixture
def disk() -> SimDisk:
    return SimDisk(ROOT)


def test_a_full_disk_takes_what_fits_and_says_so(disk):
    fs = disk.process("p")
    disk.fill_after(5)
    file = fs.create(ROOT / "a")
    file.write(b"123")
    with pytest.raises(OutOfSpace):
        file.write(b"4567")
    assert fs.read_bytes(ROOT / "a") == b"12345"
    assert fs.room(ROOT).bytes == 0


def test_removing_a_file_makes_room(disk):
    fs = disk.process("p")
    fs.write_new(ROOT / "ballast", b"12345678")
    fs.link(ROOT / "ballast", ROOT / "second")
    disk.fill_after(0)
    fs.unlink(ROOT / "ballast")
    assert fs.room(ROOT).bytes == 0
    fs.unlink(ROOT / "second")
    assert fs.room(ROOT).bytes == 8
    fs.write_new(ROOT / "a", b"1234")
    assert fs.room(ROOT).bytes == 4


def test_inodes_run_out(disk):
    fs = disk.process("p")
    disk.fill_after(100, inodes_left=1)
    fs.create(ROOT / "a")
    with pytest.raises(OutOfSpace):
        fs.create(ROOT / "b")
    with pytest.raises(OutOfSpace):
        fs.makedirs(ROOT / "d")
    disk.empty()
    fs.makedirs(ROOT / "d")


def test_room_can_be_dictated(disk):
    disk.set_room(Room(7, None))
    assert disk.process("p").room(ROOT) == Room(7, None)


def test_a_failed_sync_loses_the_data_although_the_next_one_reports_success():
    left = set()
    for seed in range(40):
        disk = SimDisk(ROOT)
        fs = disk.process("p")
        file = fs.create(ROOT / "a")
        fs.sync_dir(ROOT)
        file.write(b"1234")
        disk.fail_sync()
        with pytest.raises(DiskFailed):
            file.sync()
        file.sync()
        disk.power_cut(Random(seed))
        left.add(disk.process("p").read_bytes(ROOT / "a"))
    assert b"" in left


def test_a_folder_sync_can_fail_too(disk):
    fs = disk.process("p")
    fs.makedirs(ROOT / "d")
    disk.fail_sync("d")
    with pytest.raises(DiskFailed):
        fs.sync_dir(ROOT / "d")
    fs.sync_dir(ROOT / "d")


def test_a_killed_process_does_nothing_more(disk):
    fs = disk.process("p")
    file = fs.create(ROOT / "a")
    file.write(b"1")
    reader = fs.open_read(ROOT / "a")
    lock = fs.lock(ROOT / "l")
    disk.kill("p")
    for act in (
        lambda: file.write(b"2"),
        file.sync,
        lambda: reader.read(),
        lambda: lock.write("x"),
        lock.release,
        lambda: fs.unlink(ROOT / "a"),
        lambda: fs.read_bytes(ROOT / "a"),
    ):
        with pytest.raises(Died):
            act()
    again = disk.process("p")
    assert again.read_bytes(ROOT / "a") == b"1"
    assert not again.is_locked(ROOT / "l")


def test_a_process_can_die_with_half_a_write_done(disk):
    fs = disk.process("p", CrashPoints.armed(4))
    with pytest.raises(Died, match=r"fs\.write\.middle"):
        fs.write_new(ROOT / "a", b"123456")
    assert disk.process("q").read_bytes(ROOT / "a") == b"123"


def test_every_change_is_a_step_and_no_look_is(disk):
    points = CrashPoints()
    fs = disk.process("p", points)
    fs.makedirs(ROOT / "d" / "e")
    fs.write_new(ROOT / "d" / "a", b"1")
    fs.rename(ROOT / "d" / "a", ROOT / "d" / "b")
    fs.link(ROOT / "d" / "b", ROOT / "d" / "c")
    fs.sync_dir(ROOT / "d")
    fs.unlink(ROOT / "d" / "c")
    fs.rmdir(ROOT / "d" / "e")
    fs.lock(ROOT / "l").release()
    fs.listdir(ROOT), fs.exists(ROOT), fs.room(ROOT), fs.is_locked(ROOT / "l"), fs.lock_text(ROOT / "l")
    makes = ["makedirs", "makedirs", "create", "write", "sync", "rename", "link", "sync_dir"]
    acts = [*makes, "unlink", "rmdir", "lock", "release"]
    assert points.names == [f"fs.{act}.{when}" for act in acts for when in ("before", "after")]
