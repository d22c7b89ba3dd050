"""One TCP or TLS socket with a receive buffer: bytes in and out, each wait with a limit.

It must not know what a PDU is; upper.py puts bytes together.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from typing import Any

from actors.dicom import fast, tls
from protocol.errors import AssociationAborted, PeerTimeout

BUFFER_BYTES = 768 * 1024
_MAX_IOV = 512  # buffers per sendmsg, half of Linux's IOV_MAX
_TLS_BYTES = 64 * 1024  # four records; a write of TLS ends only when the peer's side took it all
_TLS_HANDSHAKE = b"\x16"  # content type of a record, RFC 8446 section 5.1
QUICKACK = getattr(socket, "TCP_QUICKACK", None)
_MOST_SPARE = 4  # 3 MB of each process
_spare: list[bytearray] = []


def _borrowed() -> bytearray:
    """A buffer for one connection; what an earlier one left in it is overwritten before it is looked at."""
    try:
        return _spare.pop()
    except IndexError:
        return bytearray(BUFFER_BYTES)


def _given_back(buffer: bytearray, view: memoryview) -> None:
    """Keep it for the next connection: new memory costs an association of few images more than they do.

    Not if anybody still looks into it: he would see another patient.
    """
    try:
        view.release()
        buffer.append(buffer.pop())  # no size may change while there are views
    except BufferError:
        return
    if len(_spare) < _MOST_SPARE:
        _spare.append(buffer)


class ConnectionLost(AssociationAborted):
    """The TCP connection ended without a release or abort."""


class Transport:
    """Owns the socket; used by one thread, except `shutdown`, which another may call to end a wait.

    Args:
        sock: a connected TCP socket, or one of TLS (whose handshake may still be to come, see `handshake`).
    """

    def __init__(self, sock: socket.socket) -> None:
        # Without TCP_NODELAY each small PDU waits for the peer's delayed acknowledgement, 40 ms.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._sock = sock
        self._tls = isinstance(sock, ssl.SSLSocket)
        self._buffer = _borrowed()
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self._held = False  # pieces of the buffer that were consumed are still in use
        self._deadline = 0.0
        self._waits_in_kernel = False  # see `settle_down`
        self.received_anything = False

    def handshake(self, timeout_s: float) -> str:
        """Shake hands as TLS server; the subject of the peer's verified certificate, or an empty text.

        Raises:
            PeerTimeout, ConnectionLost: the words say why, without any of the peer's.
        """
        assert isinstance(self._sock, ssl.SSLSocket)
        deadline = time.monotonic() + timeout_s
        try:
            self._sock.settimeout(timeout_s)
            # A look below TLS: who sends nothing at all checks our health, who sends a PDU has the wrong port.
            first = socket.socket.recv(self._sock, 1, socket.MSG_PEEK)
            if not first:
                raise ConnectionLost("the peer closed the connection")
            self.received_anything = True
            if first != _TLS_HANDSHAKE:
                raise ConnectionLost("TLS: the peer speaks no TLS")
            self._sock.settimeout(max(0.001, deadline - time.monotonic()))
            self._sock.do_handshake()
        except TimeoutError as exc:
            raise PeerTimeout(f"no TLS handshake within {timeout_s:g} s") from exc
        except OSError as exc:
            raise ConnectionLost(tls.words(exc)) from exc
        if self._sock.context.verify_mode == ssl.CERT_NONE:
            return ""
        shown = tls.peer_certificate(self._sock)
        return shown.subject if shown is not None else ""

    def settle_down(self, idle_s: float, busy_s: float) -> None:
        """The association is open: from now on the kernel keeps the limits of waiting, one system call less per read.

        A limit is then kept with a quarter of the shortest as tolerance. Not under TLS, whose records need several reads.
        """
        if self._tls:
            return
        look_s = min(15.0, max(0.02, min(idle_s, busy_s) / 4))
        every = struct.pack("@ll", int(look_s), int(look_s % 1 * 1e6))
        with contextlib.suppress(OSError):  # the peer may be gone; the next read says so
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, every)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, every)
            self._sock.settimeout(None)
            self._waits_in_kernel = True

    def readable(self, timeout_s: float) -> bool:
        """Whether the peer said something, or is gone, within `timeout_s`; nothing of it is read."""
        if self._start != self._end or (isinstance(self._sock, ssl.SSLSocket) and self._sock.pending()):
            return True
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    # -- receiving ---------------------------------------------------------------------------------------------

    def _fill(self, need: int) -> None:
        """Wait until at least `need` bytes (never more than a header) are in the buffer."""
        while self._end - self._start < need:
            if self._start + need > BUFFER_BYTES or self._end == BUFFER_BYTES:
                self._compact()
            elif self._start == self._end and not self._held:
                self._start = self._end = 0
            self._receive()

    def _receive(self) -> None:
        """Append what comes next to the buffer, which has room for it."""
        while True:
            remaining = self._deadline - time.monotonic()
            if remaining <= 0:
                raise PeerTimeout("the peer fell silent")
            try:
                if not self._waits_in_kernel:
                    self._sock.settimeout(remaining)
                count = self._sock.recv_into(self._view[self._end :])
            except BlockingIOError:  # the kernel's limit, which is a look at ours
                continue
            except TimeoutError as exc:
                raise PeerTimeout("the peer fell silent") from exc
            except OSError as exc:
                raise ConnectionLost(broken(exc)) from exc
            break
        if not count:
            raise ConnectionLost("the peer closed the connection")
        self._end += count
        self.received_anything = True
        if QUICKACK is not None:
            # The kernel forgets it after a while: a sender with Nagle's algorithm on stalls without it.
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)

    def _compact(self) -> None:
        """Move what was not consumed yet to the beginning of the buffer."""
        rest = bytes(self._view[self._start : self._end])
        self._buffer[: len(rest)] = rest
        self._start, self._end = 0, len(rest)

    def _append(self, target: bytearray | None, length: int) -> None:
        """Move the next `length` received bytes to the end of `target`, or drop them."""
        while length:
            self._fill(1)
            count = min(length, self._end - self._start)
            if target is not None:
                target += self._view[self._start : self._start + count]
            self._start += count
            length -= count

    def _take(self, length: int) -> bytes:
        data = bytearray()
        self._append(data, length)
        return bytes(data)

    # -- sending -----------------------------------------------------------------------------------------------

    def _send_plain(self, parts: Sequence[Any], stall_s: float) -> None:
        if len(parts) == 1 and self._waits_in_kernel and fast.helper is not None:
            # What fits into the kernel's buffer takes no time: to let other threads in between would cost more.
            sent = fast.helper.send(self._sock.fileno(), parts[0])
            if sent == len(parts[0]):
                return
            parts = [memoryview(parts[0])[sent:]]
        queue = [memoryview(part) for part in parts]
        first = 0
        moved = time.monotonic()
        while first < len(queue):
            try:
                sent = self._sock.sendmsg(queue[first : first + _MAX_IOV])
            except BlockingIOError:  # see `settle_down`
                if time.monotonic() - moved > stall_s:
                    raise TimeoutError from None
                continue
            while first < len(queue) and sent >= len(queue[first]):
                sent -= len(queue[first])
                first += 1
            if sent:
                queue[first] = queue[first][sent:]
                moved = time.monotonic()

    def _send_tls(self, parts: Sequence[Any]) -> None:
        """TLS knows no sendmsg: headers and slices are put together, so that they do not become a record each."""
        together = bytearray()
        for part in parts:
            view = memoryview(part)
            while view:
                piece = view[: _TLS_BYTES - len(together)]
                together += piece
                view = view[len(piece) :]
                if len(together) == _TLS_BYTES:
                    self._sock.sendall(together)
                    together.clear()
        if together:
            self._sock.sendall(together)

    # -- the end -----------------------------------------------------------------------------------------------

    def linger(self, limit_s: float) -> None:
        """Give the peer `limit_s` to close first, PS3.8 section 9.1.5 (ARTIM).

        Closing with unread bytes would reset the connection, and the reset would overtake our last PDU.
        """
        deadline = time.monotonic() + limit_s
        self._waits_in_kernel = False
        if self._tls:
            self._notify_close()
        with contextlib.suppress(OSError):
            self.shutdown(socket.SHUT_WR)
            while (remaining := deadline - time.monotonic()) > 0:
                self._sock.settimeout(remaining)
                if not socket.socket.recv_into(self._sock, self._buffer):  # below TLS: only the end counts
                    break

    def _notify_close(self) -> None:
        """The last word of TLS (RFC 8446 section 6.1), without waiting for the peer's."""
        with contextlib.suppress(OSError, ValueError):
            self._sock.settimeout(0)
            self._sock.unwrap()  # type: ignore[attr-defined]

    def shutdown(self, how: int = socket.SHUT_RD) -> None:
        """End a read that is under way in another thread; with SHUT_RDWR a send too."""
        with contextlib.suppress(OSError):
            # Below TLS: SSLSocket.shutdown drops the encryption, and what follows would go out in the clear.
            socket.socket.shutdown(self._sock, how)

    def close(self) -> None:
        """Close the socket; more than once is allowed."""
        if self._tls:
            self._notify_close()
        with contextlib.suppress(OSError):
            self._sock.close()
        buffer, self._buffer = self._buffer, bytearray()
        view, self._view = self._view, memoryview(self._buffer)
        self._start = self._end = 0
        if buffer:
            _given_back(buffer, view)


def broken(exc: OSError) -> str:
    if isinstance(exc, ssl.SSLError):
        return tls.words(exc)
    return f"the connection broke: {exc.strerror or exc}"
