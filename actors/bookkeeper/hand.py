"""One thread that waits for the database, so that the actor's own thread never does: one job at a time.
It must not know what a job is; a thread that hangs in a database call is left behind at the end of the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Protocol


class Hand(Protocol):
    """Does one job after the other. Only one thread may call."""

    @property
    def busy(self) -> bool:
        """A job is under way."""

    def give(self, job: Callable[[], Any]) -> None:
        """Start a job. There must be none."""

    def take(self) -> Any:
        """The result of the finished job, once; raises what the job raised. None if there was none."""

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the job; False if it is still under way."""


class ThreadHand:
    """A hand of its own thread. `done` is called in that thread after each job."""

    def __init__(self, done: Callable[[], None]) -> None:
        self._done = done
        self._jobs: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        return not self._idle.is_set()

    def give(self, job: Callable[[], Any]) -> None:
        assert self._idle.is_set(), "one job at a time"
        if self._thread is None:
            # A daemon: a database that never answers must not keep the process from ending.
            self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
            self._thread.start()
        self._idle.clear()
        self._jobs.put(job)

    def take(self) -> Any:
        result, error = self._result, self._error
        self._result = self._error = None
        if error is not None:
            raise error
        return result

    def wait(self, timeout_s: float) -> bool:
        return self._idle.wait(timeout_s)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                self._result = job()
            except BaseException as exc:  # handed over to the actor's thread by take()
                self._error = exc
            self._idle.set()
            self._done()


class OwnHand:
    """Does each job at once in the caller's thread: for tests and the simulator, where a death comes through."""

    def __init__(self) -> None:
        self._result: Any = None
        self._error: Exception | None = None

    @property
    def busy(self) -> bool:
        return False

    def give(self, job: Callable[[], Any]) -> None:
        try:
            self._result = job()
        except Exception as exc:
            self._error = exc

    def take(self) -> Any:
        result, error = self._result, self._error
        self._result = self._error = None
        if error is not None:
            raise error
        return result

    def wait(self, timeout_s: float) -> bool:
        return True
