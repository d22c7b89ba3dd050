"""Gives back what dead processes held: deliveries of dispatchers' slots, open associations of receivers' workers.
It must not touch what a living process holds; liveness is a lock, never time.
"""

from __future__ import annotations

from typing import Any

from protocol.fsops import FsOps
from protocol.spool import Spool

PARENT_FIRST_S = 10.0  # a living dispatcher buries its own slots: only it can tell that one died alone


class Reaper:
    """Call `round` at start and about once a second."""

    def __init__(self, spool: Spool, fs: FsOps, log: Any) -> None:
        self._spool, self._fs, self._log = spool, fs, log
        self._waiting: dict[str, float] = {}  # dead owner with a living parent -> seen first (monotonic)

    def round(self, now: float) -> dict[str, int]:
        """How many deliveries were given back and how many associations count as aborted."""
        given_back = sum(self._reap(owner) for owner in self._ours(now))
        # The receiver itself forgets its dead workers, after it has adopted their files.
        aborted = sum(self._spool.images.abort_dead(owner) for owner in self._spool.workers.dead("receiver"))
        return {"deliveries_given_back": given_back, "associations_aborted": aborted}

    def living_dispatchers(self) -> int:
        """How many dispatcher processes hold their lock."""
        run = self._spool.places.run
        names = [name for name in self._fs.listdir(run) if name.startswith("dispatcher-") and name.endswith(".lock")]
        return sum(self._fs.is_locked(run / name) for name in names)

    def _ours(self, now: float) -> list[str]:
        dead = self._spool.workers.dead("dispatcher")
        self._waiting = {owner: self._waiting.get(owner, now) for owner in dead if self._parent_lives(owner)}
        return [owner for owner in dead if now - self._waiting.get(owner, float("-inf")) >= PARENT_FIRST_S]

    def _parent_lives(self, owner: str) -> bool:
        """Owners are dispatcher/<instance>-<slot>/<id>; the dispatcher holds run/dispatcher-<instance>.lock."""
        instance = owner.split("/")[1].rpartition("-")[0]
        return bool(instance) and self._fs.is_locked(self._spool.places.run / f"dispatcher-{instance}.lock")

    def _reap(self, owner: str) -> int:
        count = self._spool.deliveries.reap(owner)
        self._log.warning("owner_reaped", owner=owner, given_back=count)
        return count
