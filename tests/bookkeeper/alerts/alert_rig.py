"""A node in memory with the bookkeeper's alert desk; a carrier that keeps letters, and fails as a test wants."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from actors.base import make_context
from actors.bookkeeper.alerts.calls import Refused
from actors.bookkeeper.alerts.desk import AlertDesk
from actors.bookkeeper.alerts.post import Post
from actors.bookkeeper.alerts.words import clock_words
from actors.bookkeeper.hand import OwnHand
from protocol.routing.parse import build
from protocol.settings import load_settings
from protocol.spool import Spool
from protocol.spool.alerts import Alert
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.letters import Letter
from protocol.spool.outbox import Cursor
from protocol.testing.images import TestImage
from protocol.testing.spoolworld import SpoolWorld

MINUTE, HOUR, DAY, WEEK = 60.0, 3600.0, 86_400.0, 604_800.0
PROGRAMS = ("bus", "receiver", "router", "cleaner", "dispatcher-0")
MAIL = {
    "alerts.smtp.host": "mail.example.org",
    "alerts.smtp.sender": "node@example.org",
    "alerts.smtp.to": ["ops@example.org"],
}
MONDAY = datetime(2027, 1, 11, tzinfo=UTC).timestamp()


class KeepingLog:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda action, **more: self.lines.append((level, action, more))


class AlertRig:
    """`sent` are the letters that were taken; `refuse` a function that raises Refused for those that are not."""

    def __init__(self, home: Path, world: SpoolWorld | None = None, **settings: Any) -> None:
        self.world = world or SpoolWorld(home)
        self.set(**settings)
        self.sent: list[Letter] = []
        self.tried: list[Letter] = []
        self.refuse: Any = lambda letter: None
        self.left: dict[str, list[str]] = {}
        """Recipient -> for whom a letter to it was not taken."""
        self.log = KeepingLog()
        self.locks: dict[str, Any] = {}
        self.said: dict[str, tuple[str, int]] = {}
        self.hung: set[str] = set()
        for name in PROGRAMS:
            self.start(name)
        self.hire()

    @property
    def spool(self) -> Spool:
        return self.world.spool

    @property
    def now(self) -> float:
        return self.world.clock.now()

    def set(self, **settings: Any) -> None:
        """Settings for the next desk that is hired."""
        values = {"node.name": "node1", "node.time_zone": "UTC", **MAIL, **settings}
        self.settings = load_settings(self.world.home, values, environ={})

    def hire(self) -> None:
        """As after a restart."""
        self.context = make_context(
            self.settings, self.spool, wire=self.world.network.wire(), log=self.log, clock=self.world.clock, fs=self.spool.fs, rng=Random(1)
        )  # fmt: skip
        post = Post(self.context, clock_words(UTC), carry=self._carry, hand=OwnHand)
        self.desk = AlertDesk(self.context, post=post)

    def _carry(self, letter: Letter) -> Sequence[str]:
        self.tried.append(letter)
        self.refuse(letter)
        self.sent.append(letter)
        return self.left.get(letter.recipient, ())

    def away(self, *recipients: str) -> None:
        """Nobody takes letters of these recipients (without any: of nobody) from now on."""

        def refuse(letter: Letter) -> None:
            if letter.recipient in recipients:
                raise Refused("connection refused")

        self.refuse = refuse

    # programs

    def start(self, name: str, state: str = "ready", pid: int = 100) -> None:
        if name not in self.locks:
            self.locks[name] = self.spool.fs.lock(self.spool.places.run / f"{name}.lock")
        self.locks[name].write(json.dumps({"state": state, "pid": pid, "started": self.now, "beat": self.now}))
        self.said[name] = state, pid

    def breathe(self) -> None:
        """The heartbeats of all programs that run and are not in `hung`."""
        for name in self.locks.keys() - self.hung:
            self.start(name, *self.said[name])

    def end(self, name: str) -> None:
        self.locks.pop(name).release()

    # time

    def after(self, seconds: float, step: float = 10.0) -> None:
        """Let the desk live for so long, a round every `step` seconds."""
        end = self.world.clock.now() + seconds
        self.breathe()
        self.desk.round()
        while self.world.clock.now() < end:
            self.world.clock.advance(min(step, end - self.world.clock.now()))
            self.breathe()
            self.desk.round()

    # what stands and what was told

    def standing(self) -> list[str]:
        return sorted(one.key for one in self.spool.alerts.list())

    def alert(self, key: str) -> Alert:
        return self.spool.alerts.get(key)

    def subjects(self, recipient: str = "mail") -> list[str]:
        return [str(one.body["subject"]) for one in self.sent if one.recipient == recipient]

    def texts(self, recipient: str = "mail") -> str:
        return "\n".join(str(one.body["text"]) for one in self.sent if one.recipient == recipient)

    def events(self, kind: str) -> list[Any]:
        return [one for one in self.spool.outbox.read(Cursor(0, 0), 100_000) if one.type == kind]

    # the node

    def publish(self, *names: str, rules: Any = (), groups: Any = None, **more: Any) -> None:
        said = {
            name: {"type": "dicom", "host": "h", "port": 104, "called_ae": "X", **more.get(name, {})} for name in names
        }
        versions = self.context.routing
        document = {"targets": said, "groups": groups or {}, "rules": list(rules)}
        versions.publish(build(document, "test"), "ann", "because", versions.current().number)

    def series(
        self, study: int, *targets: str, rules: tuple[str, ...] = (), outcome: str = "route", **image: Any
    ) -> int:
        """A decided arrival of two images."""
        self.world.receive(*(TestImage(study=study, instance=number + 1, **image) for number in range(2)))
        id = int(self.spool.arrivals.list(limit=1)[0]["id"])
        self.world.close_arrivals()
        choices = [TargetChoice(name) for name in targets]
        self.spool.arrivals.decide(id, Verdict(outcome, 1, choices, rules=rules, reason="test"))
        return id

    def deliver(self) -> None:
        """Everything that waits."""
        while claim := self.world.claim():
            self.world.deliver(claim)

    def park(self, cause: str = "images_refused") -> int:
        """Everything that waits; how many."""
        count = 0
        while claim := self.world.claim():
            self.spool.deliveries.park(claim, "C000 the peer's own words", cause)
            count += 1
        return count
