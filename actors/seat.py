"""The lock that lets one process be this actor, and the text in it that tells others how it stands.
It must not decide anything: `life` takes and leaves it. Lock files are never unlinked; held = alive.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from protocol.clock import Clock
from protocol.fsops import FsOps, Lock
from protocol.version import version

STANDBY_LOOK_S = 0.1


class Seat:
    """Either held (`run/<name>.lock` is ours) or waited for (`run/<name>.<pid>.json` says so)."""

    def __init__(self, folder: Path, name: str, instance: str, fs: FsOps, clock: Clock) -> None:
        self._path = folder / f"{name}.lock"
        self._waiting = folder / f"{name}.{os.getpid()}.json"
        self._fs, self._clock = fs, clock
        self._lock: Lock | None = None
        self._fixed = {"pid": os.getpid(), "started": clock.now(), "version": version(), "instance": instance}

    def wait(self, stopping: Callable[[], bool], on_standby: Callable[[], None]) -> bool:
        """Take the lock, as standby if somebody holds it. False: told to stop before it was free."""
        told = False
        try:
            while not stopping():
                self._lock = self._fs.lock(self._path)
                if self._lock is not None:
                    return True
                if not told:
                    self._waiting.write_text(self._text("standby", {}))
                    on_standby()
                    told = True
                time.sleep(STANDBY_LOOK_S)
            return False
        finally:
            if told:
                self._waiting.unlink(missing_ok=True)

    def say(self, state: str, figures: dict[str, float]) -> None:
        """Write state and figures into the lock file. Raises OSError."""
        assert self._lock is not None
        self._lock.write(self._text(state, figures))

    def leave(self) -> None:
        """Give the lock back; a standby takes over."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _text(self, state: str, figures: dict[str, float]) -> str:
        told: dict[str, Any] = {"state": state, **self._fixed, "beat": self._clock.now(), "figures": figures}
        return json.dumps(told)
