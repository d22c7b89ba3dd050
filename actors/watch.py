"""Wakes an actor that looks seldom as soon as somebody commits: the kernel tells of files that change (inotify, Linux).
It must not say what changed, and nothing may rest on it alone: where there is none, actors look each second.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

_MODIFY, _MOVED_TO, _CREATE, _DELETE, _ONESHOT = 0x2, 0x80, 0x100, 0x200, 0x80000000  # linux/inotify.h
_EVENTS = _MODIFY | _MOVED_TO | _CREATE | _DELETE | _ONESHOT
_BYTES = 4096


class Watch:
    """Over files and folders. A change wakes once; then `arm` has to be called again, so that a busy node wakes nobody.

    Args:
        paths: a file's contents, or the names in a folder.
        wake: called from a thread of its own.
    """

    def __init__(self, paths: Sequence[Path], wake: Callable[[], None]) -> None:
        self._paths, self._wake = [os.fsencode(path) for path in paths], wake
        self._libc = _libc()
        self._fd = -1 if self._libc is None else self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread: threading.Thread | None = None
        self._end = -1

    def arm(self) -> bool:
        """Whether the next change of any of them wakes. What changed before is for the caller to find, after this."""
        if self._fd < 0 or self._libc is None:
            return False
        for path in self._paths:
            if self._libc.inotify_add_watch(self._fd, path, _EVENTS) < 0:
                if ctypes.get_errno() == errno.ENOENT:
                    return False  # not there yet
                self.close()  # as many as this user may have
                return False
        if self._thread is None:
            self._end = os.eventfd(0, os.EFD_CLOEXEC)
            self._thread = threading.Thread(target=self._listen, name="watch", daemon=True)
            self._thread.start()
        return True

    def close(self) -> None:
        """Wake nobody any more. More than once is allowed."""
        if self._thread is not None:
            os.eventfd_write(self._end, 1)
            self._thread.join()
            os.close(self._end)
            self._thread = None
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _listen(self) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        poll.register(self._end, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._end in ready:
                return
            try:
                os.read(self._fd, _BYTES)
            except OSError:
                continue
            self._wake()


def _libc() -> ctypes.CDLL | None:
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.inotify_init1, libc.inotify_add_watch  # noqa: B018
    except (OSError, AttributeError):
        return None
    return libc
