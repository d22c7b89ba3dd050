"""The associations that this process serves now, and their rows in the spool.
It holds nothing whose loss matters: after a death the rows say which associations were open, and they count as aborted; a
file whose row was still to come is adopted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from actors.dicom.service import Peer, StoreCommand
from actors.receiver.committer import Ticket
from actors.receiver.terms import Terms
from protocol.errors import DiskFailed, OutOfSpace
from protocol.header.scan import Header
from protocol.header.scanner import Scanner
from protocol.spool.images import Images, Origin, Receipt, Saved
from protocol.spool.intake import Writer


class Latest(NamedTuple):
    """An object that is stored: its command, header and folder, relative to the images folder."""

    command: StoreCommand
    header: Header
    folder: str


@dataclass
class Served:
    """One association. `recorded` is False while its row could not be written (the disk is full).

    `pending` makes the object ready that was acknowledged last and has no row yet; `behind` are tickets of those whose
    commit is under way, the oldest first; `left` are objects whose commit failed, to be tried again. `latest` is the last object
    that came, if it is stored and there was nothing odd about it.
    """

    id: bytes
    peer: Peer
    source: str | None
    recorded: bool = False
    images: int = 0
    arrivals: set[int] = field(default_factory=set)
    how: str = ""
    writer: Writer | None = None
    scanner: Scanner | None = None
    pending: Callable[[], Saved] | None = None
    behind: list[Ticket] = field(default_factory=list)
    left: list[Saved] = field(default_factory=list)
    latest: Latest | None = None
    alike: Any = None  # see alike.py
    terms: Terms = Terms()
    policy: object = None  # the one that the terms are out of
    chosen: bool = False  # its steps are logged, whether or not all are

    def count(self, receipt: Receipt) -> None:
        """An object has its row now."""
        self.images += 1
        if receipt.arrival:
            self.arrivals.add(receipt.arrival)


class Associations:
    """Opens and closes their rows; each association is used by its own thread.

    Args:
        owner: name of this process as a worker; stands in the rows.
        closed: told which arrivals an association had brought images for, after its end is recorded.
        settle: gives what is `left` of an association its rows, before its end is recorded. Raises what a commit raises.
    """

    def __init__(
        self, images: Images, owner: str, closed: Callable[[Served], None], settle: Callable[[Served], None], log: Any
    ) -> None:
        self._images, self._owner, self._closed, self._settle, self._log = images, owner, closed, settle, log
        self._lock = threading.Lock()
        self._served: dict[bytes, Served] = {}
        self._unclosed: list[Served] = []

    def __len__(self) -> int:
        return len(self._served)

    def opened(self, id: bytes, peer: Peer, source: str | None) -> Served:
        """Record a new one. On a full disk it is served without a row, so that the scanner gets to see A700."""
        served = Served(id, peer, source)
        try:
            self._record(served)
        except OutOfSpace as exc:
            self._log.warning("association_not_recorded", association=id.hex(), reason=str(exc))
        with self._lock:
            self._served[id] = served
        return served

    def get(self, id: bytes) -> Served:
        """One that is open, with its row. Raises OutOfSpace if it still cannot be recorded."""
        served = self._served[id]
        if not served.recorded:
            self._record(served)
        return served

    def peek(self, id: bytes) -> Served:
        """One that is open, with a row or without."""
        return self._served[id]

    def _record(self, served: Served) -> None:
        peer = served.peer
        if not served.recorded:
            self._images.association_opened(
                served.id, self._owner, peer.calling_ae, peer.called_ae, peer.address, served.source, peer.subject
            )
        served.recorded = True
        origin = Origin(served.id, peer.calling_ae, peer.called_ae, peer.address, served.source)
        served.writer = self._images.writer(origin)

    def closed(self, id: bytes, how: str) -> None:
        """Record the end; if that fails now, `finish` repeats it."""
        with self._lock:
            served = self._served.pop(id)
        served.how = how
        served.alike = None  # which knows this association in its turn, and holds a descriptor
        if served.writer is not None:
            served.writer.close()
        if served.recorded:
            self._close(served)
        self._log.info(
            "association_closed", association=id.hex(), calling_ae=served.peer.calling_ae, how=how, images=served.images,
            implementation=served.peer.implementation_version,
        )  # fmt: skip

    def finish(self) -> int:
        """Record the ends that could not be recorded; how many are left."""
        with self._lock:
            unclosed, self._unclosed = self._unclosed, []
        for served in unclosed:
            self._close(served)
        return len(self._unclosed)

    def _close(self, served: Served) -> None:
        try:
            self._settle(served)
            self._images.association_closed(served.id, served.how)
        except Exception as exc:
            with self._lock:
                self._unclosed.append(served)
            if isinstance(exc, DiskFailed):
                raise
            # Until it is recorded the router waits for the longer idle time: later, but nothing is lost.
            self._log.warning("end_not_recorded", association=served.id.hex(), error=type(exc).__name__)
            return
        self._closed(served)
