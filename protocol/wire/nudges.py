"""What actors see of the messages between them: nudges, the interface Wire, and the wire without any socket.
It knows no sockets; nothing here may ever be needed for correctness, since every nudge may be lost.
"""

from __future__ import annotations

import logging
import os
import select
from collections import Counter
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Protocol

from protocol.records import record
from protocol.wire.messages import Event

log = logging.getLogger(__name__)


@record
class Nudge:
    """A reason to look at the spool now: lane arrivals, offers, events or wake (for the bus also its own lanes)."""

    lane: str
    data: Mapping[str, Any] = field(default_factory=dict)


class Wire(Protocol):
    """The nudges of one actor. `wait` and `close` belong to the thread that connected; all else may come from any."""

    def wait(self, timeout_s: float) -> list[Nudge]:
        """Wait for nudges, at most `timeout_s` seconds, and take all that are there."""

    def arrived(self, arrival: int, data: Mapping[str, Any] = {}) -> None:
        """Tell the router that an arrival changed; never blocks, may be lost."""

    def offer(self, count: int, data: Mapping[str, Any] = {}) -> None:
        """Tell up to `count` dispatchers that there is work."""

    def committed(self) -> None:
        """Tell the bus that the outbox has new events."""

    def publish(self, event: Event) -> None:
        """Send an event that is not recorded (`tmp.`, `sys.`)."""

    def wake(self) -> None:
        """Make `wait` return; for other threads and signal handlers."""

    def figures(self) -> dict[str, float]:
        """What was dropped or not understood since the start, for the heartbeat."""

    def close(self) -> None:
        """End; a second call does nothing."""


class Bell:
    """Wakes a poll from another thread or a signal handler: an eventfd, because locks cannot be used there."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def ring(self) -> None:
        if self.fd >= 0:
            try:
                os.eventfd_write(self.fd, 1)
            except BlockingIOError:
                pass  # it rings already

    def clear(self) -> None:
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            pass  # it did not ring

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


class Complaints:
    """Counts what was not understood and warns the 1st, 2nd, 4th, 8th ... time: a flood must not fill the log."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, what: str, why: str) -> None:
        """`what` is a fixed word (it becomes a figure's name), `why` the detail without any payload."""
        self.counts[what] += 1
        number = self.counts[what]
        if number & (number - 1) == 0:
            log.warning("message ignored: %s (%s, number %d)", why, what, number, extra={"action": f"wire.{what}"})


class NoWire:
    """The system without messages (`--no-bus`): everybody finds everything by looking; only `wake` works."""

    def __init__(self) -> None:
        self._bell = Bell()
        self._poll = select.poll()
        self._poll.register(self._bell.fd, select.POLLIN)

    def wait(self, timeout_s: float) -> list[Nudge]:
        if self._bell.fd < 0 or not self._poll.poll(max(0.0, timeout_s) * 1000):
            return []
        self._bell.clear()
        return [Nudge("wake")]

    def arrived(self, arrival: int, data: Mapping[str, Any] = {}) -> None:
        return

    def offer(self, count: int, data: Mapping[str, Any] = {}) -> None:
        return

    def committed(self) -> None:
        return

    def publish(self, event: Event) -> None:
        return

    def wake(self) -> None:
        self._bell.ring()

    def figures(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        self._bell.close()
