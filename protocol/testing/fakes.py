"""Stand-ins for what is outside the spool: a target that keeps the books of what it got, and a wire without sockets.
They must misbehave only when told to; each send is an effect, so that a test can die before and after it.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from protocol.effects import NO_EFFECTS, Effects
from protocol.errors import AssociationAborted, PeerTimeout, TargetUnreachable
from protocol.wire.messages import Event
from protocol.wire.nudges import Nudge

SUCCESS = 0x0000  # PS3.7 Annex C
REFUSED = 0xC000
OUT_OF_RESOURCES = 0xA700  # PS3.4 Annex B.2.3


def digest(data: bytes) -> str:
    """What a fake target notes of an image."""
    return hashlib.sha256(data).hexdigest()


@dataclass
class FakeTarget:
    """A target that notes each image it accepted: SOP instance UID -> digests in order of arrival.

    What it does wrong can be changed at any time: `away` (no connection), `hang_at` and `abort_at` (the n-th image
    from now, 1 being the next), `refuse` (SOP instance UID -> status for good or for now), `chokes` (SOP instance UIDs at
    which it aborts, each time).
    """

    name: str
    effects: Effects = NO_EFFECTS
    away: bool = False
    hang_at: int = 0
    abort_at: int = 0
    refuse: dict[str, int] = field(default_factory=dict)
    chokes: set[str] = field(default_factory=set)
    received: dict[str, list[str]] = field(default_factory=dict)
    associations: int = 0

    def connect(self) -> None:
        """Open an association. Raises TargetUnreachable."""
        self.effects.step("target.connect.before")
        if self.away:
            raise TargetUnreachable(f"{self.name} is away")
        self.associations += 1
        self.effects.step("target.connect.after")

    def store(self, sop_instance_uid: str, data: bytes) -> int:
        """Take one image and answer its status. Raises PeerTimeout, AssociationAborted; an aborted image may have been kept."""
        self.effects.step("target.store.before")
        if self._now("hang_at"):
            raise PeerTimeout(f"{self.name} does not answer")
        if sop_instance_uid in self.chokes:
            raise AssociationAborted(f"{self.name} aborted")
        status = self.refuse.get(sop_instance_uid, SUCCESS)
        if status == SUCCESS:
            self.received.setdefault(sop_instance_uid, []).append(digest(data))
        if self._now("abort_at"):
            raise AssociationAborted(f"{self.name} aborted")
        self.effects.step("target.store.after")
        return status

    def _now(self, fault: str) -> bool:
        left: int = getattr(self, fault)
        setattr(self, fault, max(0, left - 1))
        return left == 1

    @property
    def images(self) -> int:
        """How many different images it has."""
        return len(self.received)

    @property
    def repeated(self) -> int:
        """How many images came more than once, counted each time."""
        return sum(len(times) - 1 for times in self.received.values())


class FakeNetwork:
    """Carries nudges between the FakeWires of one world. Told so, it loses, doubles and reorders them: all are legal."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.lose = self.double = self.shuffle = 0.0
        self._wires: list[FakeWire] = []

    def wire(self, *lanes: str, effects: Effects = NO_EFFECTS) -> FakeWire:
        """A wire that hears these lanes (arrivals, offers, events)."""
        made = FakeWire(self, frozenset(lanes), effects)
        self._wires.append(made)
        return made

    def leave(self, wire: FakeWire) -> None:
        if wire in self._wires:
            self._wires.remove(wire)

    def carry(self, nudge: Nudge) -> None:
        for wire in self._wires:
            if nudge.lane not in wire.lanes or self._random.random() < self.lose:
                continue
            for _ in range(2 if self._random.random() < self.double else 1):
                wire.inbox.append(nudge)
            if self._random.random() < self.shuffle:
                self._random.shuffle(wire.inbox)


class FakeWire:
    """Wire without sockets and without waiting: `wait` returns at once what has come."""

    def __init__(self, network: FakeNetwork, lanes: frozenset[str], effects: Effects) -> None:
        self._network = network
        self.lanes = lanes
        self._effects = effects
        self.inbox: deque[Nudge] = deque()
        self.published: list[Event] = []
        self.sent: dict[str, int] = {}

    def wait(self, timeout_s: float) -> list[Nudge]:
        heard = list(self.inbox)
        self.inbox.clear()
        return heard

    def arrived(self, arrival: int, data: Mapping[str, Any] = {}) -> None:
        self._send(Nudge("arrivals", {"arrival": arrival, **data}))

    def offer(self, count: int, data: Mapping[str, Any] = {}) -> None:
        self._send(Nudge("offers", {"count": count, **data}))

    def committed(self) -> None:
        self._send(Nudge("events"))

    def publish(self, event: Event) -> None:
        self._effects.step("wire.publish")
        self.published.append(event)

    def wake(self) -> None:
        self.inbox.append(Nudge("wake"))

    def figures(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        self._network.leave(self)

    def _send(self, nudge: Nudge) -> None:
        self._effects.step(f"wire.{nudge.lane}.before")
        self.sent[nudge.lane] = self.sent.get(nudge.lane, 0) + 1
        self._network.carry(nudge)
        self._effects.step(f"wire.{nudge.lane}.after")
