"""Wakes an actor that looks seldom as soon as somebody commits: the kernel tells of files that change (inotify, Linux).
It must not say what changed, and nothing may rest on it alone: where there is none, or where it has been seen to keep
silent, actors look each second.
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
MISSES = 3
"""So often in a row something changed without a word. Once is nothing: the word may be on its way while somebody looks."""


class Watch:
    """Over files and folders. A change wakes once; then `arm` has to be called again, so that a busy node wakes nobody.

    Args:
        paths: a file's contents, or the names in a folder.
        wake: called from a thread of its own.
    """

    def __init__(self, paths: Sequence[Path], wake: Callable[[], None]) -> None:
        self._paths, self._wake = [os.fsencode(path) for path in paths], wake
        self._libc = _libc()
        self._fd = -1  # not before it is needed: a user may have 128 of them, all programs together
        self._thread: threading.Thread | None = None
        self._end = -1
        self._armed = False
        self._misses = 0

    def arm(self) -> bool:
        """Wake at the next change of any of them; whether that was so before already, without a break since then.

        Who asks for the first time must look once more a little later: a commit may have been written before and be seen only
        after its sync.
        """
        if self._libc is None:
            return False
        if self._fd < 0:
            self._fd = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
            if self._fd < 0:
                self.close()
                return False
        for path in self._paths:
            if self._libc.inotify_add_watch(self._fd, path, _EVENTS) < 0:
                if ctypes.get_errno() == errno.ENOENT:
                    return False  # not there yet
                self.close()  # as many as this user may have
                return False
        if self._thread is None and not self._begin():
            self.close()
            return False
        before, self._armed = self._armed, True
        return before

    def missed(self) -> bool:
        """A change was found that nobody was woken for, although it was armed. True: it is deaf, and armed no more.

        A file system may take the order and never tell: one of a network, or one that a program has in hand.
        """
        self._misses += 1
        if self._misses < MISSES:
            return False
        self.close()
        return True

    def _begin(self) -> bool:
        try:
            self._end = os.eventfd(0, os.EFD_CLOEXEC)
            thread = threading.Thread(target=self._listen, name="watch", daemon=True)
            thread.start()
        except (OSError, RuntimeError):  # no descriptor or no thread is left: it goes without
            return False
        self._thread = thread
        return True

    def close(self) -> None:
        """Wake nobody any more. More than once is allowed."""
        thread, self._thread = self._thread, None
        if thread is not None:
            os.eventfd_write(self._end, 1)
            thread.join()
        for fd in (self._end, self._fd):
            if fd >= 0:
                os.close(fd)
        self._end = self._fd = -1
        self._libc = None  # for good

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
            self._armed, self._misses = False, 0
            self._wake()


def _libc() -> ctypes.CDLL | None:
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.inotify_init1, libc.inotify_add_watch  # noqa: B018
    except (OSError, AttributeError):
        return None
    return libc
