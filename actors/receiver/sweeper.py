"""A thread for what nobody waits for: rows of acknowledged images that nobody commits, and syncs of their files.
It must not decide anything; without it everything would happen later, at the end of each association.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from protocol.errors import OutOfSpace

AFTER_S = 0.02
"""How long what is left waits for company."""
REST_S = 0.5
"""After so long without further images the copies of synced files go, in a transaction of their own."""


class Sweeper:
    """Works when asked to.

    Args:
        rows: commit what nobody commits and has waited for so many seconds; whether more waits.
        files: sync some files; how many are left.
        last: nothing more has come for a while: finish altogether; repeated if it raises OutOfSpace.
        failed: told what came out of these; the thread then ends.
    """

    def __init__(
        self, rows: Callable[[float], bool], files: Callable[[], int], last: Callable[[], None],
        failed: Callable[[BaseException], None], log: Any,
    ) -> None:  # fmt: skip
        self._rows, self._files, self._last, self._failed, self._log = rows, files, last, failed, log
        self._asked = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask(self) -> None:
        """There is something to do; from any thread, often."""
        if not self._asked.is_set():
            self._asked.set()

    def stop(self) -> None:
        """End after what is under way. More than once is allowed."""
        self._stopping.set()
        self._asked.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        swept = False
        try:
            while True:
                asked = self._asked.wait(REST_S if swept else None)
                if self._stopping.is_set():
                    return
                if asked:
                    self._stopping.wait(AFTER_S)
                    self._asked.clear()
                    if self._sweep():
                        self._asked.set()
                    swept = True
                else:
                    swept = not self._finished()
        except Exception as exc:
            self._log.error("sweeping_failed", error=type(exc).__name__)
            self._failed(exc)

    def _finished(self) -> bool:
        try:
            self._last()
        except OutOfSpace as exc:
            self._log.info("sweeping_later", reason=str(exc))
            return False
        return True

    def _sweep(self) -> bool:
        """One round; whether another one has to follow."""
        more = self._rows(AFTER_S)
        while self._files() and not self._stopping.is_set():
            more = self._rows(AFTER_S)
        return more
