"""The storage SCP: listens, gives every connection a thread, limits how many, and stops in order.

It must not store images or know the spool: whoever receives implements `ScpHandler`.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time

from actors.dicom.acceptor import Acceptor
from actors.dicom.service import How, Peer, ScpConfig, ScpHandler, StoreRequest
from actors.dicom.tls import ServerTls

__all__ = ["How", "Peer", "ScpConfig", "ScpHandler", "StorageScp", "StoreRequest"]

log = logging.getLogger(__name__)

_BACKLOG = 128
_LAST_WORD_S = 2.0  # after the limit of `stop`: time to send the A-ABORTs


class StorageScp:
    """A DICOM storage and verification SCP (PS3.4 Annexes A and B); with `tls` it serves nothing else (PS3.15 B.12)."""

    def __init__(self, config: ScpConfig, handler: ScpHandler, tls: ServerTls | None = None) -> None:
        self._config, self._handler, self._tls = config, handler, tls
        self._listener: socket.socket | None = None
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._waiting: dict[Acceptor, None] = {}  # insertion order: the oldest first
        self._open: set[Acceptor] = set()
        self._thread = threading.Thread(target=self._accept_loop, name="scp-accept", daemon=True)

    def start(self) -> int:
        """Bind, listen and accept in a thread of its own; the port actually bound.

        Raises:
            OSError: the address cannot be bound.
        """
        self._listener = _listen(self._config)
        self._wake_reader, self._wake_writer = socket.socketpair()
        port: int = self._listener.getsockname()[1]
        self._thread.start()
        log.info("listening", extra={"action": "scp.listening", "port": port, "ae_title": self._config.ae_title})
        return port

    @property
    def open_associations(self) -> int:
        """How many associations are open now."""
        with self._changed:
            return len(self._open)

    def stop(self, timeout_s: float) -> None:
        """Stop accepting, let open associations finish for up to `timeout_s` seconds, then abort the rest."""
        self._stopping.set()
        if self._thread.is_alive():
            self._wake_writer.send(b"x")
            self._thread.join()
            self._wake_reader.close()
            self._wake_writer.close()
        self._cut(self._waiting)
        if not self._wait_until_empty(timeout_s):
            self._cut(self._open)
            self._wait_until_empty(_LAST_WORD_S)
        log.info("stopped", extra={"action": "scp.stopped", "left": self.open_associations})

    # -- the accepting thread ----------------------------------------------------------------------------------

    def _accept_loop(self) -> None:
        assert self._listener is not None
        with selectors.DefaultSelector() as selector, self._listener:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wake_reader, selectors.EVENT_READ)
            while not self._stopping.is_set():
                selector.select()
                if self._stopping.is_set():
                    return
                try:
                    sock, address = self._listener.accept()
                except BlockingIOError:
                    continue
                except OSError as exc:
                    # Out of file descriptors, or the peer is gone already: wait a little instead of spinning.
                    log.warning("accept failed: %s", exc.strerror, extra={"action": "scp.accept_failed"})
                    self._stopping.wait(0.1)
                    continue
                self._begin(sock, address)

    def _begin(self, sock: socket.socket, address: tuple[str, int]) -> None:
        host = address[0].removeprefix("::ffff:")
        acceptor = None
        try:
            sock.setblocking(True)
            if self._tls is not None:
                sock = self._tls.wrap(sock)  # the handshake is the business of the association's own thread
            acceptor = Acceptor(self._config, self._handler, sock, (host, address[1]), self._admit, self._dismiss)
            with self._changed:
                while len(self._waiting) >= self._config.max_waiting:
                    oldest = next(iter(self._waiting))
                    del self._waiting[oldest]
                    oldest.cut()
                self._waiting[acceptor] = None
            threading.Thread(target=acceptor.run, name=f"scp-{host}", daemon=True).start()
        except (OSError, RuntimeError) as exc:
            log.warning("connection dropped: %s", exc, extra={"action": "scp.dropped", "address": host})
            if acceptor is not None:
                self._dismiss(acceptor)
            sock.close()

    # -- called by acceptors, in their threads -----------------------------------------------------------------

    def _admit(self, acceptor: Acceptor) -> bool:
        with self._changed:
            self._waiting.pop(acceptor, None)
            if self._stopping.is_set() or len(self._open) >= self._config.max_associations:
                return False
            self._open.add(acceptor)
            return True

    def _dismiss(self, acceptor: Acceptor) -> None:
        with self._changed:
            self._waiting.pop(acceptor, None)
            self._open.discard(acceptor)
            self._changed.notify_all()

    # -- stopping ----------------------------------------------------------------------------------------------

    def _cut(self, acceptors: dict[Acceptor, None] | set[Acceptor]) -> None:
        with self._changed:
            for acceptor in list(acceptors):
                acceptor.cut()

    def _wait_until_empty(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, max(0.0, deadline - time.monotonic()))


def _listen(config: ScpConfig) -> socket.socket:
    family, kind, number, _, address = socket.getaddrinfo(
        config.host or None, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, number)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if config.reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener
