"""A handler that records, image files to send, and raw peers that misbehave. It must not hide what the SCP tells."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
from pydicom.data import get_testdata_file

from actors.dicom.scp import Peer, ScpConfig, StorageScp, StoreRequest
from actors.dicom.scu import Node
from actors.dicom.service import StoreCommand
from actors.dicom.tls import ServerTls
from actors.dicom.whole import WholeObjects
from tests.peers import HOST

PYDICOM_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
_BESIDE = [folder / "shared" / "data" for folder in Path(__file__).resolve().parents]  # of the checkout, where it is
SHARED_SYNTAXES = next((folder for folder in _BESIDE if folder.is_dir()), _BESIDE[0]) / "transfer-syntaxes"
WAIT_S = 60.0


class RecordingHandler(WholeObjects):
    """Keeps what it was told; `on_store`, `on_opened` and `on_requested` may be replaced by a test."""

    def __init__(self) -> None:
        self.commitment: Any = None
        self.changed = threading.Condition()
        self.stored: list[StoreRequest] = []
        self.datasets: list[bytes] = []
        self.opened_ids: list[bytes] = []
        self.closed_ids: list[tuple[bytes, str]] = []
        self.peers: list[Peer] = []
        self.refused_pdus: list[str] = []
        self.refused_stores: list[tuple[int, str]] = []
        self.fatal_errors: list[BaseException] = []
        self.on_store: Callable[[StoreRequest], int] = lambda request: 0
        self.on_opened: Callable[[], None] = lambda: None
        self.on_requested: Callable[[Peer], str | None] = lambda peer: None

    def requested(self, peer: Peer) -> str | None:
        return self.on_requested(peer)

    def opened(self, association_id: bytes, peer: Peer) -> None:
        self.on_opened()
        with self.changed:
            self.opened_ids.append(association_id)
            self.peers.append(peer)
            self.changed.notify_all()

    def store(self, association_id: bytes, peer: Peer, request: StoreRequest) -> int:
        status = self.on_store(request)
        with self.changed:
            assert association_id in self.opened_ids
            self.stored.append(request)
            self.datasets.append(bytes(request.dataset))
            self.changed.notify_all()
        return status

    def closed(self, association_id: bytes, peer: Peer, how: str) -> None:
        with self.changed:
            self.closed_ids.append((association_id, how))
            self.changed.notify_all()

    def refused(self, association_id: bytes, command: StoreCommand, status: int, reason: str) -> None:
        with self.changed:
            assert association_id in self.opened_ids
            self.refused_stores.append((status, reason))
            self.changed.notify_all()

    def agreed(self, association_id: bytes, facts: Callable[[], dict[str, Any]]) -> None:
        return

    def refused_pdu(self, address: str, reason: str) -> None:
        with self.changed:
            self.refused_pdus.append(reason)
            self.changed.notify_all()

    def fatal(self, exc: BaseException) -> None:
        with self.changed:
            self.fatal_errors.append(exc)
            self.changed.notify_all()

    def wait(self, condition: Callable[[], object], what: str = "the handler was not told") -> None:
        with self.changed:
            assert self.changed.wait_for(condition, WAIT_S), what

    @property
    def endings(self) -> list[str]:
        return [how for _, how in self.closed_ids]


@contextmanager
def running_scp(
    handler: RecordingHandler, tls: ServerTls | None = None, welcome: Callable[[str], bool] = lambda address: True,
    **settings: object,
) -> Iterator[int]:  # fmt: skip
    scp = StorageScp(ScpConfig(host=HOST, port=0, **settings), handler, tls, welcome)  # type: ignore[arg-type]
    port = scp.start()
    try:
        yield port
    finally:
        scp.stop(0.0)


def node(port: int, **settings: object) -> Node:
    limits = {"connect_timeout_s": 30.0, "acse_timeout_s": 30.0, "dimse_timeout_s": 30.0, **settings}
    return Node(HOST, port, "PACS", "SENDER", **limits)  # type: ignore[arg-type]


def ct_and_mr() -> list[Path]:
    return [Path(str(get_testdata_file(name))) for name in ("CT_small.dcm", "MR_small.dcm")]


@contextmanager
def raw_peer(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server that gives its first connection to `serve` in a thread; yields the port."""
    listener = socket.create_server((HOST, 0))

    def accept() -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(WAIT_S)
            serve(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        try:
            listener.shutdown(socket.SHUT_RDWR)  # ends an accept that never got its connection
        except OSError:
            pass
        listener.close()
        thread.join(WAIT_S)


def read_all(sock: socket.socket) -> bytes:
    """Everything until the peer closes."""
    data = b""
    sock.settimeout(WAIT_S)
    while part := sock.recv(65536):
        data += part
    return data


def read_pdu(sock: socket.socket) -> tuple[int, bytes]:
    def exactly(count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = sock.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    header = exactly(6)
    return header[0], exactly(int.from_bytes(header[2:], "big"))
