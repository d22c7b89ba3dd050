"""Files that were made ahead: they have a name and no bytes yet. Plain values; nothing here makes or fills one."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from protocol.fsops import NewFile

MOST_AHEAD = 16  # files; a folder's sync takes about as long as that of a small image's data
MOST_OF_ALL = 512  # of all associations of a process: each holds a file descriptor


class Allowance:
    """How many files may be made ahead, counted over all associations of a process. From any thread."""

    def __init__(self, most: int = MOST_OF_ALL) -> None:
        self._lock = threading.Lock()
        self._left = most

    def take(self, wanted: int) -> int:
        """So many of `wanted` are granted, and have to be given back."""
        with self._lock:
            granted = min(wanted, self._left)
            self._left -= granted
            return granted

    def give_back(self, count: int) -> None:
        with self._lock:
            self._left += count


@dataclass
class Blank:
    """A file that has a name and no bytes yet: making one takes longer than filling it."""

    receipt: bytes
    path: str
    file: NewFile


class Lent(NamedTuple):
    """A file that compiled code may fill; `fd` is -1 if it is still to be made."""

    receipt: bytes
    fd: int


@dataclass
class Batch:
    """Blank files of one folder that were made together. `durable`: so are their names."""

    folder: str
    granted: int = 0
    blanks: deque[Blank] = field(default_factory=deque)
    durable: bool = False
