"""Who serves the connections that come in at the receiver's doors: this process itself, or several workers.
It must not look at DICOM; it hands over, counts, and sees to it that the router and the bus hear of what happens.
"""

from __future__ import annotations

import socket
from collections import Counter
from typing import Protocol

from actors.dicom.scp import Address
from actors.receiver.associations import Served
from actors.receiver.counting import OpenNow
from actors.receiver.reception import Means, Reception
from protocol.wire.nudges import Wire


class Crew(Protocol):
    """All but `take` from one thread."""

    def start(self) -> None:
        """Be ready to take connections. Raises SpoolError."""

    def take(self, sock: socket.socket, address: Address, port: int) -> None:
        """Serve a connection that came in at `port`, its number among the ports; from any thread."""

    def attend(self, now: float) -> None:
        """Look after those who serve; `now` is monotonic. Raises DiskFailed if the process has to end."""

    @property
    def patient(self) -> bool:
        """Nobody has to be looked after until something is committed or told."""

    def new_policy(self) -> None:
        """There is a new routing configuration."""

    def new_certificate(self) -> None:
        """The files of the certificate changed."""

    def figures(self) -> Counter[str]:
        """Counts since the start, of the living and, where they count what happened, of the dead."""

    def stop(self, limit_s: float) -> None:
        """Let open associations finish for so long, abort the rest. Raises DiskFailed."""


class AloneNews:
    """What happens in this very process, told at once."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def committed(self) -> None:
        self._wire.committed()

    def arrived(self, arrivals: set[int]) -> None:
        for arrival in arrivals:
            self._wire.arrived(arrival)

    def closed(self, served: Served) -> None:
        for arrival in served.arrivals:
            self._wire.arrived(arrival, {"association": served.id.hex(), "how": served.how})

    def wake(self) -> None:
        self._wire.wake()


class Alone:
    """A crew of one: `receiver.workers = 1`."""

    def __init__(self, means: Means, instance: str, wire: Wire, open_now: OpenNow) -> None:
        self._means, self._instance, self._wire, self._open_now = means, instance, wire, open_now
        self.reception: Reception | None = None

    def start(self) -> None:
        self.reception = Reception(self._means, self._instance, AloneNews(self._wire), self._open_now)
        self.reception.start()

    def take(self, sock: socket.socket, address: Address, port: int) -> None:
        assert self.reception is not None
        self.reception.take(sock, address, port)

    def attend(self, now: float) -> None:
        assert self.reception is not None
        self.reception.one_pass()

    @property
    def patient(self) -> bool:
        return False  # what the periodic work of a worker is for happens here, too

    def new_policy(self) -> None:
        assert self.reception is not None
        self.reception.new_policy()

    def new_certificate(self) -> None:
        assert self.reception is not None
        self.reception.new_certificate()

    def figures(self) -> Counter[str]:
        assert self.reception is not None
        return Counter(self.reception.figures())  # type: ignore[arg-type]

    def stop(self, limit_s: float) -> None:
        if self.reception is not None:
            self.reception.stop(limit_s)
