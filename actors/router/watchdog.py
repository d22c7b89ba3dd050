"""A thread that sees to it that nobody sits on the spool's write lock; the router's own thread may be waiting for it.
It must not touch the spool: what it found it keeps for the router, which tells it once the lock is free.

It looks each second while anybody takes the lock. Whoever does writes so into its file, and of that the kernel tells: while
nobody does it sleeps, and looks now and then for what the kernel might not have told.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actors.rhythm import QUIET_S, next_at
from actors.watch import Watch
from protocol.spool.writelock import Holder, free_from_stopped_holder, is_held

LOOK_EVERY_S = 1.0


class LockWatchdog:
    """`start`, then ask `found` now and then, `stop` at the end."""

    def __init__(
        self,
        path: Path,
        log: Any,
        wake: Callable[[], None],
        look: Callable[[Path], Holder | None] = free_from_stopped_holder,
    ) -> None:
        self._path, self._log, self._wake, self._look = path, log, wake, look
        self._stop, self._turn = threading.Event(), threading.Event()
        self._watch = Watch([path], self._turn.set)
        self._written = 0  # when the file was, in nanoseconds
        self._mutex = threading.Lock()
        self._found: Holder | None = None
        self._said = 0  # pid that was logged
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look."""
        self._thread = threading.Thread(target=self._run, name="lock-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._turn.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._watch.close()

    def found(self) -> Holder | None:
        """Whoever held the lock for too long since this was last asked."""
        with self._mutex:
            found, self._found = self._found, None
        return found

    def look(self) -> None:
        """One look; kills a holder that is suspended."""
        holder = self._look(self._path)
        if holder is None:
            self._said = 0
            return
        with self._mutex:
            self._found = holder
        if self._said != holder.pid:
            self._said = holder.pid
            self._log.error("write_lock_held", holder=holder.pid, held_s=round(holder.held_s, 1), killed=holder.stopped)
        self._wake()

    def resting(self) -> bool:
        """Whether nobody has taken the lock since this was last asked, nobody holds it, and who takes it next wakes us."""
        try:
            return not self._taken() and self._watch.arm() and not self._taken() and not is_held(self._path)
        except OSError:
            return False

    def _taken(self) -> bool:
        before, self._written = self._written, os.stat(self._path).st_mtime_ns
        return before != self._written

    def _rest(self) -> None:
        now = time.monotonic()
        if not self._turn.wait(next_at(now, QUIET_S) - now) and self._taken():
            self._watch.missed()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                self.look()
                self._turn.clear()
                if self.resting():
                    self._rest()
            except Exception:
                # It must live: without it a suspended process stops the whole node.
                self._log.error("watchdog_failed", exc_info=True)
