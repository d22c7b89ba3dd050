"""A disk in memory that several simulated processes share, that can be killed, filled, broken and unplugged.
It must not touch the machine's disk; what it promises is what tests/contract/test_fsops.py asks of RealFs too.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import BinaryIO

from protocol.effects import NO_EFFECTS, Effects
from protocol.errors import DiskFailed, OutOfSpace
from protocol.fsops import Lock, NewFile, Room
from protocol.testing.crash import Died
from protocol.testing.simnodes import SimFile, power_cut
from protocol.testing.simtree import SimTree, check_replaceable


class SimDisk(SimTree):
    """The disk with the processes that use it. Safe to use from threads."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._processes: dict[str, SimFs] = {}

    def process(self, name: str, effects: Effects = NO_EFFECTS) -> SimFs:
        """The file operations of a process called `name`; it replaces a killed one of that name."""
        with self.mutex:
            if name in self._processes:
                raise ValueError(f"process {name} is still alive")
            self._processes[name] = SimFs(self, name, effects)
            return self._processes[name]

    def kill(self, name: str) -> None:
        """End a process as kill -9 does: its locks are free, its files useless, what it wrote is visible."""
        with self.mutex:
            fs = self._processes.pop(name, None)
            if fs is None:
                return
            fs.alive = False
            for node in self.nodes:
                if isinstance(node, SimFile) and isinstance(node.holder, SimLock) and node.holder.fs is fs:
                    node.holder = None

    def sync(self) -> None:
        """Make everything durable, as the `sync` command does."""
        with self.mutex:
            for node in self.nodes:
                if isinstance(node, SimFile):
                    node.sync()
                else:
                    node.settle(len(node.pending))

    def power_cut(self, random: Random) -> None:
        """Kill everybody and keep a legal remainder of what was not synced; afterwards all that is left is durable."""
        with self.mutex:
            for name in list(self._processes):
                self.kill(name)
            self.nodes = power_cut(self.top, self.nodes, random)


class SimFs:
    """FsOps of one simulated process. Every operation that changes something is an effect with a step around it."""

    def __init__(self, disk: SimDisk, name: str, effects: Effects) -> None:
        self.disk, self.name, self.effects = disk, name, effects
        self.alive = True

    def step(self, name: str) -> None:
        """Tell the watcher. Raises Died if this process is dead."""
        self.check_alive()
        self.effects.step(name)

    def check_alive(self) -> None:
        if not self.alive:
            raise Died(f"process {self.name} is dead")

    @contextmanager
    def effect(self, name: str) -> Iterator[SimDisk]:
        """Around a change."""
        self.step(f"fs.{name}.before")
        with self.disk.mutex:
            yield self.disk
        self.step(f"fs.{name}.after")

    @contextmanager
    def look(self) -> Iterator[SimDisk]:
        """Around a look: no effect, as nobody can tell whether the process died before or after it."""
        self.check_alive()
        with self.disk.mutex:
            yield self.disk

    # files

    def create(self, path: Path | str) -> NewFile:
        path = Path(path)
        with self.effect("create") as disk:
            return SimNewFile(self, path, disk.new_file(path))

    def write_new(self, path: Path, data: bytes) -> None:
        file = self.create(path)
        file.write(data)
        file.sync()
        file.close()

    def read_bytes(self, path: Path) -> bytes:
        with self.look() as disk:
            return bytes(disk.file(path).data)

    def open_read(self, path: Path) -> BinaryIO:
        with self.look() as disk:
            return SimReader(self, bytes(disk.file(path).data))

    def size(self, path: Path) -> int:
        with self.look() as disk:
            return len(disk.file(path).data)

    def exists(self, path: Path) -> bool:
        with self.look() as disk:
            try:
                return disk.find(path) is not None
            except NotADirectoryError:
                return False

    def unlink(self, path: Path | str) -> None:
        path = Path(path)
        with self.effect("unlink") as disk:
            node = disk.file(path)
            disk.folder(path.parent).change({path.name: None})
            disk.give_back(node)

    # names

    def rename(self, source: Path | str, target: Path | str) -> None:
        source, target = Path(source), Path(target)
        with self.effect("rename") as disk:
            node, old_home, new_home = disk.at(source), disk.folder(source.parent), disk.folder(target.parent)
            before = new_home.entries.get(target.name)
            if before is node:
                return
            check_replaceable(node, before, target)
            if old_home is new_home:
                old_home.change({source.name: None, target.name: node})
            else:
                added = new_home.change({target.name: node})
                old_home.change({source.name: None}, needs=added)
            disk.give_back(before)

    def link(self, source: Path, target: Path) -> None:
        with self.effect("link") as disk:
            node, home = disk.file(source), disk.folder(target.parent)
            if target.name in home.entries:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
            home.change({target.name: node})

    # folders

    def makedirs(self, path: Path) -> list[Path]:
        with self.look() as disk:
            missing = [at for at in (path, *path.parents) if at.is_relative_to(disk.root) and disk.find(at) is None]
            if not missing:
                disk.folder(path)
        return [self._mkdir(folder) for folder in reversed(missing)]

    def _mkdir(self, path: Path) -> Path:
        with self.effect("makedirs") as disk:
            disk.new_folder(path)
        return path.parent

    def rmdir(self, path: Path) -> None:
        with self.effect("rmdir") as disk:
            if disk.folder(path).entries:
                raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(path))
            disk.folder(path.parent).change({path.name: None})

    def sync_file(self, path: Path) -> None:
        with self.effect("sync_file") as disk:
            node = disk.file(path)
            if disk.sync_fails(path):
                node.sync_failed = True
                raise DiskFailed(f"simulated disk: sync of {path.name} failed")
            node.sync()
            node.data = bytearray(node.durable)  # what is read comes from the disk now

    def sync_dir(self, path: Path) -> None:
        with self.effect("sync_dir") as disk:
            folder = disk.folder(path)
            if disk.sync_fails(path):
                raise DiskFailed(f"simulated disk: sync of folder {path.name} failed")
            folder.settle(len(folder.pending))

    def listdir(self, path: Path) -> list[str]:
        with self.look() as disk:
            return sorted(disk.folder(path).entries)

    def room(self, path: Path) -> Room:
        with self.look() as disk:
            disk.at(path)
            return disk.room()

    # locks

    def lock(self, path: Path) -> Lock | None:
        with self.effect("lock") as disk:
            node = disk.new_file(path) if disk.find(path) is None else disk.file(path)
            if node.holder is not None:
                return None
            lock = SimLock(self, node)
            node.holder = lock
            return lock

    def is_locked(self, path: Path) -> bool:
        with self.look() as disk:
            node = disk.find(path)
            return isinstance(node, SimFile) and node.holder is not None

    def lock_text(self, path: Path) -> str:
        with self.look() as disk:
            return bytes(disk.file(path).data).decode(errors="replace") if disk.find(path) is not None else ""


class SimNewFile:
    """See NewFile. A write has a step in its middle too: a process can die with half of it done."""

    def __init__(self, fs: SimFs, path: Path, node: SimFile) -> None:
        self._fs, self._path, self._node = fs, path, node
        self._open = True

    def write(self, data: bytes | memoryview) -> None:
        self._check_open()
        data = bytes(data)
        half = (len(data) + 1) // 2
        with self._fs.effect("write") as disk:
            self._append(disk, data[:half])
            if half < len(data):
                self._fs.step("fs.write.middle")
                self._append(disk, data[half:])

    def write_all(self, parts: Sequence[bytes | memoryview]) -> None:
        self.write(b"".join(bytes(part) for part in parts))

    def write_at(self, offset: int, data: bytes) -> None:
        """Over what is there; torn in the middle it leaves the first half new."""
        self._check_open()
        half = len(data) // 2
        with self._fs.effect("write_at"):
            self._node.data[offset : offset + half] = data[:half]
            self._fs.step("fs.write_at.middle")
            self._node.data[offset + half : offset + len(data)] = data[half:]

    def _append(self, disk: SimDisk, data: bytes) -> None:
        fits = disk.take_bytes(len(data))
        self._node.data += data[:fits]
        if fits < len(data):
            raise OutOfSpace("simulated disk: full")

    def sync(self) -> None:
        self._check_open()
        with self._fs.effect("sync") as disk:
            if disk.sync_fails(self._path):
                self._node.sync_failed = True
                raise DiskFailed(f"simulated disk: sync of {self._path.name} failed")
            self._node.sync()

    def has_name(self) -> bool:
        self._check_open()
        with self._fs.look():
            return self._node.links > 0

    def close(self) -> None:
        self._open = False

    def _check_open(self) -> None:
        self._fs.check_alive()
        if not self._open:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))


class SimReader(io.BytesIO):
    """An open file; worthless once its process is dead."""

    def __init__(self, fs: SimFs, data: bytes) -> None:
        super().__init__(data)
        self._fs = fs

    def read(self, size: int | None = -1, /) -> bytes:
        self._fs.check_alive()
        return super().read(size)

    def readinto(self, buffer: object, /) -> int:
        self._fs.check_alive()
        return super().readinto(buffer)  # type: ignore[arg-type]


class SimLock:
    """See Lock."""

    def __init__(self, fs: SimFs, node: SimFile) -> None:
        self.fs, self._node = fs, node

    def write(self, text: str) -> None:
        with self.fs.effect("lock_write"):
            self._node.data[:] = text.encode()

    def release(self) -> None:
        with self.fs.effect("release"):
            if self._node.holder is self:
                self._node.holder = None
