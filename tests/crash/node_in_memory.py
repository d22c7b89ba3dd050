"""All actors of a node in one process: simulated disk, clock in hand, targets that keep books, every effect a crash point.
It judges nothing (node_checks does) and replaces only what touches the world: sockets, threads, time.

Each actor is a process of its own: own spool, own locks, own death. With `points.alone` only the process that takes the
armed step dies, and is started again at once, as its supervisor would; otherwise everybody dies with it.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from actors.base import make_context, passes
from actors.bookkeeper.actor import BookkeeperActor
from actors.bookkeeper.hand import OwnHand
from actors.cleaner.actor import CleanerActor
from actors.dicom.service import Peer, StoreRequest
from actors.dicom.statuses import SUCCESS
from actors.receiver.actor import ReceiverActor
from actors.receiver.committer import Ticket
from actors.receiver.counting import Here
from actors.receiver.crew import Alone, AloneNews
from actors.receiver.handler import Handler
from actors.receiver.limits import Limits, Pace
from actors.receiver.ports import Port
from actors.receiver.reception import Means, Reception
from actors.router.actor import RouterActor
from protocol.ledger import compare, record
from protocol.ledger.engine import reader, writer
from protocol.ledger.record import Ledger
from protocol.routing import versions
from protocol.routing.model import RoutingConfiguration
from protocol.routing.parse import build
from protocol.routing.versions import RoutingVersions
from protocol.settings import load_settings
from protocol.spool import Spool
from protocol.spool.commitments import PROMISED
from protocol.spool.images import Receipt, Saved
from protocol.spool.outbox import Cursor
from protocol.testing.crash import CrashPoints, Died
from protocol.testing.images import TestImage
from protocol.testing.spoolworld import TARGETS, Promise, SpoolWorld
from tests.crash.committing import Committing
from tests.crash.node_slots import NoLog, SlotActor, SlotEffects, Slots

NODE = "test"
PROCESSES = ("receiver", "router", "slot", "cleaner", "bookkeeper")
QUIET_S, IDLE_S, RETENTION_H = 5.0, 20.0, 1.0
RETRY = {"first_s": 10.0, "factor": 3.0, "max_s": 1000.0, "max_attempts": 3}
SETTINGS = {
    "router.quiet_s": QUIET_S, "router.idle_s": IDLE_S, "spool.reserve_gb": 0, "spool.reserve2_gb": 0,
    "spool.ballast_mb": 0, "cleaner.window": "always", "cleaner.sweep_s": 1.0,
    "cleaner.retention_delivered_h": RETENTION_H, "cleaner.retention_discarded_h": RETENTION_H,
}  # fmt: skip
# What each revision of the rules says: modality -> targets. No rule names XA.
ROUTES: dict[int, dict[str, tuple[str, ...]]] = {
    1: {"CT": TARGETS, "MR": ("pacs",), "XA": ()},
    2: {"CT": ("archive",), "MR": ("pacs", "research"), "XA": ()},
    3: {"CT": ("archive", "pacs"), "MR": ("pacs",), "XA": ()},
}
COMMITTING = 3  # the revision in which pacs is asked to commit, and KEEP1's images are committed once they are here
CONFIRM_S = 500.0
REPORT = {"host": "10.0.0.1", "port": 104, "report_s": 900.0}
SOURCES = {
    name.lower(): {"calling_ae": name, "commitment": {"policy": policy, **REPORT}}
    for name, policy in (("CT1", "target"), ("MR1", "target"), ("KEEP1", "spool"))
}
MANY_ROUNDS = 120


def make_ledger(folder: Path) -> Path:
    """An empty ledger of today's form, for nodes to copy."""
    path = folder / "ledger.sqlite3"
    ledger = Ledger(f"sqlite:///{path}", NODE)
    ledger.open()
    ledger.close()
    return path


def quick_ledgers(monkeypatch: Any) -> None:
    """Bookkeepers start by the thousand: their ledgers need no migration, and statements are compiled once; so are the rules."""
    monkeypatch.setattr(record, "upgrade_on", lambda connection: None)
    monkeypatch.setattr(record, "writer", cache(writer))
    monkeypatch.setattr(compare, "reader", cache(reader))
    monkeypatch.setattr(versions, "parse", cache(versions.parse))
    monkeypatch.setattr(versions, "build", lambda data, where: built(json.dumps(data), where))


@cache
def built(text: str, where: str) -> RoutingConfiguration:
    """What is written in a version file; it is frozen, so all may have the same."""
    return build(json.loads(text), where)


def routing(revision: int) -> dict[str, Any]:
    """The routing configuration that says ROUTES[revision]."""
    targets: dict[str, dict[str, Any]] = {
        name: {"type": "dicom", "host": "127.0.0.1", "port": 104, "called_ae": name.upper(), "retry": RETRY}
        for name in TARGETS
    }
    if revision == COMMITTING:
        targets["pacs"]["commitment"] = {"wait_s": CONFIRM_S}
    rules = [
        {"name": modality.lower(), "when": f"Modality == '{modality}'", "action": "route", "targets": list(names)}
        for modality, names in ROUTES[revision].items()
        if names
    ]
    return {"targets": targets, "rules": rules, "sources": SOURCES if revision == COMMITTING else {}}


class NodePoints(CrashPoints):
    """The effects of all processes in one count. With `alone` only the process dies that takes the armed step."""

    alone = False
    victim = ""

    def take(self, process: ProcessPoints, name: str) -> None:
        if process.dead:
            raise Died(f"{process.name} is dead")
        if self.alone and self.died:
            return
        try:
            self.step(f"{process.name} {name}")
        except Died:
            self.victim = process.name
            process.dead = self.alone
            raise


class ProcessPoints:
    """Effects of one life of one process."""

    def __init__(self, name: str, points: NodePoints) -> None:
        self.name, self._points = name, points
        self.dead = False

    def step(self, name: str) -> None:
        self._points.take(self, name)


class OwnCommitter:
    """The receiver's committer in the caller's thread: what is acknowledged already is committed two at a time."""

    def __init__(self, commit: Callable[[Sequence[Saved]], list[Receipt]], arrived: Callable[[set[int]], None]) -> None:
        self._commit, self._arrived = commit, arrived
        self._behind: list[Ticket] = []
        self.commits = self.images = 0

    def commit(self, saved: Saved) -> Receipt:
        self._behind.append(Ticket(saved, waits=True))
        receipt = self.commit_rest()
        assert receipt is not None
        return receipt

    def post(self, saved: Saved) -> Ticket:
        ticket = Ticket(saved, waits=False)
        self._behind.append(ticket)
        if len(self._behind) > 1:
            self.commit_rest()
        return ticket

    def wait(self, ticket: Ticket) -> None:
        if not ticket.done:
            self.commit_rest()
        assert ticket.done

    def commit_rest(self) -> Receipt | None:
        """Give what waits its rows; the receipt of the last of them."""
        group, self._behind = self._behind, []
        receipts = self._commit([ticket.saved for ticket in group]) if group else []
        for ticket, receipt in zip(group, receipts, strict=True):
            ticket.receipt = receipt
        stored = {receipt.arrival for receipt in receipts if receipt.outcome == "stored"}
        if stored:
            self._arrived(stored)
        return receipts[-1] if receipts else None


class OwnCrew(Alone):
    """A crew of one without threads."""

    def start(self) -> None:
        self.reception = Reception(self._means, self._instance, AloneNews(self._wire), self._open_now)
        self.reception._sweeper.ask = lambda at_once=False: None  # type: ignore[method-assign]
        images = self._means.spool.images
        self.reception.committer = self.reception.outcomes.committer = OwnCommitter(  # type: ignore[assignment]
            images.commit, self.reception._news.arrived
        )

    def attend(self, now: float) -> None:
        """With what the sweeper does."""
        super().attend(now)
        self.reception.committer.commit_rest()  # type: ignore[union-attr]


class Receiver(ReceiverActor):
    """The receiver without sockets and threads; scanners call its handler."""

    def _make_crew(self) -> OwnCrew:
        context = self.context
        means = Means(context.settings, context.spool, context.routing, context.clock, context.fs, context.log)
        return OwnCrew(means, context.instance, context.wire, Here(Limits(200), Pace(context.clock)))

    def _open(self, number: int, port: Port) -> None:
        return

    def reports_by(self, reporting: Callable[..., Any]) -> Receiver:
        """Reports of storage commitment go out through this, in the caller's thread."""
        self._reporter.without_threads(reporting)
        return self

    @property
    def handler(self) -> Handler:
        assert self.crew.reception is not None  # type: ignore[attr-defined]
        return self.crew.reception.handler  # type: ignore[attr-defined]


class Node(Slots, SpoolWorld):
    """See above. `wanted` is what scanners have to send, `promises` what they were told is safe."""

    def __init__(
        self, home: Path, seed: int = 1, *, ledger: Path, alone: bool = False, dispatchers: int = 1, **settings: Any
    ) -> None:
        """`ledger` is an empty ledger of today's form; a copy beside it is this node's, one node at a time."""
        self.begin_slots(dispatchers)
        self.processes = (*PROCESSES, *self.slots[1:])
        self.points: NodePoints
        self.effects: dict[str, ProcessPoints] = {}
        super().__init__(home, seed)
        self.points = NodePoints()
        self.points.alone = alone
        self.settings = load_settings(home, SETTINGS | settings, environ={})
        self.actors: dict[str, Any] = {}
        self._ledger: Ledger | None = None
        self._wires: dict[str, Any] = {}
        self.ledger_file = ledger.with_name("ledger-in-use.sqlite3")
        for leftover in ledger.parent.glob("ledger-in-use*"):
            leftover.unlink()
        shutil.copyfile(ledger, self.ledger_file)
        self.wanted: list[tuple[TestImage, str]] = []
        self.deaths = 0
        self.may_repeat = 0  # images that a target took before it aborted
        for target in self.targets.values():
            target.effects = SlotEffects(self)
        self.committing = Committing(self)
        self._reopen_person()
        self.publish(1)
        self.start()

    @property
    def url(self) -> str:
        return f"sqlite:///{self.ledger_file}"

    # ---- processes -------------------------------------------------------------------------------------------------
    def _open(self, process: str) -> Spool:
        self.effects[process] = ProcessPoints(process, self.points)
        return self.open(process, points=self.effects[process])  # type: ignore[arg-type]

    def _reopen_person(self) -> None:
        """The process of whoever uses the command line; through its spool tests look, too."""
        if "node" in self._spools:
            self.kill_one("node")
        self.spool = self._open("node")

    def start(self) -> None:
        """Start every process that does not run, in an order drawn from the seed: none may rely on another."""
        order = [name for name in self.processes if name not in self.actors]
        Random(self.seed + self.boots).shuffle(order)
        for name in order:
            self.start_one(name)

    def start_one(self, name: str) -> None:
        """Start one process as its supervisor does: build, recover."""
        spool = self._open(name)
        lanes = {"router": ["arrivals"], "bookkeeper": ["events"]}.get(name, [])
        wire = self._wires[name] = self.network.wire(*lanes, effects=self.effects[name])
        routing = RoutingVersions(spool.places.routing, spool.fs, self.clock)
        context = make_context(self.settings, spool, wire=wire, log=NoLog(), clock=self.clock, fs=spool.fs,
                               rng=Random(1), routing=routing)  # fmt: skip
        spool.on_events(wire.committed)
        if name in self.slots:
            self.actors[name] = SlotActor(self, name, spool, routing)
            return
        if name == "bookkeeper":
            self._ledger = Ledger(self.url, NODE, clock=self.clock, effects=self.effects[name])
            actor: Any = BookkeeperActor(context, ledger=self._ledger, hand=OwnHand())
        else:
            actor = {"receiver": self._receiver, "router": RouterActor, "cleaner": lambda c: CleanerActor(c, UTC)}[
                name
            ](context)
        actor.recover()
        self.actors[name] = actor

    def _receiver(self, context: Any) -> Receiver:
        return Receiver(context).reports_by(self.committing.reporting)

    def kill_one(self, process: str) -> None:
        super().kill_one(process)
        self.actors.pop(process, None)
        if process in self._wires:
            self._wires.pop(process).close()
        if process == "bookkeeper" and self._ledger is not None:
            self._ledger.close()

    def kill(self) -> None:
        if self.points.died and not self.points.alone:
            self.deaths += len(self.slots)  # each may have been in the middle of something
        self.stopping.clear()
        self.at_work, self.meanwhile = "slot", None
        super().kill()

    def restart(self) -> None:
        """The person's process alone; `start` starts the others."""
        self.spool = self._open("node")
        self.boot()

    def act(self, process: str, what: Callable[[], Any]) -> Any:
        """Do what a process does. If it dies alone it is started again, and nothing is returned."""
        try:
            return what()
        except Died:
            if not self.points.alone or self.points.victim != process:
                raise
            self.deaths += 1
            self.revive(process)
            return None

    def revive(self, process: str) -> None:
        """kill -9 one process; its supervisor starts it again."""
        if process == "node":
            self._reopen_person()
            return
        if process in self._spools:
            self.kill_one(process)
        self.start_one(process)

    # ---- scanners ----------------------------------------------------------------------------------------------------
    def scan(self, *images: TestImage, calling_ae: str = "CT1", how: str = "released") -> None:
        """One association. If the receiver dies alone the scanner calls again with what was not acknowledged."""
        self.want(*images, calling_ae=calling_ae)
        self._scan(images, calling_ae, how)

    def want(self, *images: TestImage, calling_ae: str = "CT1") -> None:
        self.wanted += [(image, calling_ae) for image in images]

    def _scan(self, images: Sequence[TestImage], calling_ae: str, how: str = "released") -> None:
        def go() -> bool:
            association = self.call(calling_ae)
            for image in images:
                self.store(association, image, calling_ae)
            self.hang_up(association, calling_ae, how)
            return True

        if not self.act("receiver", go):
            left = self.unacknowledged(calling_ae)
            if left:
                self._scan(left, calling_ae, how)

    def call(self, calling_ae: str) -> bytes:
        """Open an association; its id."""
        self._associations += 1
        association = self._associations.to_bytes(16, "big")
        handler, peer = self.actors["receiver"].handler, self.peer(calling_ae)
        assert handler.requested(peer) is None
        handler.opened(association, peer)
        return association

    def store(self, association: bytes, image: TestImage, calling_ae: str) -> None:
        """One C-STORE; the acknowledgement is an effect, too."""
        data = image.dataset()
        request = StoreRequest(image.sop_class_uid, image.sop_uid, image.transfer_syntax_uid, data, 1)
        status = self.actors["receiver"].handler.store(association, self.peer(calling_ae), request)
        assert status == SUCCESS, f"{status:04X}"
        self.acknowledge(image, calling_ae)
        self.actors["receiver"].handler.rest(association)

    def acknowledge(self, image: TestImage, calling_ae: str) -> None:
        effects = self.effects["receiver"]
        effects.step("acknowledge.before")
        self.promises.append(Promise(image, calling_ae, "stored"))
        effects.step("acknowledge.after")

    def hang_up(self, association: bytes, calling_ae: str, how: str) -> None:
        self.actors["receiver"].handler.closed(association, self.peer(calling_ae), how)

    def peer(self, calling_ae: str) -> Peer:
        return Peer("10.0.0.1", 104, calling_ae, "SCANPOST")

    def unacknowledged(self, calling_ae: str) -> list[TestImage]:
        """What this scanner sent and was not told to be safe, in its order; each time it sends an image counts."""
        safe = Counter(one.image for one in self.promises if one.calling_ae == calling_ae)
        left = []
        for image, sender in self.wanted:
            if sender == calling_ae:
                if not safe[image]:
                    left.append(image)
                safe[image] -= safe[image] > 0
        return left

    def repeat(self) -> None:
        """What was not acknowledged is sent again, in its order, by each scanner in one association."""
        for calling_ae in sorted({calling_ae for _, calling_ae in self.wanted}):
            left = self.unacknowledged(calling_ae)
            if left:
                self._scan(left, calling_ae)

    # ---- people --------------------------------------------------------------------------------------------------------
    def publish(self, revision: int) -> None:
        """Make this revision of the rules current, if it is the next one."""

        def go() -> None:
            known = RoutingVersions(self.spool.places.routing, self.spool.fs, self.clock)
            current = known.current().number
            if current == revision - 1:
                known.publish(built(json.dumps(routing(revision)), "test"), "ann", "because", current)

        self.act("node", go)

    def ask(self, kind: str, **arguments: Any) -> None:
        self.act("node", lambda: self.spool.commands.ask(kind, "ann", arguments))

    def heal(self) -> None:
        """Every target does right from now on."""
        for target in self.targets.values():
            target.away, target.hang_at, target.abort_at = False, 0, 0
            target.refuse.clear()
        self.committing.heal()

    def finish(self) -> bool:
        """Targets are healed, people retry, release and route what waits for them; until nothing is left to do. The node was
        at rest before; whether anybody did anything.
        """
        self.heal()
        released: set[int] = set()
        for round_ in range(5):
            aside = [row for row in self.deliveries() if row["state"] in ("parked", "held")]
            for row in aside:
                self.ask("queue.retry" if row["state"] == "parked" else "queue.release", ids=[row["id"]])
            held = self.arrivals("held")
            for row in held:
                # Still held after its release: the answer was that the rules name no target.
                if row["reason"] == PROMISED or row["id"] in released:
                    self.ask("series.route", arrival=row["id"], target="archive")
                else:
                    self.ask("series.release", arrival=row["id"])
                    released.add(row["id"])
            given_up = self.spool.commitments.list(states=("given_up",), limit=1000)
            for row in given_up:
                self.ask("commitment.retry", commitment=row["id"])
            if not aside and not held and not given_up:
                return round_ > 0
            self.settle()
        raise AssertionError(f"a person cannot finish it: {self.arrivals()}, {self.deliveries()}")

    def arrivals(self, state: str | None = None) -> list[dict[str, Any]]:
        return self.spool.arrivals.list(state=state, limit=1000)[::-1]

    def deliveries(self) -> list[dict[str, Any]]:
        return self.spool.deliveries.list(limit=1000)[::-1]

    # ---- time ------------------------------------------------------------------------------------------------------------
    def work(self, *only: str) -> None:
        """Let processes (all of them) work until each wants to wait."""
        for name in self._all_of(only):
            self.act(name, lambda name=name: self._passes(name))
            self._end_stopped()
        if "receiver" in (only or PROCESSES):
            self.committing.targets_report()

    def _all_of(self, only: Sequence[str]) -> list[str]:
        """These processes, or all; "slot" stands for every slot."""
        return [one for name in only or PROCESSES for one in (self.slots if name == "slot" else (name,))]

    def _passes(self, name: str) -> None:
        passes(self.actors[name], self._wires[name].wait(0.0))

    def settle(self, *only: str) -> None:
        """Let processes work, and time pass, until nothing moves any more. AssertionError if it never ends."""
        idle = 0
        for _ in range(MANY_ROUNDS):
            before = self._seen()
            self.work(*only)
            if self._seen() != before:
                idle = 0
                continue
            wait = self._wait(idle, only or PROCESSES)
            if wait is None:
                return
            idle += 1
            self.clock.advance(wait)
        raise AssertionError(f"does not come to rest: {self.arrivals()}, {self.deliveries()}")

    def _seen(self) -> tuple[Any, ...]:
        outbox = self.spool.outbox
        return outbox.head(), outbox.confirmed("bookkeeper")

    def _wait(self, idle: int, who: Sequence[str]) -> float | None:
        """How long until something is due, at least once a sweep (1 s); None if nothing is."""
        spool = self.spool
        waits = [1.01] if not idle else []
        if "router" in who and spool.arrivals.open_ones():
            waits.append(QUIET_S if not idle else IDLE_S)
        due = spool.deliveries.next_due() if "slot" in who else None
        if due is not None:
            waits.append(due - self.clock.now() + 0.01)
            waits += [state.not_before - self.clock.now() + 0.01 for state in spool.targets.all().values()]
        waits += self.committing.waits(idle, who)
        if "bookkeeper" in who and (spool.outbox.confirmed("bookkeeper") or Cursor(0, 0)) < spool.outbox.head():
            waits.append(0.11)
        return max(waits) if waits else None
