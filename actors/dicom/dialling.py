"""Opening a TCP connection within a time limit that includes the name server. It must not send anything."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

from protocol.addresses import with_port
from protocol.causes import Cause, of_errno
from protocol.errors import TargetUnreachable


def connect(host: str, port: int, timeout_s: float) -> socket.socket:
    """Try all addresses of `host` within `timeout_s` altogether.

    Raises:
        TargetUnreachable: name, route or port.
    """
    deadline = time.monotonic() + timeout_s
    last: OSError | None = None
    for family, kind, number, _, address in _resolve(host, port, timeout_s):
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            break
        sock = socket.socket(family, kind, number)
        try:
            sock.settimeout(remaining)
            sock.connect(address)
            return sock
        except OSError as exc:
            sock.close()
            last = exc
    if last is None or isinstance(last, TimeoutError):
        raise TargetUnreachable(f"{with_port(host, port)}: no connection within {timeout_s:g} s") from last
    cause = of_errno(last.errno, Cause.UNREACHABLE)
    raise TargetUnreachable(f"{with_port(host, port)}: {last.strerror or last}", cause=cause) from last


def _resolve(host: str, port: int, timeout_s: float) -> list[Any]:
    """getaddrinfo in a thread of its own: it knows no timeout, and a dead name server must not hold up a delivery."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        pass  # no literal address, so a name to ask for
    outcome: list[Any] = []

    def ask() -> None:
        try:
            outcome.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as exc:
            outcome.append(exc)

    thread = threading.Thread(target=ask, name="resolve", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not outcome:
        words = f"{host}: the name was not resolved within {timeout_s:g} s"
        raise TargetUnreachable(words, cause=Cause.NAME_UNKNOWN)
    if isinstance(outcome[0], Exception):
        words = f"{host}: the name cannot be resolved"
        raise TargetUnreachable(words, cause=Cause.NAME_UNKNOWN) from outcome[0]
    addresses: list[Any] = outcome[0]
    return addresses
