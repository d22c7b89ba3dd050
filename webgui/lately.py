"""Answers that may take long on a large node: worked out in the background, shown as they were a moment ago.
It must not know what is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from protocol.clock import Clock

T = TypeVar("T")
QUICK_S = 0.05
"""What takes no longer is asked anew every time."""
KEPT_S = 60.0


class Lately(Generic[T]):
    """One question; however many ask, it is worked on once at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._task: asyncio.Task[T] | None = None
        self._last: T | None = None
        self._at, self._took = float("-inf"), 0.0

    async def get(self, ask: Callable[[], Awaitable[T]], wait_s: float = QUICK_S) -> T | None:
        """The answer, if it comes within `wait_s`; else the last one, None if there is none yet. Raises what `ask` raises."""
        if self._took > QUICK_S and self._clock.monotonic() - self._at < KEPT_S:
            return self._last
        if self._task is None:
            self._task = asyncio.create_task(self._ask(ask))
        task = self._task
        done, _ = await asyncio.wait({task}, timeout=wait_s)
        if not done:
            return self._last
        if self._task is task:
            self._task = None
        return task.result()

    async def _ask(self, ask: Callable[[], Awaitable[T]]) -> T:
        begun = self._clock.monotonic()
        self._last = await ask()
        self._at = self._clock.monotonic()
        self._took = self._at - begun
        return self._last
