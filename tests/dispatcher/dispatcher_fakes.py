"""A node with deliveries, a target that reads the spool's files and a slot over both. It must not judge anything."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from actors.dicom import statuses
from actors.dispatcher.working import Slot
from actors.targets.interface import Alive, Answer
from protocol.fsops import FsOps, RealFs
from protocol.header.scan import scan
from protocol.routing.model import RoutingConfiguration
from protocol.routing.parse import parse
from protocol.routing.versions import RoutingVersions
from protocol.spool import Spool
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.images import ImageFile, Incoming
from protocol.states import Priority
from protocol.testing.fakes import FakeTarget
from protocol.testing.images import TestImage

FAST = {"first_s": 0.2, "factor": 2.0, "max_s": 1.0}


class SilentLog:
    """Keeps (action, values)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def _note(self, action: str, **values: Any) -> None:
        self.lines.append((action, values))

    info = warning = error = critical = _note

    def debug(self, action: str, **values: Any) -> None:
        """Nobody wants them here."""

    def actions(self) -> list[str]:
        return [action for action, _ in self.lines]


class FakeConnection:
    """A FakeTarget behind the interface of targets; what it gets is what stands in the spool's file."""

    patience_s = 1.0
    sessions = 1
    reuse_s = 0.0

    def __init__(self, fake: FakeTarget, fs: FsOps) -> None:
        self.fake, self.fs = fake, fs
        self.open_now = False

    def open(self, images: Sequence[ImageFile], alive: Alive) -> FakeConnection:
        assert images
        self.fake.connect()
        self.open_now = True
        return self

    def again(self, images: Sequence[ImageFile], alive: Alive) -> bool:
        return self.open_now

    def send(self, image: ImageFile, following: ImageFile | None = None) -> Answer:
        assert self.open_now
        status = self.fake.store(image.sop_instance_uid, self.fs.read_bytes(image.path)[image.offset :])
        ok = statuses.category(status) != "failure"
        return Answer(status, ok, statuses.describe(status), "free text", statuses.retryable(status))

    def close(self) -> None:
        self.open_now = False

    abort = close


def configuration(
    targets: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Any] | None = None
) -> RoutingConfiguration:
    """Targets by name; what is not said is a DICOM target at a port nobody uses."""
    plain = {"type": "dicom", "host": "127.0.0.1", "port": 1, "called_ae": "PACS"}
    made = {
        name: (dict(said) if said.get("type", "dicom") != "dicom" else {**plain, **said})
        for name, said in targets.items()
    }
    return parse(json.dumps({"targets": made, "groups": groups or {}}).encode(), "routing.json")


def publish(home: Path, clock: Any, targets: Mapping[str, Mapping[str, Any]], **more: Any) -> RoutingVersions:
    versions = RoutingVersions(home / "config" / "routing", RealFs(), clock)
    versions.publish(configuration(targets, **more), "test", "test", versions.current().number)
    return versions


def receive(spool: Spool, images: Sequence[TestImage], calling_ae: str = "CT1") -> int:
    """Images of one series, closed; the arrival."""
    saved = [spool.images.save(_incoming(image, calling_ae)) for image in images]
    arrival = spool.images.commit(saved)[0].arrival
    spool.arrivals.close(arrival, "released")
    return arrival


def _incoming(image: TestImage, calling_ae: str) -> Incoming:
    data = image.dataset()
    return Incoming(
        bytes(16), calling_ae, "SCANPOST", "127.0.0.1", None, image.sop_class_uid, image.sop_uid,
        image.transfer_syntax_uid, data, scan(data, image.transfer_syntax_uid),
    )  # fmt: skip


def series(number: int, images: int, **more: Any) -> list[TestImage]:
    return [TestImage(series=number, instance=instance + 1, **more) for instance in range(images)]


def route(spool: Spool, arrival: int, *targets: str, priority: Priority = Priority.NORMAL, group: bool = False) -> None:
    spool.arrivals.decide(arrival, Verdict("route", 1, [TargetChoice(name, group, priority) for name in targets]))


def deliveries(spool: Spool) -> list[dict[str, Any]]:
    """Oldest first."""
    return spool.deliveries.list(limit=10_000)[::-1]


def states(spool: Spool) -> list[str]:
    return [row["state"] for row in deliveries(spool)]


def make_slot(
    spool: Spool,
    routing: Any,
    clock: Any,
    fakes: Callable[[str], FakeTarget],
    *,
    owner: str = "dispatcher/0-0/test",
    **more: Any,
) -> Slot:
    """A slot whose targets are fakes, found by their called AE title in lower case."""
    more.setdefault("make", lambda settings: FakeConnection(fakes(settings.called_ae.lower()), spool.fs))
    more.setdefault("log", SilentLog())
    return Slot(spool=spool, owner=owner, routing=routing, clock=clock, random=Random(1), slots=4, **more)


class FixedRouting:
    """Routing that is always this configuration."""

    def __init__(self, targets: Mapping[str, Mapping[str, Any]], **more: Any) -> None:
        self.change(targets, **more)

    def change(self, targets: Mapping[str, Mapping[str, Any]], **more: Any) -> None:
        named = {
            name: said if said.get("type", "dicom") != "dicom" else {"called_ae": name.upper(), **said}
            for name, said in targets.items()
        }
        self.configuration = configuration(named, **more)

    def current(self) -> FixedRouting:
        return self


def wait_for(condition: Callable[[], Any], timeout_s: float, step: Callable[[float], Any]) -> Any:
    """Until `condition` is true; `step` waits a moment for whatever may happen. AssertionError after the limit."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        step(0.05)
    raise AssertionError(f"not within {timeout_s} s")
