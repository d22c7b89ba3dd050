"""A whole node in memory: simulated disk, manual clock, seeded chance, crash points, and the real spool over them.
Only the database is a real file, because SQLite's own promises are not ours to simulate; nothing else touches the disk.

A process that dies leaves the database at its last commit. A power cut leaves it there too, unless durability is
"relaxed": then at any commit not older than the last one that was synced.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

from protocol.clock import ManualClock
from protocol.spool import Spool, open_spool
from protocol.spool.places import Places
from protocol.testing.crash import CrashPoints, Died
from protocol.testing.fakes import FakeNetwork, FakeTarget
from protocol.testing.simfs import SimDisk

SOURCE = "/test/node/0"
_EMPTY: list[bytes] = []  # a database as it is made at the moment at which every ManualClock begins


class World:
    """One node below `home`, an empty real folder of its own. `spool` is open until `kill` and after `restart`.

    Durability "early" is "fsync" for worlds that acknowledge an image before its row is committed, as the receiver does.
    """

    def __init__(self, home: Path, seed: int = 1, *, durability: str = "fsync") -> None:
        self.home = home
        self.seed = seed
        self.durability = durability
        self.random = Random(seed)
        self.clock = ManualClock()
        self.points = CrashPoints()
        self.points.on_step = self._note_commit
        self.disk = SimDisk(home)
        self.network = FakeNetwork(Random(seed))
        self.targets: dict[str, FakeTarget] = {}
        self.boots = 1
        self._cut = False  # the power, since the last start
        self._spools: dict[str, Spool] = {}
        self._survivors: list[bytes] = []
        self._places = Places(home)
        for folder in self._places.folders():
            folder.mkdir(parents=True, exist_ok=True)
        self.spool = self._first_open()
        self._make_durable()

    def _first_open(self) -> Spool:
        """Worlds are made by the thousand, and an empty database at one moment is like another: it is made once."""
        if _EMPTY:
            self._places.database.write_bytes(_EMPTY[0])
            return self.open("node", create=True)
        spool = self.open("node", create=True)
        _EMPTY.append(spool.database.snapshot())
        return spool

    def open(self, process: str, *, points: CrashPoints | None = None, create: bool = False) -> Spool:
        """Open the spool in a process of its own; with `points` of its own it can die alone (see `kill_one`)."""
        effects = points or self.points
        fs = self.disk.process(process, effects)
        spool = self._spools[process] = open_spool(
            self.home,
            source=SOURCE,
            fs=fs,
            clock=self.clock,
            durability="relaxed" if self.durability == "relaxed" else "fsync",
            effects=effects,
            create=create,
        )
        return spool

    def target(self, name: str) -> FakeTarget:
        """The target of this name; it outlives everything that happens to the node."""
        return self.targets.setdefault(name, FakeTarget(name, self.points))

    # deaths

    def kill_one(self, process: str) -> None:
        """End one process as kill -9 does; `restart` or `open` starts it again."""
        spool = self._spools.pop(process)
        if self.durability == "relaxed":
            self._survivors.append(spool.database.snapshot())
        # Closing stands for the kernel closing the files: it rolls back what was not committed.
        with suppress(Died):
            spool.database.close()
        self.disk.kill(process)

    def kill(self) -> None:
        """End every process as kill -9 does."""
        for process in list(self._spools):
            self.kill_one(process)

    def power_cut(self, random: Random) -> None:
        """Cut the power: all processes die, of what was not synced a legal part is left."""
        self.kill()
        self.disk.power_cut(random)
        self.boots += 1
        self._cut = True
        if self.durability == "relaxed":
            self._replace_database(random.choice(self._survivors))

    def restart(self) -> None:
        """Open the spool again, without recovering anything but what a node does at the start of its machine."""
        self.spool = self.open("node")
        self.boot()
        self._survivors = [self._survivors[-1]] if self._survivors else []

    def boot(self) -> None:
        """After a power cut: what a node does before any of its actors starts (see maintenance.prepare)."""
        if self._cut:
            self._cut = False
            self.spool.images.unsynced.restore()

    def close(self) -> None:
        """The test is over."""
        self.points.disarm()
        self.points.on_step = None
        self.kill()

    # the database under relaxed durability

    def _note_commit(self, step: str) -> None:
        if self.durability != "relaxed" or "node" not in self._spools:
            return
        if step == "barrier.after":
            self._make_durable()
        elif step == "commit.after":
            self._survivors.append(self.spool.database.snapshot())

    def make_durable(self) -> None:
        """From now on no power cut can take back what happened so far, whatever the durability."""
        self.disk.sync()
        self._make_durable()

    def _make_durable(self) -> None:
        self._survivors = [self.spool.database.snapshot()]

    def _replace_database(self, content: bytes) -> None:
        for path in self._places.database.parent.glob(self._places.database.name + "*"):
            path.unlink()
        self._places.database.write_bytes(content)
        self._survivors = [content]


def worlds(folder: Path, *, durability: str = "fsync") -> Callable[[int], World]:
    """A maker of fresh worlds below `folder`, for a Scenario."""
    made = iter(range(1_000_000))

    def make(seed: int) -> World:
        return World(folder / f"world-{next(made)}", seed, durability=durability)

    return make
