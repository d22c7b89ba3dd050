"""The storage SCP: a door that accepts connections and a hall that serves each in a thread of its own, and stops in order.

It must not store images or know the spool: whoever receives implements `ScpHandler`.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable

from actors.dicom.acceptor import Acceptor
from actors.dicom.agreement import Agreements
from actors.dicom.service import How, Peer, ScpConfig, ScpHandler, StoreRequest
from actors.dicom.tls import ServerTls
from actors.dicom.waiting import Waiting

__all__ = ["Door", "Hall", "How", "Peer", "ScpConfig", "ScpHandler", "StorageScp", "StoreRequest"]

log = logging.getLogger(__name__)

_BACKLOG = 1024  # beyond it the kernel drops a SYN, and the scanner tries again after seconds
_LAST_WORD_S = 2.0  # after the limit of `stop`: time to send the A-ABORTs

Address = tuple[str, int]


class Door:
    """A listening socket and the thread that accepts.

    Args:
        enter: takes over each connected socket, with the peer's address; must be quick.
        welcome: asked before that; an address that is not is closed unheard. Must be quick, too.
    """

    def __init__(
        self, config: ScpConfig, enter: Callable[[socket.socket, Address], None],
        welcome: Callable[[str], bool] = lambda host: True,
    ) -> None:  # fmt: skip
        self._config, self._enter, self._welcome = config, enter, welcome
        self._listener: socket.socket | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._accept_loop, name="scp-accept", daemon=True)

    def open(self) -> int:
        """Bind, listen and accept from now on; the port actually bound.

        Raises:
            OSError: the address cannot be bound.
        """
        self._listener = _listen(self._config)
        self._wake_reader, self._wake_writer = socket.socketpair()
        port: int = self._listener.getsockname()[1]
        self._thread.start()
        log.info("listening", extra={"action": "scp.listening", "port": port, "ae_title": self._config.ae_title})
        return port

    def close(self) -> None:
        """Accept nothing more. More than once is allowed."""
        self._closing.set()
        if self._thread.is_alive():
            self._wake_writer.send(b"x")
            self._thread.join()
            self._wake_reader.close()
            self._wake_writer.close()

    def _accept_loop(self) -> None:
        assert self._listener is not None
        with selectors.DefaultSelector() as selector, self._listener:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wake_reader, selectors.EVENT_READ)
            while not self._closing.is_set():
                selector.select()
                if self._closing.is_set():
                    return
                try:
                    sock, address = self._listener.accept()
                except BlockingIOError:
                    continue
                except OSError as exc:
                    # Out of file descriptors, or the peer is gone already: wait a little instead of spinning.
                    log.warning("accept failed: %s", exc.strerror, extra={"action": "scp.accept_failed"})
                    self._closing.wait(0.1)
                    continue
                host = address[0].removeprefix("::ffff:")
                if self._welcome(host):
                    self._enter(sock, (host, address[1]))
                else:
                    sock.close()


class Hall:
    """The connections that this process serves, at most so many waiting and so many open, through whatever door."""

    def __init__(self, handler: ScpHandler, changed: Callable[[int, int], None] = lambda waiting, opened: None) -> None:
        """`changed` hears, from any thread, how many connections have not opened an association yet and how many have."""
        self._handler, self._tell = handler, changed
        self._agreements = Agreements()
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._waiting: Waiting[Acceptor] = Waiting()
        self._open: set[Acceptor] = set()
        self._limits: dict[Acceptor, int] = {}

    @property
    def open_associations(self) -> int:
        """How many associations are open now."""
        with self._changed:
            return len(self._open)

    def take(self, sock: socket.socket, address: Address, config: ScpConfig, tls: ServerTls | None = None) -> None:
        """Serve a connection in a thread of its own; whatever goes wrong, the socket is seen to."""
        acceptor = None
        try:
            sock.setblocking(True)
            if tls is not None:
                sock = tls.wrap(sock)  # the handshake is the business of the association's own thread
            acceptor = Acceptor(config, self._handler, sock, address, self._admit, self._dismiss, self._agreements)
            with self._changed:
                victim = self._waiting.add(acceptor, address[0], config.max_waiting)
                if victim is not None:
                    victim.cut()
                self._limits[acceptor] = config.max_associations
                self._tell(len(self._waiting), len(self._open))
            threading.Thread(target=acceptor.run, name=f"scp-{address[0]}", daemon=True).start()
        except (OSError, RuntimeError) as exc:
            log.warning("connection dropped: %s", exc, extra={"action": "scp.dropped", "address": address[0]})
            if acceptor is not None:
                self._dismiss(acceptor)
            sock.close()

    def stop(self, timeout_s: float) -> None:
        """Let open associations finish for up to `timeout_s` seconds, then abort the rest; the door is closed already."""
        self._stopping.set()
        self._cut(self._waiting)
        if not self._wait_until_empty(timeout_s):
            self._cut(self._open)
            self._wait_until_empty(_LAST_WORD_S)
        log.info("stopped", extra={"action": "scp.stopped", "left": self.open_associations})

    # -- called by acceptors, in their threads -----------------------------------------------------------------

    def _admit(self, acceptor: Acceptor) -> bool:
        with self._changed:
            self._waiting.remove(acceptor)
            if self._stopping.is_set() or len(self._open) >= self._limits[acceptor]:
                return False
            self._open.add(acceptor)
            self._tell(len(self._waiting), len(self._open))
            return True

    def _dismiss(self, acceptor: Acceptor) -> None:
        with self._changed:
            self._waiting.remove(acceptor)
            self._limits.pop(acceptor, None)
            self._open.discard(acceptor)
            self._tell(len(self._waiting), len(self._open))
            self._changed.notify_all()

    # -- stopping ----------------------------------------------------------------------------------------------

    def _cut(self, acceptors: Iterable[Acceptor]) -> None:
        with self._changed:
            for acceptor in list(acceptors):
                acceptor.cut()

    def _wait_until_empty(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, max(0.0, deadline - time.monotonic()))


class StorageScp:
    """A DICOM storage and verification SCP (PS3.4 Annexes A and B) in one process, with one door and its hall.

    With `tls` it serves nothing else (PS3.15 B.12).
    """

    def __init__(
        self, config: ScpConfig, handler: ScpHandler, tls: ServerTls | None = None,
        welcome: Callable[[str], bool] = lambda host: True,
    ) -> None:  # fmt: skip
        self._hall = Hall(handler)
        self._door = Door(config, lambda sock, address: self._hall.take(sock, address, config, tls), welcome)

    def start(self) -> int:
        """Listen; the port actually bound. Raises OSError: the address cannot be bound."""
        return self._door.open()

    @property
    def open_associations(self) -> int:
        """How many associations are open now."""
        return self._hall.open_associations

    def stop(self, timeout_s: float) -> None:
        """Stop accepting, let open associations finish for up to `timeout_s` seconds, then abort the rest."""
        self._door.close()
        self._hall.stop(timeout_s)


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
