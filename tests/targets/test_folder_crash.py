"""A folder target dies at each effect, by kill and by power cut: what it answered for is there whole, nothing is there torn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from actors.targets.folder import FolderTarget
from protocol.spool.images import ImageFile
from protocol.testing.crash import CrashPoints, Scenario, run_at_every_point
from protocol.testing.simfs import SimDisk, SimFs
from tests.targets.battery import dataset_of, quiet, spool_image
from tests.targets.folder_peers import folder_settings

COUNT = 3


class Share:
    """A share on a simulated disk, and images of a spool on the real one."""

    def __init__(self, home: Path) -> None:
        self.points = CrashPoints()
        self.top = home / "disk" / "share"
        self.disk = SimDisk(home / "disk")
        self.disk.process("somebody").makedirs(self.top)
        self.disk.kill("somebody")
        self.disk.sync()
        self.images = [spool_image(home, number, bytes([number]) * 500) for number in range(1, COUNT + 1)]
        self.answered: list[ImageFile] = []
        self.restart()

    def target(self) -> FolderTarget:
        return FolderTarget(folder_settings(self.top, done=".done"), self.fs)

    def restart(self) -> None:
        self.fs: SimFs = self.disk.process("slot", self.points)

    def kill(self) -> None:
        self.disk.kill("slot")

    def power_cut(self, random: Random) -> None:
        self.disk.power_cut(random)

    def close(self) -> None:
        return

    def files(self) -> dict[str, bytes]:
        """All files by their last name."""
        found: dict[str, bytes] = {}
        folders = [self.top]
        for folder in folders:
            for name in self.fs.listdir(folder):
                try:
                    found[name] = self.fs.read_bytes(folder / name)
                except IsADirectoryError:
                    folders.append(folder / name)
        return found


def deliver(share: Share) -> None:
    target = share.target()
    session = target.open(share.images, quiet)
    try:
        for image in share.images:
            assert session.send(image).ok
            share.answered.append(image)
    finally:
        session.close()
    target.finish(share.images, quiet)


def check(share: Share) -> None:
    found = share.files()
    expected = {f"{image.sop_instance_uid}.dcm": dataset_of(image) for image in share.images}
    for name, data in found.items():
        if name.endswith(".dcm"):
            assert data.endswith(expected[name]), f"{name} is torn"
    assert {f"{image.sop_instance_uid}.dcm" for image in share.answered} <= set(found), "lost what was answered for"
    assert ".done" not in found or len([name for name in found if name.endswith(".dcm")]) == COUNT
    share.answered.clear()
    deliver(share)
    share.kill()
    share.power_cut(Random(1))  # what was there already is as durable as what was written now
    share.restart()
    # Markers of dead attempts may be left, images are not.
    assert set(share.files()) - {name for name in share.files() if name.startswith("..done")} == {*expected, ".done"}


def worlds(home: Path) -> Callable[[int], Share]:
    def make(seed: int) -> Share:
        count = len(list(home.iterdir()))
        (home / str(count)).mkdir()
        return Share(home / str(count))

    return make


SCENARIO = "deliver to a folder"


def test_a_kill_at_any_effect_leaves_whole_images_only(tmp_path):
    assert run_at_every_point(Scenario(SCENARIO, worlds(tmp_path), deliver, check), power=False) > 30


def test_a_power_cut_at_any_effect_loses_no_image_that_was_answered_for(tmp_path):
    scenario = Scenario(SCENARIO, worlds(tmp_path), deliver, check)
    assert run_at_every_point(scenario, power=True, seeds=(1, 2)) > 30
