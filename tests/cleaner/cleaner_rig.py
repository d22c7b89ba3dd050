"""A cleaner over a world in memory."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from random import Random
from typing import Any

from actors.base import make_context, passes
from actors.cleaner.actor import CleanerActor
from protocol.fsops import Room
from protocol.routing.parse import build
from protocol.settings import load_settings
from protocol.spool import Spool
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.outbox import Cursor
from protocol.testing.images import TestImage
from protocol.testing.spoolworld import SpoolWorld

ALWAYS = {"cleaner.window": "always"}
AT_ONCE = {**ALWAYS, "cleaner.retention_delivered_h": 0.0, "cleaner.retention_discarded_h": 0.0, "cleaner.sweep_s": 1.0}
HOUR = 3600.0


class QuietLog:
    def __getattr__(self, level: str) -> Any:
        return lambda action, **more: None


class Rig:
    """One node with a cleaner, whose clock on the wall shows UTC."""

    def __init__(self, home: Path, world: SpoolWorld | None = None, **settings: Any) -> None:
        self.world = world or SpoolWorld(home)
        self.settings = load_settings(self.world.home, {"spool.ballast_mb": 0.0, **settings}, environ={})
        self.new_cleaner()

    @property
    def spool(self) -> Spool:
        return self.world.spool

    def new_cleaner(self, zone: Any = UTC) -> CleanerActor:
        """As after a restart; without a zone it uses that of the settings."""
        context = make_context(self.settings, self.spool, wire=self.world.network.wire(), log=QuietLog(),
                               clock=self.world.clock, fs=self.spool.fs, rng=Random(1))  # fmt: skip
        self.cleaner = CleanerActor(context, zone)
        return self.cleaner

    def publish(self, **targets: Any) -> None:
        """A routing configuration with these targets: name=retention_h."""
        versions = self.cleaner.context.routing
        said = {
            name: {"type": "dicom", "host": "h", "port": 104, "called_ae": "X", "retention_h": hours}
            for name, hours in targets.items()
        }
        versions.publish(build({"targets": said}, "test"), "ann", "because", versions.current().number)

    def work(self) -> None:
        passes(self.cleaner)

    def after(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        self.work()

    def series(
        self, study: int, outcome: str = "delivered", images: int = 2, targets: tuple[str, ...] = ("pacs",)
    ) -> int:
        """An arrival in that state; for `in_delivery` its delivery waits, for `parked` it is parked."""
        self.world.receive(*(TestImage(study=study, instance=number + 1) for number in range(images)))
        id = self.spool.arrivals.list(limit=1)[0]["id"]
        if outcome == "open":
            return id
        self.world.close_arrivals()
        if outcome in ("discard", "hold"):
            self.spool.arrivals.decide(id, Verdict(outcome, 1, reason="test"))
        elif outcome != "closed":
            self.spool.arrivals.decide(id, Verdict("route", 1, [TargetChoice(name) for name in targets]))
            for _ in targets if outcome in ("delivered", "parked") else ():
                claim = self.world.claim()
                assert claim is not None
                self.world.deliver(claim) if outcome == "delivered" else self.spool.deliveries.park(claim, "no")
        return id

    def state(self, id: int) -> str:
        return str(self.spool.arrivals.get(id)["state"])

    def files(self) -> int:
        fs, images = self.spool.fs, self.spool.places.images
        return sum(
            len(fs.listdir(images / day / key)) for day in fs.listdir(images) for key in fs.listdir(images / day)
        )

    def free_gb(self, gigabytes: float, inodes: int | None = None) -> None:
        self.world.disk.set_room(Room(int(gigabytes * 1e9), inodes))

    def events(self, kind: str) -> list[Any]:
        return [one for one in self.spool.outbox.read(Cursor(0, 0), 10_000) if one.type == kind]
