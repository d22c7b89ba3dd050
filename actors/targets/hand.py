"""A thread for calls that may hang and cannot be given a limit, such as those on a mounted share; one job at a time.
It must not know what a job is; a thread that hangs is left behind, and tells so by itself if it ever gets on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from actors.targets.interface import Alive
from protocol.errors import PeerTimeout

Moved = Callable[[], None]
T = TypeVar("T")
_left_behind: dict[str, threading.Thread] = {}


class GivenUp(Exception):
    """Raised by `moved` inside a job whose caller has given up; the job must end and change nothing more."""


class Hand:
    """For one caller's thread. `place` names what may hang: where a thread still hangs, no further one is risked."""

    def __init__(self, place: str, limit_s: float) -> None:
        """`limit_s`: seconds without a sign of life after which a job is given up."""
        self._place, self._limit_s = place, limit_s
        self._jobs: SimpleQueue[Callable[[Moved], Any] | None] = SimpleQueue()
        self._news: SimpleQueue[tuple[Any, BaseException | None] | None] = SimpleQueue()
        self._given_up = False
        # A daemon: a share that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="target-hand", daemon=True)

    def do(self, job: Callable[[Moved], T], alive: Alive) -> T:
        """Its result, or what it raises. The job calls `moved` whenever it got on, which becomes `alive` here.

        Raises PeerTimeout after `limit_s` without either; this hand is then of no use any more.
        """
        hanging = _left_behind.get(self._place)
        if self._given_up or (hanging is not None and hanging.is_alive()):
            raise PeerTimeout(f"{self._place} still hangs since an earlier attempt")
        if self._thread.ident is None:
            self._thread.start()
        self._jobs.put(job)
        while True:
            try:
                news = self._news.get(timeout=self._limit_s)
            except Empty:
                self._given_up = True
                _left_behind[self._place] = self._thread
                raise PeerTimeout(f"{self._place} does not answer for {self._limit_s:g} s") from None
            alive()
            if news is None:
                continue
            result, error = news
            if error is not None:
                raise error
            return result  # type: ignore[no-any-return]

    def close(self) -> None:
        """Let the thread end; never waits for it."""
        self._jobs.put(None)

    def _moved(self) -> None:
        if self._given_up:
            raise GivenUp
        self._news.put(None)

    def _work(self) -> None:
        while not self._given_up:
            job = self._jobs.get()
            if job is None:
                return
            try:
                self._news.put((job(self._moved), None))
            except BaseException as exc:  # handed over to the caller's thread by do()
                self._news.put((None, exc))
