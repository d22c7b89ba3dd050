"""A storage target that stamps the time of the first byte it gets: a TCP relay before a storescp that throws data away.
It must not delay what passes, and it understands only where a PDU begins and of what type it is (PS3.8 section 9.3.1).
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Self

_P_DATA = 4
_ENDS = (5, 6, 7)  # release and abort: the end of an earlier association is no new delivery
LIMIT_S = 60.0


class StampingTarget:
    """Use as a context manager; `port` is where it listens."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._changed = threading.Condition()
        self._first = 0.0
        self._answers = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._listener.close()

    def arm(self) -> None:
        """Forget what came so far."""
        with self._changed:
            self._first, self._answers = 0.0, 0

    def wait(self, images: int) -> float:
        """The stamp (perf_counter, seconds) of the first byte since `arm`, once so many images were answered."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._answers >= images, LIMIT_S):
                raise RuntimeError(f"{self._answers} of {images} images arrived at the target")
            return self._first

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._behind))
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._forth, args=(client, server), daemon=True).start()
            threading.Thread(target=self._back, args=(server, client), daemon=True).start()

    def _forth(self, client: socket.socket, server: socket.socket) -> None:
        while data := _received(client):
            if not self._first and data[0] not in _ENDS:
                self._first = time.perf_counter()
            server.sendall(data)
        _end(server)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        waiting = b""
        while data := _received(server):
            client.sendall(data)
            waiting += data
            while len(waiting) >= 6 and len(waiting) >= (whole := 6 + int.from_bytes(waiting[2:6], "big")):
                with self._changed:
                    self._answers += waiting[0] == _P_DATA
                    self._changed.notify_all()
                waiting = waiting[whole:]
        _end(client)


def _received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(262144)
    except OSError:
        return b""


def _end(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
