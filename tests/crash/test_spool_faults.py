"""The spool on a disk that is full or broken: nothing acknowledged is lost, nothing is acknowledged that is not safe."""

from contextlib import nullcontext
from random import Random

import pytest

from protocol.errors import DiskFailed, OutOfSpace
from protocol.spool import intake
from protocol.testing.images import TestImage
from protocol.testing.promises import check_end, check_promises
from protocol.testing.simfs import SimFs

A, B, C = (TestImage(instance=number) for number in (1, 2, 3))


def start_again(world) -> None:
    world.power_cut(Random(world.seed))
    world.restart()
    world.recover()
    check_promises(world)


@pytest.mark.parametrize("room", [0, 1, 300, 600, 900, 1200, 1500])
def test_a_full_disk_refuses_the_image_and_goes_on_when_there_is_room(room, worlds):
    world = worlds()(1)
    association = world.connect()
    world.disk.fill_after(room)
    with pytest.raises(OutOfSpace):
        for image in (A, B, C):
            world.send(association, image)
    world.disk.empty()
    world.send(association, C)
    start_again(world)
    world.finish()
    check_end(world)
    world.close()


@pytest.mark.parametrize("inodes", range(4))
def test_no_inodes_left_refuses_the_image(inodes, worlds):
    world = worlds()(1)
    association = world.connect()
    world.disk.fill_after(10**9, inodes)
    with pytest.raises(OutOfSpace):
        for image in (A, B, C):
            world.send(association, image)
    world.disk.empty()
    start_again(world)
    world.close()


def test_a_full_database_refuses_the_whole_group_as_out_of_space(worlds):
    world = worlds()(1)
    association = world.connect()
    world.send(association, A)
    writer = world.spool.database._writer
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count={pages}")
    promised = len(world.promises)
    with pytest.raises(OutOfSpace):
        for number in range(20):
            world.send(association, *[TestImage(series=number, instance=k) for k in range(30)])
            promised = len(world.promises)
    assert len(world.promises) == promised
    writer.execute("PRAGMA max_page_count=100000")
    world.send(association, B)
    start_again(world)
    world.finish()
    check_end(world)
    world.close()


@pytest.mark.parametrize("nth", range(8))
def test_a_failed_sync_ends_the_process_and_loses_nothing_promised(nth, worlds):
    world = worlds()(1)
    association = world.connect()
    world.disk.fail_sync(after=nth)
    with pytest.raises(DiskFailed):
        for image in (A, B, C):
            world.send(association, image)
    start_again(world)
    world.finish()
    check_end(world)
    world.close()


@pytest.mark.parametrize("read", ["from the disk", "from memory"])
def test_what_a_failed_sync_left_in_memory_is_not_adopted_after_a_death(read, worlds, monkeypatch):
    """Killed right after it, before the file could be marked: only the disk can tell."""
    monkeypatch.setattr(intake, "unmarked", lambda file, header, meta: None)
    if read == "from memory":  # the control
        monkeypatch.setattr(SimFs, "sync_file", lambda self, path: None)
    found = pytest.raises(AssertionError, match="is lost|instead of") if read == "from memory" else nullcontext()
    with found:
        for seed in range(1, 7):
            world = worlds("early")(seed)
            world.disk.fail_sync(".dcm")
            with pytest.raises(DiskFailed):
                world.send(world.connect(), A)
            world.kill()
            world.restart()
            world.recover()
            world.clock.advance(86400)
            world.receive(A)
            try:
                start_again(world)
            finally:
                world.close()
