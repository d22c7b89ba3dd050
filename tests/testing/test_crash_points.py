"""The harness finds what it is there to find: each negative control breaks a promise and must be caught."""

from pathlib import Path
from random import Random

import pytest

from protocol.testing.crash import CrashPoints, Died, Scenario, ScenarioFailed, run_at_every_point, run_at_point
from protocol.testing.simfs import SimDisk

ROOT = Path("/disk")


class DiskWorld:
    """A disk, one process, and what that process promised to somebody outside."""

    def __init__(self, seed: int) -> None:
        self.disk = SimDisk(ROOT)
        self.points = CrashPoints()
        self.promised: dict[str, bytes] = {}
        self.fs = self.disk.process("p", self.points)

    def kill(self) -> None:
        self.disk.kill("p")

    def power_cut(self, random: Random) -> None:
        self.disk.power_cut(random)

    def restart(self) -> None:
        self.fs = self.disk.process("p", self.points)

    def close(self) -> None:
        return


def keep(*leave_out: str):
    """A careful writer, or one that leaves something out."""

    def run(world: DiskWorld) -> None:
        fs = world.fs
        touched = fs.makedirs(ROOT / "day" / "series")
        file = fs.create(ROOT / "day" / "series" / "x.tmp")
        file.write(b"1234")
        if "file" not in leave_out:
            file.sync()
        file.close()
        fs.rename(ROOT / "day" / "series" / "x.tmp", ROOT / "day" / "series" / "x")
        if "folder" not in leave_out:
            fs.sync_dir(ROOT / "day" / "series")
        for folder in touched if "parents" not in leave_out else []:
            fs.sync_dir(folder)
        world.promised["x"] = b"1234"

    return run


def kept(world: DiskWorld) -> None:
    for name, data in world.promised.items():
        assert world.fs.read_bytes(ROOT / "day" / "series" / name) == data


def scenario(run, check=kept) -> Scenario[DiskWorld]:
    return Scenario("keep a file", DiskWorld, run, check)


def promise_early(world: DiskWorld) -> None:
    world.promised["x"] = b"1234"
    keep()(world)


def after_last_step(run):
    """The same, with one more effect, so that there is a death after the promise."""

    def more(world: DiskWorld) -> None:
        run(world)
        world.points.step("promised")

    return more


SEEDS = range(1, 6)


def test_the_careful_writer_passes():
    assert run_at_every_point(scenario(after_last_step(keep())), power=False) == 20
    assert run_at_every_point(scenario(after_last_step(keep())), power=True, seeds=SEEDS) == 20


def test_a_death_alone_does_not_find_missing_syncs():
    run_at_every_point(scenario(after_last_step(keep("file", "folder", "parents"))), power=False)


@pytest.mark.parametrize("left_out", ["file", "folder", "parents"])
def test_a_power_cut_finds_each_missing_sync(left_out):
    with pytest.raises(ScenarioFailed, match=r"after power cut at step \d+ of \d+ \(promised\), seed \d+"):
        run_at_every_point(scenario(after_last_step(keep(left_out))), power=True, seeds=range(1, 20))


def test_a_death_finds_a_promise_given_too_early():
    with pytest.raises(ScenarioFailed, match=r"repeat: run_at_point\(scenario, 1, power=False, seed=1\)"):
        run_at_every_point(scenario(promise_early), power=False)


def test_one_point_can_be_repeated():
    with pytest.raises(ScenarioFailed, match="step 3 of 19"):
        run_at_point(scenario(promise_early), 3, power=False, seed=1)


def test_a_broken_promise_without_any_death_is_found():
    def wrong(world: DiskWorld) -> None:
        keep()(world)
        world.promised["y"] = b""

    with pytest.raises(ScenarioFailed, match="uninterrupted"):
        run_at_every_point(scenario(wrong), power=False)


def test_a_story_without_effects_is_refused():
    with pytest.raises(ScenarioFailed, match="nothing to interrupt"):
        run_at_every_point(scenario(lambda world: None), power=False)


def test_a_story_that_is_not_repeatable_is_refused():
    turns = iter(range(100))

    def fickle(world: DiskWorld) -> None:
        world.points.step(f"turn {next(turns)}")

    with pytest.raises(ScenarioFailed, match="not repeatable"):
        run_at_every_point(scenario(fickle, lambda world: None), power=False)


def test_a_story_that_swallows_its_death_takes_no_further_step():
    def stubborn(world: DiskWorld) -> None:
        for name in "ab":
            try:
                world.fs.write_new(ROOT / name, b"1")
            except Died:
                continue

    def nothing_later(world: DiskWorld) -> None:
        names = world.fs.listdir(ROOT)
        assert names in ([], ["a"], ["a", "b"])

    assert run_at_every_point(scenario(stubborn, nothing_later), power=False) == 12


def test_a_dead_process_raises_at_every_later_step():
    points = CrashPoints.armed(2)
    points.step("one")
    for _ in range(3):
        with pytest.raises(Died, match="at step 2, two"):
            points.step("two")
    assert points.died and points.names == ["one", "two"]
    points.disarm()
    points.step("alive again")
    assert points.count == 1


def test_no_except_exception_survives_a_death():
    assert not issubclass(Died, Exception)
