"""Settings, outbox and waiting for the tests of the wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from protocol.clock import SystemClock
from protocol.spool.outbox import Cursor
from protocol.wire.messages import Envelope, Event, envelope
from protocol.wire.nudges import Nudge, Wire


@dataclass
class Settings:
    home: Path
    bus: Any = field(default_factory=SimpleNamespace)
    node: str = "test"


class FakeOutbox:
    """The reading side of protocol.spool.outbox over a list."""

    def __init__(self) -> None:
        self.epoch = 1
        self.events: list[Envelope] = []
        self.last = 0

    def record(self, *bodies: Event, time: float = 1000.0, phi: dict[str, Any] | None = None) -> None:
        for body in bodies:
            self.last += 1
            made = envelope(body, source="/test/x/0", time=time + self.last, phi=phi)
            self.events.append(replace(made, epoch=self.epoch, seq=self.last))

    def read(self, after: Cursor, limit: int = 1000) -> list[Envelope]:
        return [one for one in self.events if (one.epoch, one.seq) > tuple(after)][:limit]

    def head(self) -> Cursor:
        return Cursor(self.epoch, self.last)

    def oldest(self) -> Cursor:
        return Cursor(self.events[0].epoch, self.events[0].seq) if self.events else self.head()

    def since(self, time: float) -> Cursor:
        found = next((one for one in self.events if one.time >= time), None)
        return Cursor(found.epoch, found.seq - 1) if found else self.head()


def wait_for(wire: Wire, enough: Callable[[list[Nudge]], bool], timeout_s: float = 10.0) -> list[Nudge]:
    """Collect nudges until `enough` says so; fails after `timeout_s`."""
    clock = SystemClock()
    end = clock.monotonic() + timeout_s
    got: list[Nudge] = []
    while not enough(got):
        assert clock.monotonic() < end, f"only {got} came"
        got += wire.wait(0.2)
    return got
