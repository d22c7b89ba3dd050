"""A thread that sees to it that nobody sits on the spool's write lock; the router's own thread may be waiting for it.
It must not touch the spool: what it found it keeps for the router, which tells it once the lock is free.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from protocol.spool.writelock import Holder, free_from_stopped_holder

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
        self._stop = threading.Event()
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
        if self._thread is not None:
            self._thread.join(timeout=5)

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

    def _run(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                self.look()
            except Exception:
                # It must live: without it a suspended process stops the whole node.
                self._log.error("watchdog_failed", exc_info=True)
