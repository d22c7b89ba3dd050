"""Remembers beyond the router's death which arrival it was working on, so that one that kills its process is found out.
It must not judge an exception (`patience` does); this is for what leaves no exception: no memory, a crash in C code.

One line in run/router.work.lock, written without a sync: it need survive the process only, not the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protocol.fsops import FsOps, Lock

DEATHS = 3


class UnderWay:
    """Without `recover` it remembers nothing."""

    def __init__(self, fs: FsOps, run: Path) -> None:
        self._fs, self._path = fs, run / "router.work.lock"
        self._lock: Lock | None = None
        self._suspect = self._deaths = 0

    def recover(self) -> int:
        """Read what an earlier router left; the arrival that it died with, or 0."""
        at, suspect, deaths = self._read()
        self._suspect, self._deaths = (at, deaths + 1 if at == suspect else 1) if at else (suspect, deaths)
        self._lock = self._fs.lock(self._path)
        self._write(0)
        return at

    def stop(self) -> None:
        """Leave the file to the next router."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def killed_too_often(self, arrival: int) -> bool:
        """Did working on this arrival end its process time and again?"""
        return arrival == self._suspect and self._deaths >= DEATHS

    @contextmanager
    def work(self, arrival: int) -> Iterator[None]:
        """Around everything that is done with the arrival. An exception is no death."""
        self._write(arrival)
        try:
            yield
        except Exception:
            self._write(0)
            raise
        if arrival == self._suspect:
            self._suspect = self._deaths = 0
        self._write(0)

    def _read(self) -> tuple[int, int, int]:
        try:
            at, suspect, deaths = map(int, self._fs.lock_text(self._path).split())
        except ValueError:
            return 0, 0, 0
        return at, suspect, deaths

    def _write(self, at: int) -> None:
        if self._lock is not None:
            self._lock.write(f"{at} {self._suspect} {self._deaths}")
