"""Whether an association that opens now is to be logged step by step, because somebody wants the next ones logged.
It must not cost what is no such association more than a look at a file that is not there, once a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from protocol.following import take

LOOK_S = 1.0


class Chosen:
    """Asked from the thread of each association when it opens; never fails."""

    def __init__(
        self, file: Path, now: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._file, self._now, self._monotonic = file, now, monotonic
        self._look_at = float("-inf")  # only once there was no wish

    def __call__(self) -> bool:
        moment = self._monotonic()
        if moment < self._look_at:
            return False
        if take(self._file, self._now()):
            return True
        self._look_at = moment + LOOK_S
        return False
