"""A router over a world in memory, driven pass by pass; nothing here waits for real time."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from actors.base import make_context, passes
from actors.router.actor import RouterActor
from protocol.routing.parse import build
from protocol.routing.versions import RoutingVersions
from protocol.settings import load_settings
from protocol.spool import Spool
from protocol.spool.outbox import Cursor
from protocol.testing.images import TestImage
from protocol.testing.spoolworld import SpoolWorld
from protocol.wire.messages import Envelope

TARGET = {"type": "dicom", "host": "127.0.0.1", "port": 104, "called_ae": "A"}
TARGETS = dict.fromkeys(("archive", "pacs", "research"), TARGET)
CT = {"name": "ct", "when": "Modality == 'CT'", "action": "route", "targets": ["pacs"]}
ALL = {"name": "all", "when": "True", "action": "route", "targets": ["archive", "pacs"]}
EVERYWHERE = {**CT, "targets": list(TARGETS)}
MR_ONLY = {"name": "mr", "when": "Modality == 'MR'", "action": "route", "targets": ["pacs"]}


class ListLog:
    """Keeps what was logged."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def __getattr__(self, level: str) -> Any:
        def write(action: str, **more: Any) -> None:
            self.lines.append({"level": level, "action": action, **more})

        return write

    def actions(self) -> list[str]:
        return [line["action"] for line in self.lines]


class Rig:
    """One node with a router. `rules` are published as the first revision."""

    def __init__(self, home: Path, *rules: dict[str, Any], world: SpoolWorld | None = None, **more: Any) -> None:
        self.world = world or SpoolWorld(home)
        self.settings = load_settings(self.world.home, {"router.quiet_s": 5.0, "router.idle_s": 60.0}, environ={})
        self.log = ListLog()
        self.router = self.new_router()
        if rules or more:
            self.publish(*rules, **more)

    @property
    def spool(self) -> Spool:
        return self.world.spool

    def new_router(self) -> RouterActor:
        self.versions = RoutingVersions(self.spool.places.routing, self.spool.fs, self.world.clock)
        self.wire = self.world.network.wire("arrivals", effects=self.world.points)
        self.router = RouterActor(
            make_context(self.settings, self.spool, wire=self.wire, log=self.log, clock=self.world.clock,
                         fs=self.spool.fs, rng=Random(1), routing=self.versions)
        )  # fmt: skip
        return self.router

    def publish(self, *rules: dict[str, Any], **more: Any) -> int:
        """Another process publishes the next version."""
        others = RoutingVersions(self.spool.places.routing, self.spool.fs, self.world.clock)
        data = {"targets": TARGETS, **more, "rules": list(rules)}
        return others.publish(build(data, "test"), "ann", "because", others.current().number).number

    def work(self) -> None:
        passes(self.router)

    def after(self, seconds: float) -> None:
        """Let time pass, then let the router work."""
        self.world.clock.advance(seconds)
        self.work()

    def series(self, *images: TestImage, **more: Any) -> dict[str, Any]:
        """A series that came in, was closed and decided."""
        self.world.receive(*(images or (TestImage(),)), **more)
        self.work()
        self.after(5)
        self.after(60)
        return self.newest()

    def newest(self) -> dict[str, Any]:
        return self.spool.arrivals.list(limit=1)[0]

    def arrival(self, id: int) -> dict[str, Any]:
        return self.spool.arrivals.get(id)

    def deliveries(self, arrival: int | None = None) -> dict[str, str]:
        """{target: state}, oldest first; a later one to the same target wins."""
        rows = reversed(self.spool.deliveries.list(limit=1000))
        return {row["target"]: row["state"] for row in rows if arrival in (None, row["arrival"])}

    def ask(self, kind: str, **arguments: Any) -> Any:
        """A person asks; returns the command with its answer."""
        command = self.spool.commands.ask(kind, "ann", arguments)
        self.work()
        return self.spool.commands.find(command)

    def events(self, kind: str) -> list[Envelope]:
        return [one for one in self.spool.outbox.read(Cursor(0, 0), 10_000) if one.type == kind]

    def deliver_all(self) -> None:
        while claim := self.world.claim():
            self.world.deliver(claim)


class RoutedWorld(SpoolWorld):
    """A world with a router, which is started again with the spool."""

    def __init__(self, home: Path, seed: int = 1, *rules: dict[str, Any], **more: Any) -> None:
        super().__init__(home, seed)
        self.rig = Rig(home, *(rules or (EVERYWHERE,)), world=self, **more)

    def restart(self) -> None:
        super().restart()
        self.rig.new_router()
