"""The one write lock of the spool: threads by a threading.Lock, processes by flock on run/spool.write.lock.
SQLite's own busy waiting starves writers, and its checkpoints may not race with writers of other processes
(SQLite before 3.51.3 can lose commits then); so nothing writes or checkpoints without holding this.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil

HELD_TOO_LONG_S = 5.0


class WriteLock:
    """Use as a context manager. Not re-entrant (RuntimeError); order is process lock, then flock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.Lock()
        self._holder: int | None = None  # thread id
        self._fd = -1
        self._pid = os.getpid()

    def __enter__(self) -> WriteLock:
        if self._holder == threading.get_ident():
            raise RuntimeError("the spool's write lock is not re-entrant: a transaction was begun inside a transaction")
        if self._pid != os.getpid():
            raise RuntimeError("the spool was opened before a fork; open it in the process that uses it")
        self._threads.acquire()
        self._holder = threading.get_ident()
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            os.pwrite(self._fd, b"%-10d %-20.3f\n" % (self._pid, time.monotonic()), 0)
        except BaseException:
            self._holder = None
            self._threads.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.pwrite(self._fd, b"%-10d %-20.3f\n" % (0, 0.0), 0)
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        self._holder = None
        self._threads.release()

    def close(self) -> None:
        """Let go of the file; only while nobody in this process holds the lock."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


@dataclass(frozen=True)
class Holder:
    """Who holds the write lock and for how long, in seconds; `stopped` if the process is suspended (SIGSTOP, debugger)."""

    pid: int
    held_s: float
    stopped: bool


def holder(path: Path) -> Holder | None:
    """Look at the lock without touching it. None if nobody holds it."""
    try:
        pid_text, since_text = path.read_text().split()
        pid, since = int(pid_text), float(since_text)
    except (OSError, ValueError):
        return None
    if pid <= 0:
        return None
    try:
        stopped = psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    except psutil.Error:
        return None
    return Holder(pid, max(0.0, time.monotonic() - since), stopped)


def free_from_stopped_holder(path: Path) -> Holder | None:
    """If the lock is held for too long, say by whom; a holder that is suspended is killed, for it would stop the node."""
    found = holder(path)
    if found is None or found.held_s < HELD_TOO_LONG_S or found.pid == os.getpid():
        return None
    if found.stopped:
        os.kill(found.pid, signal.SIGKILL)
    return found
