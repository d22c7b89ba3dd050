"""A TCP relay between a target and its peer, so that a test can take the way away, cut it or let it hang.
It must not know what is spoken, nor import scanpost.
"""

from __future__ import annotations

import socket
import struct
import threading

from tests.peers import HOST, free_port

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: no wait, which sends RST


class Relay:
    """Listening on `port` of its own when the constructor returns; what comes in goes on to `to` and back."""

    def __init__(self, to: int) -> None:
        self._to, self.port = to, free_port()
        self._flowing = threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self.forwarded = 0  # bytes towards the peer
        self.cut_after: int | None = None  # bytes towards the peer after which every connection is reset
        self.listen()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def listen(self) -> None:
        """Take connections (again)."""
        self._listener = socket.create_server((HOST, self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def gone(self) -> None:
        """Take no connection, and end those that are open as a dead machine's router does."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            self._listener.close()
            self._listener = None
        self._reset()

    def hang(self) -> None:
        """Take connections and bytes, and pass nothing on."""
        self._flowing.clear()

    def flow(self) -> None:
        """Pass on again."""
        self._flowing.set()

    def close(self) -> None:
        """Let go of everything."""
        self.gone()
        self._flowing.set()

    def _reset(self) -> None:
        with self._lock:
            ended, self._open = self._open, []
        for sock in ended:
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                sock.shutdown(socket.SHUT_RD)  # wakes the thread that reads
            except OSError:
                pass
            sock.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection((HOST, self._to))
            except OSError:
                return
            for sock in (near, far):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open += [near, far]
            threading.Thread(target=self._pump, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        try:
            while data := source.recv(65536):
                self._flowing.wait()
                sink.sendall(data)
                if counted:
                    self.forwarded += len(data)
                    if self.cut_after is not None and self.forwarded >= self.cut_after:
                        self._reset()
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return
