"""How the receiver and one of its workers talk: a pair of sockets that keep messages whole and can carry a connection.
It must not carry anything whose loss matters: who misses a word finds it in the spool, or sees the socket's end.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Any

from protocol.errors import DecodeError
from protocol.wire.codec import pack, unpack_map

# To the worker
SERVE, POLICY, CERTIFICATE, STOP = "serve", "policy", "certificate", "stop"
# Both ways: a question whether the worker is alive, and its answer
HERE = "here"
# To the receiver
READY, LOAD, EVENTS, ARRIVED, CLOSED, FIGURES = "ready", "load", "events", "arrived", "closed", "figures"

MOST_BYTES = 64 * 1024
ARRIVALS_TOLD = 1000  # in one message; the router finds the rest by looking


class Line:
    """One end. Sending from several threads is allowed, receiving from one."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 256 * 1024)

    @classmethod
    def pair(cls) -> tuple[Line, socket.socket]:
        """Our end, and the one to give away."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), theirs

    def fileno(self) -> int:
        return self._sock.fileno()

    def say(self, word: str, more: Mapping[str, Any] | None = None, *, wait: bool = False) -> bool:
        """One message; without `wait` it is left out while the other side does not listen. False if it was not sent."""
        data = pack({"is": word, **(more or {})})
        try:
            self._sock.send(data, 0 if wait else socket.MSG_DONTWAIT)
            return True
        except OSError:  # nobody listens now, or not any more: the end of the socket says that
            return False

    def hand_over(self, word: str, more: Mapping[str, Any], sock: socket.socket) -> bool:
        """A message with a connection, whose own end here can be closed then. False if nobody takes it."""
        data = pack({"is": word, **more})
        try:
            socket.send_fds(self._sock, [data], [sock.fileno()], socket.MSG_DONTWAIT)
            return True
        except OSError:
            return False

    def hear(self) -> tuple[dict[str, Any], socket.socket | None] | None:
        """Wait for the next message, with the connection it brings; None at the end. What is no message is an empty one."""
        try:
            data, fds, _, _ = socket.recv_fds(self._sock, MOST_BYTES, 1)
        except OSError:
            return None
        if not data:
            return None
        sock = socket.socket(fileno=fds[0]) if fds else None
        for extra in fds[1:]:
            os.close(extra)
        try:
            return unpack_map(data), sock
        except DecodeError:
            return {}, sock

    def end(self) -> None:
        """The other side hears the end; so does who waits in `hear`."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._sock.close()
