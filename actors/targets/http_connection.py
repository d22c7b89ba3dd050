"""One HTTP/1.1 connection of a client with large bodies: each wait has a limit, and an early answer ends the sending.
It must not know DICOM, repeat a request, follow a redirect, or keep an answer of whatever length.
"""

from __future__ import annotations

import contextlib
import io
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from http.client import HTTPException, HTTPResponse
from types import SimpleNamespace
from typing import Any

from actors.dicom.transport import broken
from protocol.errors import AssociationAborted, PeerTimeout
from protocol.records import record

LIMIT_BYTES = 4 * 1024 * 1024  # of an answer's body; one for a thousand images needs a tenth
SLOWEST = 10_000  # bytes per second: a request that goes on more slowly is given up, whatever its pieces do
_INBOX_BYTES = 64 * 1024
_PIECE_BYTES = 256 * 1024
_TLS_PIECE_BYTES = 64 * 1024  # a write of TLS ends only when the kernel took it all
_UNSENT_BYTES = 256 * 1024  # that the kernel keeps for us: what it took should mean that the peer is taking
_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", None)
_CONTINUE_S = 1.0  # many servers ignore Expect; RFC 9110 section 10.1.1 says not to wait for ever
_MOST_INTERIM = 20
_INTERIM = (b"HTTP/1.1 1", b"HTTP/1.0 1")


@record
class Request:
    """One request. `body` are its pieces, `length` their bytes altogether, or None: chunked (RFC 9112 section 7.1).

    `target` is what stands in the request line (RFC 9112 section 3.2). `expect`: ask before the body is sent. Small pieces
    are put `together` up to so many bytes.
    """

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: Iterable[bytes | memoryview] = ()
    length: int | None = 0
    expect: bool = False
    together: int = _PIECE_BYTES

    def head(self) -> bytes:
        """Request line and header fields. Raises ValueError: one of them cannot be written."""
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers)]
        if self.length is None:
            lines.append("Transfer-Encoding: chunked")
        elif self.length or self.method not in ("GET", "OPTIONS", "CONNECT"):
            lines.append(f"Content-Length: {self.length}")
        if self.expect:
            lines.append("Expect: 100-continue")
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a line break in a header field")
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii")


@record
class Reply:
    """A whole answer; `headers` has names in lower case, the first of each. Everything in it is the peer's word.

    `early`: it came before the peer can have had all of the request.
    """

    status: int
    headers: dict[str, str]
    body: bytes = b""
    early: bool = False


class HttpConnection:
    """Owns a connected socket (plain or TLS); used by one thread.

    The peer has `timeout_s` for each piece that it takes, for the first byte of its answer, and for the rest of it;
    and for a whole body its length by SLOWEST more. `alive` is called whenever bytes moved.
    """

    def __init__(self, sock: socket.socket, timeout_s: float, alive: Callable[[], None]) -> None:
        self.alive = alive
        self.used = False  # it has answered before
        self.heard = False  # something came in answer to the last request
        self.over = False
        self._sock, self._timeout_s = sock, timeout_s
        self._tls = isinstance(sock, ssl.SSLSocket)
        sock.settimeout(0)
        with contextlib.suppress(OSError):  # a peer that is gone already shows at the first request
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if _NOTSENT_LOWAT is not None:
                sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, _UNSENT_BYTES)
        self._inbox = bytearray()
        self._ended = ""  # why nothing more will come
        self._waiting = False
        self._by = 0.0  # monotonic
        self._reader = _Lasting(_Incoming(self))

    def exchange(self, request: Request, with_body: bool = True) -> Reply:
        """Send a request and wait for its answer (`with_body` False: which has none, as that of CONNECT).

        Raises:
            PeerTimeout, AssociationAborted: the connection is over; what became of the request is unknown.
            ValueError: the request cannot be written. Whatever else the body's pieces raise ends the connection, too.
        """
        head = request.head()
        self.heard = False
        try:
            whole = self._send(request, head)
            reply, stays = self._answer(with_body)
        except BaseException:
            self.close()
            raise
        self.used = True
        if not (whole and stays):
            self.close()
        return reply if whole else replace(reply, early=True)

    def is_idle(self) -> bool:
        """Whether another request can be sent. Never waits: who speaks unasked, or is gone, is not asked again."""
        if self.over:
            return False
        self._receive()
        if self._ended or self._reader.peek(1):
            self.close()
            return False
        return True

    def close(self) -> None:
        """End it; more than once is allowed."""
        self.over = True
        with contextlib.suppress(OSError):
            self._sock.close()

    def release(self) -> socket.socket:
        """Hand over the socket, behind the answer to a CONNECT. Raises AssociationAborted: more was said than that."""
        if not self.is_idle():
            raise AssociationAborted("the proxy does not keep to HTTP")
        self.over = True
        return self._sock

    # -- sending -----------------------------------------------------------------------------------------------------

    def _send(self, request: Request, head: bytes) -> bool:
        """False: the answer came before all was sent, so the connection cannot be used any more."""
        ends = time.monotonic() + self._timeout_s + (request.length or 0) / SLOWEST
        if request.expect:
            if not self._push(memoryview(head), ends):
                return False
            head = b""
            self._by = time.monotonic() + min(_CONTINUE_S, self._timeout_s)
            with contextlib.suppress(PeerTimeout):
                self._wait(select.POLLIN)
            if self._answered():
                return False
        sent = 0
        body = _chunked(request.body) if request.length is None else request.body
        asked = time.monotonic()
        for piece in _gathered(head, body, min(request.together, _PIECE_BYTES)):
            ends += time.monotonic() - asked  # how long the body makes us wait is no fault of the server's
            sent += len(piece)
            # How long a chunked body will be is known only when it ends: it earns its time as it goes.
            if not self._push(piece, ends + (sent / SLOWEST if request.length is None else 0)):
                return False
            asked = time.monotonic()
        return True

    def _push(self, view: memoryview, ends: float) -> bool:
        """Send all of it; False if an answer came instead."""
        self._by = min(ends, time.monotonic() + self._timeout_s)
        size = _TLS_PIECE_BYTES if self._tls else _PIECE_BYTES
        while view:
            if self._answered():
                return False
            try:
                count = self._sock.send(view[:size])
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._wait(select.POLLIN | select.POLLOUT)
                continue
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN)
                continue
            except OSError as exc:
                if self._answered() and self._inbox:
                    return False  # it said why, and hung up
                raise AssociationAborted(broken(exc)) from exc
            view = view[count:]
            self._by = min(ends, time.monotonic() + self._timeout_s)
            self.alive()
        return True

    def _wait(self, events: int) -> None:
        remaining = self._by - time.monotonic()
        poll = select.poll()
        poll.register(self._sock, events)
        if remaining <= 0 or (not poll.poll(remaining * 1000) and time.monotonic() >= self._by):
            what = "took no more data" if events & select.POLLOUT else "gave no answer"
            raise PeerTimeout(f"the server {what} within its time ({self._timeout_s:g} s each)")

    # -- receiving ---------------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        """Take what has come, without waiting."""
        try:
            while not self._ended and len(self._inbox) < _INBOX_BYTES:
                data = self._sock.recv(_INBOX_BYTES)
                if data:
                    self.heard = True
                    self._inbox += data
                else:
                    self._ended = "the server closed the connection"
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as exc:
            self._ended = broken(exc)

    def _answered(self) -> bool:
        """Whether more came than interim answers (RFC 9110 section 15.2), which are forgotten, or the end."""
        self._receive()
        inbox = self._inbox
        while inbox.startswith(_INTERIM) and (end := inbox.find(b"\r\n\r\n")) >= 0:
            del inbox[: end + 4]
        enough = len(inbox) >= len(_INTERIM[0])  # to tell one from the other
        return bool(self._ended) or (enough and not inbox.startswith(_INTERIM)) or len(inbox) >= _INBOX_BYTES

    def take(self, into: Any) -> int | None:
        """For the reader: the next bytes, after waiting if an answer is awaited; 0 at the end, None if there is nothing."""
        while not self._inbox:
            self._receive()
            if self._inbox:
                break
            if self._ended:
                return 0
            if not self._waiting:
                return None
            self._wait(select.POLLIN)
        if self._waiting:
            self.alive()
        count = min(len(into), len(self._inbox))
        into[:count] = self._inbox[:count]
        del self._inbox[:count]
        return count

    def _answer(self, with_body: bool) -> tuple[Reply, bool]:
        """(the answer, whether the connection goes on)"""
        self._waiting, self._by = True, time.monotonic() + self._timeout_s
        try:
            self._reader.peek(1)  # from the first byte on the time runs anew
            self._by = time.monotonic() + self._timeout_s
            response = self._final(with_body)
            body = response.read(LIMIT_BYTES + 1) if with_body else b""
            if len(body) > LIMIT_BYTES:
                raise AssociationAborted(f"the server's answer is longer than {LIMIT_BYTES >> 20} MB")
            if response.length:
                raise AssociationAborted(self._ended or "the server's answer was cut off")
        except (HTTPException, ValueError) as exc:
            if self._ended and not isinstance(exc, ValueError):
                raise AssociationAborted(f"{self._ended} instead of answering") from exc
            raise AssociationAborted(f"the server's answer is no HTTP ({type(exc).__name__})") from exc
        finally:
            self._waiting = False
        headers: dict[str, str] = {}
        for name, value in response.headers.items():
            headers.setdefault(name.lower(), str(value))
        read = response.isclosed() or not with_body
        return Reply(response.status, headers, body), read and not response.will_close

    def _final(self, with_body: bool) -> HTTPResponse:
        for _ in range(_MOST_INTERIM):
            lent: Any = SimpleNamespace(makefile=lambda mode: self._reader)
            response = HTTPResponse(lent, method="POST" if with_body else "HEAD")
            response.begin()
            if response.status >= 200:
                return response
        raise AssociationAborted("the server answers with nothing but interim answers")


class _Incoming(io.RawIOBase):
    """What a connection receives, as a raw stream."""

    def __init__(self, connection: HttpConnection) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        return self._connection.take(memoryview(buffer))


class _Lasting(io.BufferedReader):
    """Goes from one answer to the next, although each closes what it read from."""

    def close(self) -> None:
        return


def _chunked(body: Iterable[bytes | memoryview]) -> Iterable[bytes | memoryview]:
    for piece in body:
        if piece:
            yield b"%x\r\n" % len(piece)
            yield piece
            yield b"\r\n"
    yield b"0\r\n\r\n"


def _gathered(head: bytes, body: Iterable[bytes | memoryview], most: int) -> Iterable[memoryview]:
    """Small pieces put together up to `most` bytes, so that an image of some kilobytes is one write."""
    together = bytearray(head)
    for piece in body:
        if together and len(together) + len(piece) > most:
            yield memoryview(together)
            together = bytearray()
        if len(piece) >= most:
            yield memoryview(piece)
        else:
            together += piece
    if together:
        yield memoryview(together)
