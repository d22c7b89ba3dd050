"""A receiver in this process with real sockets and a real spool, and senders for it. It must not hide what it logs."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom

from actors.base import make_context
from actors.dicom import dimse, pdus
from actors.dicom.part10 import read_part10
from actors.dicom.pdus import AssociateRq, ProposedContext
from actors.dicom.scu import Association, Node, open_association
from actors.dicom.upper import fragments
from actors.receiver.actor import ReceiverActor
from protocol.clock import Clock, SystemClock
from protocol.effects import NO_EFFECTS, Effects
from protocol.errors import UnreadableImage
from protocol.fsops import FsOps, NewFile, RealFs, Room
from protocol.routing.parse import build
from protocol.routing.versions import RoutingVersions
from protocol.settings import load_settings
from protocol.spool import Cursor, Spool, open_spool
from protocol.testing.images import TestImage
from protocol.wire.nudges import NoWire

HOST = "127.0.0.1"
WAIT_S = 60.0
SERIES = Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests"
CT = TestImage().sop_class_uid, TestImage().transfer_syntax_uid


class ListLog:
    """Keeps log lines as (action, values); each wakes who waits on `changed`."""

    def __init__(self, changed: threading.Condition | None = None) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self._changed = changed or threading.Condition()

    def _add(self, action: str, **values: Any) -> None:
        with self._changed:
            self.lines.append((action, values))
            self._changed.notify_all()

    info = warning = error = critical = debug = _add

    def of(self, action: str) -> list[dict[str, Any]]:
        return [values for name, values in self.lines if name == action]


class HeardWire(NoWire):
    """Keeps nudges, and lets a test wait for the next."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition()
        self.arrivals: list[tuple[int, dict[str, Any]]] = []

    def arrived(self, arrival: int, data: Mapping[str, Any] = {}) -> None:
        with self.changed:
            self.arrivals.append((arrival, dict(data)))
            self.changed.notify_all()

    def committed(self) -> None:
        with self.changed:
            self.changed.notify_all()


class LaterClock(SystemClock):
    """The machine's clock, moved ahead on demand."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


class TroubledFs(RealFs):
    """The real file system; a test sets how much room it has and what a sync of an image raises."""

    left: Room | None = None
    sync_error: Exception | None = None

    def room(self, path: Path) -> Room:
        return self.left or super().room(path)

    def create(self, path: Path) -> NewFile:
        file = super().create(path)
        sync = file.sync
        file.sync = lambda: self._sync(sync)  # type: ignore[method-assign]
        return file

    def _sync(self, sync: Callable[[], None]) -> None:
        if self.sync_error is not None:
            raise self.sync_error
        sync()


class Rig:
    """A running receiver and its surroundings."""

    def __init__(self, home: Path, spool: Spool, actor: ReceiverActor, wire: HeardWire, log: ListLog) -> None:
        self.home, self.spool, self.actor, self.wire, self.log = home, spool, actor, wire, log
        self.found: dict[str, int] = {}

    @property
    def port(self) -> int:
        return self.actor.ports[0]

    @property
    def reception(self) -> Any:
        return self.actor.crew.reception  # type: ignore[attr-defined]

    def dies(self) -> None:
        """The process ends: its lock is free, and nothing else was done."""
        self.reception.worker._lock.release()

    def until(self, condition: Callable[[], object], what: str = "it did not happen") -> None:
        """Wait for a condition: a commit or a nudge makes one look at once; what neither tells is seen a little later."""
        end = time.monotonic() + WAIT_S
        with self.wire.changed:
            while not condition():
                assert time.monotonic() < end, what
                self.wire.changed.wait(0.1)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [dict(one.data) for one in self.spool.outbox.read(Cursor(0, 0), 100_000) if one.type == kind]

    def until_closed(self, count: int = 1) -> list[str]:
        """Wait until so many associations are over; how they ended."""
        self.until(lambda: len(self.events("association.closed")) >= count, "the association was not closed")
        return [event["how"] for event in self.events("association.closed")]

    def until_recorded(self, count: int) -> None:
        """Wait until so many images that were acknowledged have their rows, those that were there already with them."""

        def recorded() -> bool:
            figures = self.spool.accounting.figures()
            return figures.received + figures.duplicates >= count

        self.until(recorded, "the rows do not follow")

    def stored(self) -> dict[str, list[bytes]]:
        """SOP instance UID -> data sets in the spool, of every arrival."""
        found: dict[str, list[bytes]] = {}
        for event in self.events("image.received"):
            image = self.spool.images.open(bytes.fromhex(event["receipt"]))
            found.setdefault(image.sop_instance_uid, []).append(image.path.read_bytes()[image.offset :])
        return found

    def healthy(self) -> bool:
        problems = self.spool.accounting.balance(files=True)
        assert problems == []
        return True

    def associate(self, calling: str = "CT1", *contexts: tuple[str, str]) -> Association:
        node = Node(HOST, self.port, "SCANPOST", calling, connect_timeout_s=30, acse_timeout_s=30, dimse_timeout_s=30)
        return open_association(node, contexts or (CT,))


@contextmanager
def receiver(
    home: Path,
    *,
    fs: FsOps | None = None,
    clock: Clock | None = None,
    effects: Effects = NO_EFFECTS,
    routing: dict[str, Any] | None = None,
    orderly: bool = True,
    **settings: Any,
) -> Iterator[Rig]:
    """A receiver on a free port. `settings` by key with __ for the dot; not `orderly`: the test ends it itself."""
    home.mkdir(exist_ok=True)
    said = {
        "receiver.host": HOST,
        "receiver.port": 0,
        "receiver.workers": 1,
        "spool.reserve_gb": 0,
        "spool.reserve2_gb": 0,
    }
    said |= {key.replace("__", "."): value for key, value in settings.items()}
    loaded = load_settings(home, said, environ={})
    spool = open_spool(
        home, source="/test/receiver/0", fs=fs, clock=clock, effects=effects, create=True,
        durability=loaded.receiver.durability,
    )  # fmt: skip
    if routing is not None:
        publish(home, routing)
    wire = HeardWire()
    log = ListLog(wire.changed)
    context = make_context(loaded, spool, wire=wire, log=log, clock=clock, fs=fs, rng=random.Random(1))
    actor = ReceiverActor(context)
    actor.STOP_LIMIT_S = 0.2  # type: ignore[misc]
    rig = Rig(home, spool, actor, wire, log)
    try:
        actor.start()
        rig.found = actor.recover()
        yield rig
        if orderly:
            actor.stop()
    finally:
        for door in actor._doors:
            door.close()
        if rig.reception is not None:
            rig.reception.hall.stop(0.0)
        spool.close()
        wire.close()


def publish(home: Path, configuration: dict[str, Any]) -> None:
    """Make a routing configuration current."""
    versions = RoutingVersions(home / "config" / "routing", RealFs(), SystemClock())
    versions.publish(build(configuration, "test"), "test", "", versions.current().number)


def send(association: Association, image: TestImage, folder: Path) -> int:
    """Store one small image; the status."""
    path = folder / f"{image.sop_uid}-{threading.get_ident()}"
    path.write_bytes(image.dataset())
    from actors.dicom.scu import OutgoingImage

    outgoing = OutgoingImage(path, 0, image.sop_class_uid, image.sop_uid, image.transfer_syntax_uid)
    return association.store(outgoing).status


def files_below(folder: Path) -> list[Path]:
    """Every image file below a folder."""
    found = []
    for path in sorted(folder.rglob("*")):
        try:
            if path.is_file():
                read_part10(path)
                found.append(path)
        except UnreadableImage:
            continue
    return found


class Rejected(Exception):
    """A-ASSOCIATE-RJ: result, source, reason (PS3.8 table 9-21)."""


class RawSender:
    """An association by hand: commands with any UIDs, and an end in the middle of anything."""

    def __init__(self, port: int, calling: str = "RAW", *, called: str = "SCANPOST", address: str = HOST) -> None:
        self.sock = socket.create_connection((HOST, port), timeout=WAIT_S, source_address=(address, 0))
        self.sock.sendall(AssociateRq(called, calling, (ProposedContext(1, CT[0], CT[1:]),), 16384).encode())
        kind, body = self._pdu()
        if kind == pdus.ASSOCIATE_RJ:
            self.sock.close()
            raise Rejected(*body[1:4])
        assert kind == pdus.ASSOCIATE_AC

    def __enter__(self) -> RawSender:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def begin(self, sop_uid: bytes, dataset: bytes, sop_class: str = CT[0]) -> bytes:
        """The bytes of a whole C-STORE request; the UID is written as it is."""
        even = sop_uid + b"\0" * (len(sop_uid) % 2)
        command = dimse.encode({
            dimse.AFFECTED_CLASS: sop_class, dimse.COMMAND_FIELD: dimse.C_STORE_RQ, dimse.MESSAGE_ID: 1,
            dimse.PRIORITY: 0, dimse.DATA_SET_TYPE: dimse.HAS_DATA_SET, dimse.AFFECTED_INSTANCE: even,
        })  # fmt: skip
        parts = fragments(1, command, True, True, 16384) + fragments(1, dataset, False, True, 16384)
        return b"".join(bytes(part) for part in parts)

    def store(self, sop_uid: bytes, dataset: bytes, sop_class: str = CT[0]) -> int:
        """Send an image and return the status."""
        self.sock.sendall(self.begin(sop_uid, dataset, sop_class))
        return self.answer()

    def answer(self) -> int:
        kind, body = self._pdu()
        assert kind == pdus.P_DATA, f"PDU type {kind:02X} instead of an answer"
        return dimse.decode(body[6:]).number(dimse.STATUS)

    def release(self) -> None:
        self.sock.sendall(pdus.RELEASE_RQ_PDU)
        assert self._pdu()[0] == pdus.RELEASE_RP

    def _pdu(self) -> tuple[int, bytes]:
        header = self._exactly(6)
        return header[0], self._exactly(int.from_bytes(header[2:], "big"))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.sock.recv(count - len(data))
            if not part:
                raise EOFError("the receiver closed the connection")
            data += part
        return data


def dataset(study: bytes = b"1.2", series: bytes = b"1.2.3", sop: bytes = b"1.2.3.4") -> bytes:
    """A data set with these UIDs as they are, in Explicit VR Little Endian; a UID of None is left out."""
    elements = [
        (0x0008, 0x0016, CT[0].encode()),
        (0x0008, 0x0018, sop),
        (0x0020, 0x000D, study),
        (0x0020, 0x000E, series),
    ]
    data = b""
    for group, element, value in elements:
        if value is not None:
            value += b"\0" * (len(value) % 2)
            data += struct.pack("<HH2sH", group, element, b"UI", len(value)) + value
    return data + struct.pack("<HH2sH", 0x0028, 0x0010, b"US", 2) + b"\1\0"
