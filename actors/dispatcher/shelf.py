"""Sessions that a slot keeps open for a moment after a delivery: the next one to the same target need not connect.
It must not send, wait, or keep a session whose target's settings have changed since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actors.targets.interface import Session
from protocol.clock import Clock
from protocol.routing.targets import Target as TargetSettings

MOST_TARGETS = 8  # more at once would be a burden for us and a riddle for them
PATIENCE_S = 1.0  # for ending in order; after that the other sessions are cut off


@dataclass
class _Kept:
    settings: TargetSettings
    sessions: list[Session]
    until: float  # monotonic


class Shelf:
    """At most one entry per target."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    def take(self, target: str, settings: TargetSettings) -> list[Session]:
        """The target's sessions, which are the caller's now; those opened under other settings are closed."""
        kept = self._kept.pop(target, None)
        if kept is None:
            return []
        if kept.settings == settings and kept.until > self._clock.monotonic():
            return kept.sessions
        self._close(kept.sessions)
        return []

    def put(self, target: str, settings: TargetSettings, sessions: Sequence[Session], seconds: float) -> None:
        """Keep them for so long; 0 closes them."""
        self.drop(target)
        if seconds <= 0 or not sessions:
            self._close(sessions)
            return
        self._kept[target] = _Kept(settings, list(sessions), self._clock.monotonic() + seconds)
        if len(self._kept) > MOST_TARGETS:
            self.drop(next(iter(self._kept)))

    def tidy(self) -> float | None:
        """Close those whose time is over; seconds until the next one's is, None if nothing is kept."""
        now = self._clock.monotonic()
        for target in [target for target, kept in self._kept.items() if kept.until <= now]:
            self.drop(target)
        return min((kept.until - now for kept in self._kept.values()), default=None)

    def drop(self, target: str) -> None:
        """Close a target's sessions."""
        kept = self._kept.pop(target, None)
        if kept is not None:
            self._close(kept.sessions)

    def clear(self) -> None:
        """Close all."""
        for target in list(self._kept):
            self.drop(target)

    def _close(self, sessions: Sequence[Session]) -> None:
        """One that does not answer may take seconds, and somebody may wait for this slot."""
        begun = self._clock.monotonic()
        for session in sessions:
            if self._clock.monotonic() - begun < PATIENCE_S:
                session.close()
            else:
                session.abort()
