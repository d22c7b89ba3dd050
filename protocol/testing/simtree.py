"""The tree of a simulated disk: finds and makes what is at a path, knows how much room is left and what shall fail.
It knows nothing of processes; callers hold the mutex.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from threading import RLock

from protocol.errors import OutOfSpace
from protocol.fsops import Room
from protocol.testing.simnodes import Node, SimFile, SimFolder

PLENTY = Room(10**12, 10**9)


class SimTree:
    """Files and folders below `root`, which is there and durable from the start."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mutex = RLock()
        self.top = SimFolder(0)
        self.nodes: list[Node] = [self.top]
        self._made = 0
        self._bytes_left: int | None = None
        self._inodes_left: int | None = None
        self._room: Room | None = None
        self._sync_faults: list[tuple[str, int]] = []

    # faults

    def fill_after(self, bytes_left: int, inodes_left: int | None = None) -> None:
        """Have room for so many bytes (and inodes) more; the write beyond is cut short and raises OutOfSpace.

        Removing a file's last name gives its room back.
        """
        self._bytes_left, self._inodes_left = bytes_left, inodes_left

    def empty(self) -> None:
        """Have plenty of room again."""
        self._bytes_left = self._inodes_left = self._room = None

    def set_room(self, room: Room) -> None:
        """Answer `room` so, whatever is written."""
        self._room = room

    def fail_sync(self, part_of_path: str = "", *, after: int = 0) -> None:
        """Let the next sync of a file or folder whose path contains this fail, and its unsynced data be lost.

        `after` so many that still succeed.
        """
        self._sync_faults.append((part_of_path, after))

    # room

    def room(self) -> Room:
        if self._room is not None:
            return self._room
        if self._bytes_left is None:
            return PLENTY
        return Room(self._bytes_left, PLENTY.inodes if self._inodes_left is None else self._inodes_left)

    def take_bytes(self, wanted: int) -> int:
        """How many of `wanted` bytes still fit."""
        if self._bytes_left is None:
            return wanted
        given = min(wanted, self._bytes_left)
        self._bytes_left -= given
        return given

    def give_back(self, node: Node | None) -> None:
        """`node` may have lost its last name."""
        if isinstance(node, SimFile) and node.links == 0 and self._bytes_left is not None:
            self._bytes_left += len(node.data)

    def sync_fails(self, path: Path) -> bool:
        for number, (part, after) in enumerate(self._sync_faults):
            if part in str(path):
                self._sync_faults[number] = (part, after - 1)
                if after == 0:
                    del self._sync_faults[number]
                    return True
        return False

    def _number(self) -> int:
        """Number of a new inode. Raises OutOfSpace."""
        if self._inodes_left is not None:
            if self._inodes_left <= 0:
                raise OutOfSpace("simulated disk: no inodes left")
            self._inodes_left -= 1
        self._made += 1
        return self._made

    # paths

    def find(self, path: Path) -> Node | None:
        """What is at `path`. Raises NotADirectoryError if a file stands where a folder must."""
        node: Node | None = self.top
        for name in path.relative_to(self.root).parts:
            if isinstance(node, SimFile):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
            node = node.entries.get(name) if node is not None else None
        return node

    def at(self, path: Path) -> Node:
        node = self.find(path)
        if node is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return node

    def file(self, path: Path) -> SimFile:
        node = self.at(path)
        if isinstance(node, SimFolder):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        return node

    def folder(self, path: Path) -> SimFolder:
        node = self.at(path)
        if isinstance(node, SimFile):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        return node

    def new_file(self, path: Path) -> SimFile:
        parent = self.folder(path.parent)
        if path.name in parent.entries:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        node = SimFile(self._number())
        self.nodes.append(node)
        parent.change({path.name: node})
        return node

    def new_folder(self, path: Path) -> None:
        """Make one, unless somebody else just did."""
        parent = self.folder(path.parent)
        if path.name not in parent.entries:
            node = SimFolder(self._number())
            self.nodes.append(node)
            parent.change({path.name: node})


def check_replaceable(node: Node, before: Node | None, target: Path) -> None:
    """Raise what a rename onto an unfitting target raises."""
    if isinstance(before, SimFolder) and isinstance(node, SimFile):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if isinstance(before, SimFile) and isinstance(node, SimFolder):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(target))
    if isinstance(before, SimFolder) and before.entries:
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(target))
