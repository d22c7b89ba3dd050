"""A thread for what nobody waits for: rows of acknowledged images that nobody commits.
It must not decide anything; without it they would be committed later, at the end of each association.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

QUIET_S = 0.02
"""What is left waits for company until so long nothing more came."""
LONGEST_S = 0.06
"""But not longer than this."""


BACK = 5  # nice


def _step_back() -> None:
    """Rows can wait, senders should not: where processors are short, whoever receives comes first."""
    if sys.platform == "linux":  # elsewhere it would be the whole process
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACK)


class Sweeper:
    """Works when asked to.

    Args:
        rows: commit what nobody commits if nothing more came for so many seconds or it has waited for so many; whether more
            waits.
        failed: told what came out of it; the thread then ends.
    """

    def __init__(self, rows: Callable[[float, float], bool], failed: Callable[[BaseException], None], log: Any) -> None:
        self._rows, self._failed, self._log = rows, failed, log
        self._asked = threading.Event()
        self._hurried = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask(self, at_once: bool = False) -> None:
        """There is something to do; from any thread, often. `at_once`: it has company enough."""
        if at_once:
            self._hurried.set()
        if not self._asked.is_set():
            self._asked.set()

    def stop(self) -> None:
        """End after what is under way. More than once is allowed."""
        self._stopping.set()
        self._hurried.set()
        self._asked.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        try:
            _step_back()
            while True:
                self._asked.wait()
                self._hurried.wait(QUIET_S)
                if self._stopping.is_set():
                    return
                self._hurried.clear()
                self._asked.clear()
                if self._rows(QUIET_S, LONGEST_S):
                    self._asked.set()
        except Exception as exc:
            self._log.error("sweeping_failed", error=type(exc).__name__)
            self._failed(exc)
