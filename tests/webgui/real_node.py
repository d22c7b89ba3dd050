"""A real node behind the page: spool, routing, ledger in files, router and bookkeeper that work in threads of their own."""

from __future__ import annotations

import os
import threading
from random import Random
from typing import Any

import structlog

from actors.base import make_context, passes
from actors.bookkeeper.actor import BookkeeperActor
from actors.router.actor import RouterActor
from protocol.clock import SystemClock
from protocol.fsops import RealFs
from protocol.header.scan import scan
from protocol.routing.parse import build
from protocol.routing.versions import RoutingVersions
from protocol.settings import load_settings
from protocol.spool.images import Incoming
from protocol.spool.spool import open_spool
from protocol.testing.images import TestImage
from protocol.wire.nudges import NoWire

PACS = {"type": "dicom", "host": "127.0.0.1", "port": 1, "called_ae": "PACS"}
ALL = {"name": "all", "when": "True", "action": "route", "targets": ["pacs"]}
ENVIRON = {
    "SCANPOST_SPOOL__RESERVE_GB": "0", "SCANPOST_SPOOL__RESERVE2_GB": "0", "SCANPOST_BUS__ENABLED": "false",
    "SCANPOST_ROUTER__QUIET_S": "0.01", "SCANPOST_ROUTER__IDLE_S": "0.01", "SCANPOST_ROUTER__SWEEP_S": "0.01",
}  # fmt: skip


class RealNode:
    """Nothing runs until asked: `route()` makes router passes, `record()` bookkeeper passes, `answering()` a router thread."""

    def __init__(self, home: Any, **environ: str) -> None:
        self.clock = SystemClock()
        self.settings = load_settings(home=home, environ={**ENVIRON, **environ})
        self.spool = open_spool(home, clock=self.clock, create=True)
        self.versions = RoutingVersions(self.spool.places.routing, RealFs(), self.clock)
        self.stop = threading.Event()
        self.threads: list[threading.Thread] = []

    def publish(self, *rules: dict[str, Any], targets: dict[str, Any] | None = None, **more: Any) -> int:
        data = {"targets": targets or {"pacs": PACS}, "rules": list(rules or (ALL,)), **more}
        return self.versions.publish(build(data, "test"), "ann", "because", self.versions.current().number).number

    def receive(self, *images: TestImage, calling_ae: str = "CT1") -> None:
        owner = self.spool.workers.enter("receiver", "0").owner
        association, peer = os.urandom(16), (calling_ae, "SCANPOST", "10.0.0.1:104", None)
        self.spool.images.association_opened(association, owner, *peer)
        for image in images or (TestImage(),):
            data = image.dataset()
            self.spool.images.commit([self.spool.images.save(Incoming(
                association, *peer, image.sop_class_uid, image.sop_uid, image.transfer_syntax_uid, data,
                scan(data, image.transfer_syntax_uid), None,
            ))])  # fmt: skip
        self.spool.images.association_closed(association, "released")

    def arrival(self, *images: TestImage, **more: Any) -> int:
        """One that came in, is complete and decided; its id."""
        self.receive(*images, **more)
        self.route()
        return int(self.spool.arrivals.list(limit=1)[0]["id"])

    def _context(self, name: str) -> Any:
        own = open_spool(self.settings.home, source=f"/{self.settings.node.name}/{name}/0", clock=self.clock)
        return make_context(self.settings, own, wire=NoWire(), log=structlog.get_logger(), clock=self.clock,
                            fs=RealFs(), rng=Random(1), routing=RoutingVersions(own.places.routing, RealFs(), self.clock))  # fmt: skip

    def route(self) -> None:
        """Router passes until nothing is open or undecided."""
        context = self._context("router")
        router = RouterActor(context)
        pause = threading.Event()
        for _ in range(200):
            passes(router)
            if not context.spool.arrivals.open_ones() and not context.spool.arrivals.undecided():
                break
            pause.wait(0.01)
        else:
            raise AssertionError("the router does not come to an end")
        context.spool.close()

    def record(self) -> None:
        """Bookkeeper passes until the ledger has every event."""
        context = self._context("bookkeeper")
        bookkeeper, pause = BookkeeperActor(context), threading.Event()
        for _ in range(500):
            passes(bookkeeper)
            if bookkeeper.figures()["backlog"] == 0:
                break
            pause.wait(0.01)
        else:
            raise AssertionError("the bookkeeper does not come to an end")
        bookkeeper.stop()
        context.spool.close()

    def answering(self) -> None:
        """From now on a router carries out what people ask."""
        thread = threading.Thread(target=self._answer, daemon=True)
        lock = RealFs().lock(self.settings.run_folder / "router.lock")
        lock.write('{"state":"ready","pid":1,"started":0.0,"version":"1"}')
        self.lock = lock
        self.threads.append(thread)
        thread.start()

    def _answer(self) -> None:
        context = self._context("router")
        router = RouterActor(context)
        while not self.stop.wait(0.02):
            passes(router)
        context.spool.close()

    def close(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
        self.spool.close()
