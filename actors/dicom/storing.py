"""One C-STORE request from its command to its status: guards the handler's intake, so that whatever goes wrong becomes a
status and the rest of the dataset is still read. It must not read a socket or know what the handler does with the bytes.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

from actors.dicom import statuses
from actors.dicom.service import Intake, Peer, ScpHandler, StoreCommand
from protocol.errors import DiskFailed, OutOfSpace, UnreadableImage

log = logging.getLogger(__name__)


class Storing:
    """The sink of one dataset (see upper.Sink). It ends with `status` or with `abandon`."""

    def __init__(
        self, handler: ScpHandler, association_id: bytes, peer: Peer, command: StoreCommand, max_bytes: int
    ) -> None:
        self._handler, self._peer, self._max = handler, peer, max_bytes
        self._size = 0
        self._status: int | None = None
        self._intake: Intake | None = None
        self._guarded(lambda: self._begin(association_id, command))

    def write(self, pieces: list[memoryview], last: bool) -> None:
        """See upper.Sink. After a fault or beyond the limit of size bytes are dropped."""
        intake = self._intake
        if intake is None:
            return
        self._size += sum(map(len, pieces))
        if self._size > self._max:
            self._fail(_oversized(self._peer))
        else:
            self._guarded(lambda: intake.write(pieces, last))

    def status(self) -> int:
        """All has come: the status to answer."""
        intake = self._intake
        if intake is not None:
            self._guarded(lambda: self._finish(intake))
        return statuses.PROCESSING_FAILURE if self._status is None else self._status

    def abandon(self) -> None:
        """The association ended in the middle."""
        intake, self._intake = self._intake, None
        if intake is None:
            return
        try:
            intake.abandon()
        except DiskFailed as exc:
            self._handler.fatal(exc)
        except Exception as exc:
            log_fault("scp.abandon", exc)

    def _begin(self, association_id: bytes, command: StoreCommand) -> None:
        self._intake = self._handler.begin(association_id, self._peer, command)

    def _finish(self, intake: Intake) -> None:
        self._intake = None  # from now on it is the handler's alone: what it has begun to record must not be taken away
        self._status = int(intake.finish()) & 0xFFFF

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as exc:
            self._fail(status_of(exc, self._handler, self._peer))

    def _fail(self, status: int) -> None:
        self._status = status
        self.abandon()


def whole(
    handler: ScpHandler, association_id: bytes, peer: Peer, command: StoreCommand, pieces: list[memoryview], most: int
) -> int:
    """Hand on an object that came in one go, at most so many bytes of it; the status to answer."""
    if sum(map(len, pieces)) > most:
        return _oversized(peer)
    try:
        return int(handler.whole(association_id, peer, command, pieces)) & 0xFFFF
    except Exception as exc:
        return status_of(exc, handler, peer)


def status_of(exc: Exception, handler: ScpHandler, peer: Peer) -> int:
    """What came out of the handler, logged and as the status that answers the request."""
    if isinstance(exc, OutOfSpace):
        log.error("out of space", extra={"action": "scp.out_of_space", "source": peer.calling_ae})
        return statuses.OUT_OF_RESOURCES
    if isinstance(exc, UnreadableImage):
        return statuses.CANNOT_UNDERSTAND
    if isinstance(exc, DiskFailed):
        handler.fatal(exc)
    else:
        log_fault("scp.store", exc)
    return statuses.PROCESSING_FAILURE


def _oversized(peer: Peer) -> int:
    log.warning("object above the limit refused", extra={"action": "scp.oversized", "source": peer.calling_ae})
    return statuses.OUT_OF_RESOURCES


class Dropped:
    """The sink of a dataset that nobody wants, of whatever size."""

    def write(self, pieces: list[memoryview], last: bool) -> None:
        """See upper.Sink."""


def log_fault(action: str, exc: Exception) -> None:
    """Log where it broke, but not the exception's text: it may quote a value out of the image."""
    where = "".join(traceback.format_tb(exc.__traceback__))
    log.error("%s\n%s", type(exc).__name__, where, extra={"action": action})
