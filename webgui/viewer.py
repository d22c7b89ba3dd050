"""What one live page asked for and has not been sent yet: bounded, and the last value of a field wins.
It must not know the node, nor how frames travel.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from datetime import tzinfo
from typing import Any

Row = dict[str, Any]
MAX_PENDING_ROWS = 2000
MAX_TOLD = 10
"""Toasts that wait; older ones are on their pages anyway."""


class Frame:
    """Something to send, encoded once for all viewers that take it unmerged.

    `kind`: snap (all rows of a topic), d (rows that changed), inv (fetch what shows this topic), event (tell people).
    """

    def __init__(self, kind: str, topic: str, seq: int, data: dict[str, Row | None]) -> None:
        self.kind, self.topic, self.seq, self.data = kind, topic, seq, data
        self._texts: dict[tzinfo | None, str] = {}

    @property
    def text(self) -> str:
        """The frame as JSON, with times in this machine's zone."""
        return self.text_in(None)

    def text_in(self, zone: tzinfo | None) -> str:
        """The frame as JSON, with times in this zone; encoded once for all viewers in it."""
        if zone not in self._texts:
            fields: dict[str, Any] = {"t": self.kind}
            if self.kind == "event":
                fields |= self.data
            elif self.kind == "inv":
                fields |= {"topic": self.topic, "seq": self.seq}
            else:
                fields |= {"topic": self.topic, "seq": self.seq, "d": self.data}
            self._texts[zone] = json.dumps(
                fields, ensure_ascii=False, separators=(",", ":"), default=lambda moment: moment.text(zone)
            )
        return self._texts[zone]

    def then(self, later: Frame) -> Frame:
        """Both changes as one."""
        data = dict(self.data)
        for key, row in later.data.items():
            former = data.get(key)
            data[key] = {**former, **row} if former and row is not None else row
        return Frame(self.kind, self.topic, later.seq, data)


class Viewer:
    """One live page."""

    def __init__(self, zone: tzinfo | None = None) -> None:
        """`zone`: in which times are told; None: this machine's."""
        self._zone = zone
        self.wake = asyncio.Event()
        self._topics: frozenset[str] = frozenset()
        self._marks: frozenset[str] = frozenset()
        self._tell = False
        self._pending: dict[str, Frame] = {}
        self._stale: dict[str, Frame] = {}
        self._told: deque[Frame] = deque(maxlen=MAX_TOLD)
        self._snapshot_due = self._overflown = False

    @property
    def watching(self) -> bool:
        """Whether it wants anything now."""
        return bool(self._topics or self._marks or self._tell)

    def subscribe(self, topics: frozenset[str], marks: frozenset[str] = frozenset(), *, tell: bool = False) -> None:
        """Send rows of `topics` from now on, beginning with snapshots; say when what `marks` name changed; `tell` events.

        Nothing of all: pause.
        """
        self._topics, self._marks, self._tell = topics, marks, tell
        self._snapshot_due = bool(topics)
        self._forget()
        self.wake.set()

    def offer(self, frames: list[Frame]) -> None:
        """Take changes. Never blocks and never grows beyond its bound."""
        for frame in frames:
            if frame.kind == "inv":
                if frame.topic in self._marks:
                    self._stale[frame.topic] = frame
            elif frame.kind == "event":
                if self._tell:
                    self._told.append(frame)
            elif frame.topic in self._topics and not self._snapshot_due:
                held = self._pending.get(frame.topic)
                self._pending[frame.topic] = held.then(frame) if held else frame
        if sum(len(frame.data) for frame in self._pending.values()) > MAX_PENDING_ROWS:
            self._pending.clear()
            self._snapshot_due = self._overflown = True
        if self._pending or self._stale or self._told or self._snapshot_due:
            self.wake.set()

    def take(self, snapshot: Callable[[frozenset[str]], list[Frame]]) -> list[str]:
        """What to send now, in order. `snapshot` makes the frames of topics as they are now."""
        self.wake.clear()
        frames = [*self._pending.values(), *self._stale.values(), *self._told]
        texts = ['{"t":"resync"}'] if self._overflown else []
        if self._snapshot_due:
            frames = [*snapshot(self._topics), *frames]
            self._snapshot_due = self._overflown = False
        self._forget()
        return texts + [frame.text_in(self._zone) for frame in frames]

    def _forget(self) -> None:
        self._pending, self._stale = {}, {}
        self._told.clear()
