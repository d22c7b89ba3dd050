"""Slots of a node in memory: what they send takes time, and meanwhile others work; they can be told to stop.
It judges nothing but what only a slot can see (`violations`); node_checks reads them.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from actors.dispatcher.working import Slot
from protocol.routing.versions import RoutingVersions
from protocol.spool import Spool
from tests.dispatcher.dispatcher_fakes import FakeConnection

if TYPE_CHECKING:
    from tests.crash.node_in_memory import Node

MORE_SLOTS = ("slot-1", "slot-2")  # of further dispatcher instances, where a test wants them
SEND_S = 0.06  # so that a group of confirmed images (100 ms) is two images


class NoLog:
    def __getattr__(self, level: str) -> Any:
        return lambda action, **more: None


class SlotEffects:
    """What a target sees of the slot: its steps are those of the slot that lives now."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def step(self, name: str) -> None:
        self._node.effects[self._node.at_work].step(name)


class SlowConnection(FakeConnection):
    """Takes its time for each image; other slots work meanwhile."""

    def __init__(self, node: Node, name: str, fake: Any, fs: Any) -> None:
        super().__init__(fake, fs)
        self._node, self._name = node, name

    def send(self, image: Any, following: Any = None) -> Any:
        self._node.told_to_stop(self._name)
        answer = super().send(image, following)
        self._node.clock.advance(SEND_S)
        self._node.others_work(self._name)
        return answer


class WatchedSlot(Slot):
    """Tells the node what it holds."""

    node: Node

    def _deliver(self, claim: Any) -> None:
        held = self.node.held
        if claim.delivery in held:
            self.node.violations.append(f"two dispatchers hold delivery {claim.delivery}")
        held.append(claim.delivery)
        try:
            super()._deliver(claim)
        finally:
            held.remove(claim.delivery)


class SlotActor:
    """A slot in the shape of the others."""

    def __init__(self, node: Node, name: str, spool: Spool, versions: RoutingVersions) -> None:
        self._node, self._name = node, name
        instance = name.partition("-")[2] or "0"
        self.worker = spool.workers.enter("dispatcher", f"{instance}-0")
        self._slot = WatchedSlot(
            spool=spool, owner=self.worker.owner, routing=versions, clock=node.clock,
            random=Random(1), log=NoLog(), slots=4 * len(node.slots), stopping=lambda: name in node.stopping,
            make=lambda target: SlowConnection(node, name, node.target(target.called_ae.lower()), spool.fs),
            ask=node.committing.ask_target,
        )  # fmt: skip
        self._slot.node = node

    def one_pass(self, nudges: list[Any]) -> float:
        if self._name in self._node.stopping:
            return 1.0  # it claims nothing more
        before, self._node.at_work = self._node.at_work, self._name
        self._node.busy.add(self._name)
        try:
            return 0.0 if self._slot.run_once() else 1.0
        finally:
            self._node.at_work = before
            self._node.busy.discard(self._name)


class Slots:
    """The part of a node that is about its slots, each of a dispatcher instance of its own."""

    actors: dict[str, Any]
    act: Callable[..., Any]
    revive: Callable[[str], None]
    deliveries: Callable[[], list[dict[str, Any]]]

    def begin_slots(self, dispatchers: int) -> None:
        self.slots = ("slot", *MORE_SLOTS)[:dispatchers]
        self.at_work = "slot"  # whose steps those of a target are
        self.meanwhile: Callable[[], None] | None = None  # happens once, while a slot waits for its target
        self.busy: set[str] = set()  # slots in the middle of a pass
        self.held: list[int] = []  # deliveries that slots work on now
        self.violations: list[str] = []
        self.stopping: set[str] = set()
        self.stop_after: dict[str, int] = {}  # a slot is told to stop while it sends its n-th image from now

    def others_work(self, name: str) -> None:
        """While one slot waits for its target, the next one that is free does something."""
        what, self.meanwhile = self.meanwhile, None
        if what is not None:
            what()
        at = self.slots.index(name)
        for other in self.slots[at + 1 :] + self.slots[:at]:
            if other in self.actors and other not in self.busy:
                self.act(other, lambda other=other: self.actors[other].one_pass([]))
                return

    def told_to_stop(self, name: str) -> None:
        """Before a slot sends an image: is it told to stop during this one, and was it told so before?"""
        if name in self.stopping:
            self.violations.append(f"{name} sent one more image after it was told to stop")
        left = self.stop_after.pop(name, 0)
        if left == 1:
            self.stopping.add(name)
        elif left:
            self.stop_after[name] = left - 1

    def _end_stopped(self) -> None:
        """Who was told to stop has finished or handed back, and ends; another one is started in its place."""
        for name in sorted(self.stopping - self.busy):
            worker = self.actors[name].worker
            if any(row["owner"] == worker.owner for row in self.deliveries()):
                self.violations.append(f"{name} ended with a delivery in its hands")
            self.act(name, worker.leave)
            self.stopping.discard(name)
            self.revive(name)
