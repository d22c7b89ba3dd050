"""The lock file by which others see that the web page runs: run/webgui.lock, held = alive, with a heartbeat in it.

The same text as the actors write; it must not be needed for correctness.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from pathlib import Path

from protocol.clock import Clock
from protocol.fsops import Lock, RealFs
from protocol.version import version

BEAT_S = 15.0
LOOK_S = 0.1

log = logging.getLogger(__name__)


class Seat:
    """One per web page process of a node."""

    def __init__(self, folder: Path, name: str, instance: str, clock: Clock) -> None:
        self._path, self._clock = folder / f"{name}.lock", clock
        self._lock: Lock | None = None
        self._fixed = {"pid": os.getpid(), "started": clock.now(), "version": version(), "instance": instance}

    async def take(self, stop: asyncio.Event) -> bool:
        """Wait until the lock is ours: a predecessor may still be on its way out. False: told to stop before."""
        while not stop.is_set():
            self._lock = RealFs().lock(self._path)
            if self._lock is not None:
                self._say("starting")
                return True
            await _pause(stop, LOOK_S)
        return False

    async def stay(self, state: str, stop: asyncio.Event) -> None:
        """Renew the heartbeat until told to stop."""
        while not stop.is_set():
            self._say(state)
            await _pause(stop, BEAT_S)
        self._say("stopping")

    def leave(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _say(self, state: str) -> None:
        assert self._lock is not None
        try:
            self._lock.write(json.dumps({"state": state, **self._fixed, "beat": self._clock.now(), "figures": {}}))
        except OSError as exc:
            # A full disk must not stop the page; the lock itself still shows that we live.
            log.warning("status not written: %s", exc, extra={"action": "status_not_written"})


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        pass
