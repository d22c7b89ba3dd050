"""What the ways to people share: a step of the way, an end of all patience, whom to trust. It must not know any protocol."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from smtplib import SMTPException
from typing import Any

from protocol.errors import NetworkError
from protocol.records import record


class Refused(NetworkError):
    """A letter was not taken."""


@record
class Rung:
    """One step of the way. `climb` tells what was seen; it raises what is wrong."""

    name: str
    climb: Callable[[], str]


@record
class Step:
    """A rung that was tried: whether it held, the seconds it took, what was seen."""

    name: str
    ok: bool
    seconds: float
    text: str


def climb(rungs: Sequence[Rung], words: Callable[[Exception], str]) -> list[Step]:
    """Try rung after rung until one fails. `words` says what an error means."""
    steps = []
    for rung in rungs:
        begun = time.monotonic()
        try:
            text, ok = rung.climb(), True
        except (OSError, SMTPException, ValueError, NetworkError) as exc:
            text, ok = words(exc), False
        steps.append(Step(rung.name, ok, round(time.monotonic() - begun, 3), text))
        if not ok:
            break
    return steps


def trust(ca: Path | None) -> ssl.SSLContext:
    """TLS that trusts these authorities (PEM), or the machine's. Raises OSError, ssl.SSLError."""
    return ssl.create_default_context(cafile=None if ca is None else str(ca))


class Deadline:
    """Shuts a connection after so many seconds, whatever goes on there: a peer that sends a byte a minute is no progress."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer: threading.Timer | None = None
        self._socket: Any = None

    def begin(self) -> None:
        """From now on."""
        self._timer = threading.Timer(self._seconds, self._shut)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, connection: Any) -> None:
        """This is the socket to shut."""
        self._socket = connection

    def end(self) -> None:
        """It is over."""
        if self._timer is not None:
            self._timer.cancel()
        self._socket = None

    def _shut(self) -> None:
        connection = self._socket
        if connection is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
