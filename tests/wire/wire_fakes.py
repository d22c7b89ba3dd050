"""Node, outbox and waiting for the tests of the wire: real sockets and a real bus actor, a list as outbox."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import structlog

from actors.base import Context
from actors.bus import BusActor
from protocol.clock import SystemClock
from protocol.fsops import RealFs
from protocol.settings import Settings, load_settings
from protocol.wire.bus import HubWire, Nudge, Wire, connect_wire
from protocol.wire.events import RuleFailed
from protocol.wire.messages import Envelope, Event, envelope
from protocol.wire.replay import Place


def settings_of(home: Path, **bus: str) -> Settings:
    return load_settings(home, {f"bus.{key}": value for key, value in bus.items()}, {})


def fact(number: int = 0) -> Event:
    """Some recorded event."""
    return RuleFailed("r", number, 1, "x")


class FakeOutbox:
    """The reading side of protocol.spool.outbox over a list."""

    def __init__(self) -> None:
        self.epoch = 1
        self.events: list[Envelope] = []
        self.last = 0

    def record(self, *bodies: Event, phi: dict[str, Any] | None = None) -> None:
        for body in bodies:
            self.last += 1
            made = envelope(body, source="/test/x/0", time=1000.0 + self.last, phi=phi)
            self.events.append(replace(made, epoch=self.epoch, seq=self.last))

    def read(self, after: Any, limit: int = 1000) -> list[Envelope]:
        return [one for one in self.events if (one.epoch, one.seq) > tuple(after)][:limit]

    def head(self) -> Place:
        return Place(self.epoch, self.last)

    def oldest(self) -> Place:
        return Place(self.events[0].epoch, self.events[0].seq) if self.events else self.head()

    def since(self, time: float) -> Place:
        found = next((one for one in self.events if one.time >= time), None)
        return Place(found.epoch, found.seq - 1) if found else self.head()


class BusNode:
    """A bus actor that works whenever a test waits."""

    def __init__(self, settings: Settings, outbox: Any) -> None:
        self.settings, self.outbox = settings, outbox
        self.begin()

    def begin(self) -> None:
        wire = connect_wire("bus", "0", self.settings, "/test/bus/0")
        assert isinstance(wire, HubWire)
        self.wire = wire
        mark = SimpleNamespace(mark=lambda: self.outbox.head().seq)
        spool: Any = SimpleNamespace(outbox=self.outbox, stillness=mark)
        routing: Any = None
        log = structlog.get_logger()
        clock = SystemClock()
        self.actor = BusActor(Context(self.settings, spool, routing, wire, clock, random.Random(1), RealFs(), "0", log))
        self.actor.start()

    def turn(self, timeout_s: float = 0.02) -> list[Nudge]:
        nudges = self.wire.wait(timeout_s)
        while self.actor.one_pass(nudges) == 0:
            nudges = []
        return nudges

    def restart(self) -> None:
        self.wire.close()
        self.begin()


def until(ready: Callable[[], bool], *turns: Callable[[], Any], timeout_s: float = 60.0) -> None:
    """Take turns until `ready`; fails after `timeout_s`."""
    clock = SystemClock()
    end = clock.monotonic() + timeout_s
    while not ready():
        assert clock.monotonic() < end, "it did not come"
        for turn in turns:
            turn()


def collect(wire: Wire, enough: Callable[[list[Nudge]], bool], *turns: Callable[[], Any]) -> list[Nudge]:
    """Nudges of a wire until `enough` says so, while others take turns."""
    got: list[Nudge] = []
    until(lambda: enough(got), *turns, lambda: got.extend(wire.wait(0.02)))
    return got


@contextmanager
def closing(*wires: Any) -> Iterator[None]:
    try:
        yield
    finally:
        for wire in wires:
            wire.close()


class RunningBus:
    """A bus actor in a thread of its own."""

    def __init__(self, settings: Settings, outbox: Any) -> None:
        self.settings, self.outbox = settings, outbox
        self.node: BusNode | None = None
        self._stop = threading.Event()

    def __enter__(self) -> RunningBus:
        self._stop.clear()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._live, args=(ready,))
        self._thread.start()
        assert ready.wait(60)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _live(self, ready: threading.Event) -> None:
        self.node = BusNode(self.settings, self.outbox)
        with closing(self.node.wire):
            ready.set()
            while not self._stop.is_set():
                self.node.turn()

    def record(self, *bodies: Event) -> None:
        """Record and nudge, as a committing actor does."""
        self.outbox.record(*bodies)
        if self.node is not None:
            self.node.wire.committed()
