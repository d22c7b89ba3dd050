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
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from protocol.records import record

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
        except BaseException:
            self._holder = None
            self._threads.release()
            raise
        self._note(self._pid, time.monotonic())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._note(0, 0.0)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        finally:
            self._holder = None
            self._threads.release()

    def _note(self, pid: int, since: float) -> None:
        """For the watchdog. A disk that refuses even these bytes must not keep the lock from being let go."""
        with suppress(OSError):
            os.pwrite(self._fd, b"%-10d %-20.3f\n" % (pid, since), 0)

    def close(self) -> None:
        """Let go of the file; only while nobody in this process holds the lock."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


@record
class Holder:
    """Who holds the write lock and for how long, in seconds; `stopped` if the process is suspended (SIGSTOP, debugger)."""

    pid: int
    held_s: float
    stopped: bool


def holder(path: Path) -> Holder | None:
    """Look at the lock without touching it. None if nobody holds it."""
    try:
        if not is_held(path):
            return None  # whoever is named there died, and its number may be another process's by now
        pid_text, since_text = path.read_text().split()
        pid, since = int(pid_text), float(since_text)
    except (OSError, ValueError):
        pid, since = 0, 0.0
    if pid > 0 and _exists(pid):
        return Holder(pid, max(0.0, time.monotonic() - since), is_suspended(pid))
    # Between taking the lock and saying so, or between unsaying and letting go: only one stuck there is worth telling.
    pid = _kernel_names(path)
    return Holder(pid, HELD_TOO_LONG_S, True) if pid > 0 and is_suspended(pid) else None


def is_held(path: Path) -> bool:
    """Whether anybody holds the lock. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _exists(pid: int) -> bool:
    import psutil  # 20 ms, and hardly ever anybody holds the lock for long

    return psutil.pid_exists(pid)


def is_suspended(pid: int) -> bool:
    """Is this process stopped, by SIGSTOP or a debugger?"""
    import psutil

    try:
        return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    except psutil.Error:
        return False


def _kernel_names(path: Path) -> int:
    """Who holds the flock as /proc/locks tells it, or 0."""
    try:
        inode = str(path.stat().st_ino)
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()  # 1: FLOCK  ADVISORY  WRITE 4711 08:01:123456 0 EOF
            if words[1] == "FLOCK" and words[3] == "WRITE" and words[5].rpartition(":")[2] == inode:
                return int(words[4])
    except (OSError, ValueError, IndexError):
        pass
    return 0


def free_from_stopped_holder(path: Path) -> Holder | None:
    """If the lock is held for too long, say by whom; a holder that is suspended is killed, for it would stop the node."""
    found = holder(path)
    if found is None or found.held_s < HELD_TOO_LONG_S or found.pid == os.getpid():
        return None
    if found.stopped:
        os.kill(found.pid, signal.SIGKILL)
    return found
