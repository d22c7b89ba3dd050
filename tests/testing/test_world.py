"""The world dies and comes back as promised: committed state stays, uncommitted goes, chance comes from the seed."""

from random import Random

import pytest

from protocol.spool import Cursor
from protocol.testing.crash import CrashPoints, Died
from protocol.testing.images import TestImage
from protocol.testing.spoolworld import SpoolWorld
from protocol.testing.world import World
from protocol.wire.events import EpochBegun


def events(world: World) -> int:
    return len(world.spool.outbox.read(Cursor(0, 0)))


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "home")
    yield made
    made.close()


@pytest.mark.parametrize(("step", "kept"), [("commit.before", 0), ("commit.after", 1)])
def test_a_death_before_the_commit_undoes_it_and_after_it_does_not(world, step, kept):
    world.points.arm(1 if step == "commit.before" else 2)
    with pytest.raises(Died, match=step):
        world.spool.outbox.record(EpochBegun(1, "test"))
    world.kill()
    world.points.disarm()
    world.restart()
    assert events(world) == kept


def test_a_power_cut_keeps_every_commit_by_default(world):
    for number in range(3):
        world.spool.outbox.record(EpochBegun(number, "test"))
    world.power_cut(Random(1))
    world.restart()
    assert events(world) == 3


def test_a_power_cut_takes_back_commits_without_sync_but_none_before_a_barrier(tmp_path):
    left = set()
    for seed in range(30):
        world = World(tmp_path / str(seed), seed, durability="relaxed")
        world.spool.outbox.record(EpochBegun(1, "before the barrier"))
        world.spool.outbox.barrier()
        for number in range(2):
            world.spool.outbox.record(EpochBegun(number, "after it"))
        world.power_cut(Random(seed))
        world.restart()
        left.add(events(world))
        world.close()
    assert left == {1, 2, 3}


def test_one_process_dies_alone(world):
    points = CrashPoints()
    other = world.open("other", points=points)
    lock = other.fs.lock(world.home / "run" / "x.lock")
    assert lock is not None
    points.arm(1)
    with pytest.raises(Died):
        other.outbox.record(EpochBegun(1, "test"))
    world.kill_one("other")
    assert not world.spool.fs.is_locked(world.home / "run" / "x.lock")
    world.spool.outbox.record(EpochBegun(1, "the first lives on"))
    assert events(world) == 1


def test_workers_of_a_killed_node_are_dead(tmp_path):
    world = SpoolWorld(tmp_path / "home")
    owner = world.worker("receiver").owner
    assert world.spool.workers.alive(owner)
    world.kill()
    world.restart()
    assert world.spool.workers.dead() == [owner]
    world.close()


def test_the_same_seed_gives_the_same_steps(tmp_path):
    seen = []
    for number in range(2):
        world = SpoolWorld(tmp_path / str(number), seed=7)
        world.points.disarm()
        world.receive(TestImage(), TestImage(instance=2))
        world.finish()
        seen.append(world.points.names)
        world.close()
    assert seen[0] == seen[1]
    assert len(seen[0]) > 50
