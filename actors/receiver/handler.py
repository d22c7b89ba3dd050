"""What the receiver does with each association and image: admit, scan, save, commit, and only then acknowledge.
It must not know PDUs or sockets, and one peer's trouble must not reach another's association.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from actors.dicom.service import How, Peer, StoreRequest
from actors.dicom.statuses import CANNOT_UNDERSTAND, OUT_OF_RESOURCES, PROCESSING_FAILURE, SUCCESS
from actors.receiver.admission import Notices, Policy, Reserve
from actors.receiver.associations import Associations, Served
from actors.receiver.committer import Committer
from protocol.errors import DiskFailed, OutOfSpace, SpoolError, UnreadableImage
from protocol.header.scan import Header, scan
from protocol.header.uids import valid_uid
from protocol.spool.images import Images, Incoming, misplaced


class Failure:
    """The first thing that makes this process end. Set by any thread, read by the main one."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._first: BaseException | None = None

    def set(self, exc: BaseException) -> None:
        """The outcome of something on disk is unknown: nothing is acknowledged any more."""
        if self._first is None:
            self._first = exc
        self._wake()

    def check(self) -> None:
        """Raises DiskFailed once something failed."""
        if self._first is not None:
            raise DiskFailed(str(self._first) or type(self._first).__name__) from self._first


class Counts:
    """What happened since the start, by outcome; from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(("stored", "duplicate", "quarantined", "refused"), 0)

    def add(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    def __getitem__(self, what: str) -> int:
        return self._counts[what]


class Handler:
    """ScpHandler of the receiver; every method runs in association threads, several at a time.

    `policy` is replaced by the main thread when there is a new routing configuration.
    """

    def __init__(
        self,
        images: Images,
        committer: Committer,
        associations: Associations,
        reserve: Reserve,
        notices: Notices,
        failure: Failure,
        policy: Policy,
        log: Any,
        *,
        refuse_unreadable: bool = False,
    ) -> None:
        self._images, self._committer, self._associations = images, committer, associations
        self._reserve, self._notices, self._failure, self._log = reserve, notices, failure, log
        self._refuse_unreadable = refuse_unreadable
        self.policy = policy
        self.counts = Counts()

    # -- associations ------------------------------------------------------------------------------------------

    def requested(self, peer: Peer) -> str | None:
        """See ScpHandler: the policy for known and unknown sources."""
        self._failure.check()
        reason = self.policy.admit(peer.calling_ae, peer.address).reason
        if reason is not None:
            self._turned_away(peer.calling_ae, peer.called_ae, peer.address, reason)
        return reason

    def opened(self, association_id: bytes, peer: Peer) -> None:
        """See ScpHandler: its row is there before its first image."""
        self._associations.opened(association_id, peer, self.policy.admit(peer.calling_ae, peer.address).source)

    def closed(self, association_id: bytes, peer: Peer, how: How) -> None:
        """See ScpHandler: the router is told."""
        self._associations.closed(association_id, how)

    def refused_pdu(self, address: str, reason: str) -> None:
        """See ScpHandler."""
        self._turned_away("", "", address, reason)

    def fatal(self, exc: BaseException) -> None:
        """See ScpHandler: the main thread ends the process."""
        self._failure.set(exc)

    def _turned_away(self, calling_ae: str, called_ae: str, address: str, reason: str) -> None:
        self._log.warning("turned_away", calling_ae=calling_ae, address=address, reason=reason)
        if self._notices.wanted(address, calling_ae, reason):
            self._record(
                "association.rejected",
                lambda: self._images.association_rejected(calling_ae, called_ae, address, reason),
            )

    # -- images ------------------------------------------------------------------------------------------------

    def store(self, association_id: bytes, peer: Peer, request: StoreRequest) -> int:
        """See ScpHandler: success only when file and row survive whatever the durability promises."""
        self._failure.check()
        try:
            self._reserve.take(len(request.dataset))
            return self._store(self._associations.get(association_id), request)
        except OutOfSpace as exc:
            return self._refuse(association_id, peer, request, OUT_OF_RESOURCES, str(exc))
        except DiskFailed:
            raise
        except (SpoolError, OSError) as exc:
            # An OSError's text would name a path; what went wrong is enough.
            reason = (exc.strerror if isinstance(exc, OSError) else str(exc)) or type(exc).__name__
            self._log.error("image_failed", association=association_id.hex(), reason=reason)
            return self._refuse(association_id, peer, request, PROCESSING_FAILURE, reason)

    def _store(self, served: Served, request: StoreRequest) -> int:
        incoming = self._examine(served, request)
        reason = misplaced(incoming)
        if reason is not None and self._refuse_unreadable:
            return self._refuse(served.id, served.peer, request, CANNOT_UNDERSTAND, reason)
        saved = self._images.save(incoming)
        receipt = self._committer.commit(saved)
        if receipt.outcome == "failed":
            # The bytes stay where they are and are adopted at the next start; the sender has its copy, too.
            raise SpoolError(f"the image could not be recorded ({type(receipt.error).__name__})")
        self.counts.add(receipt.outcome)
        served.images += 1
        if receipt.arrival:
            served.arrivals.add(receipt.arrival)
        return SUCCESS

    def _examine(self, served: Served, request: StoreRequest) -> Incoming:
        header: Header | None = None
        reason: str | None = None
        try:
            header = scan(request.dataset, request.transfer_syntax_uid, extra=self.policy.keywords)
        except UnreadableImage as exc:
            reason = str(exc)
        peer = served.peer
        return Incoming(
            served.id, peer.calling_ae, peer.called_ae, peer.address, served.source, request.sop_class_uid,
            request.sop_instance_uid, request.transfer_syntax_uid, request.dataset, header, reason,
        )  # fmt: skip

    def _refuse(self, association_id: bytes, peer: Peer, request: StoreRequest, status: int, reason: str) -> int:
        """Answer a failure status and record it as far as the disk still allows."""
        self.counts.add("refused")
        # What is no UID is free text out of DICOM, which has no place in an event.
        uid = request.sop_instance_uid if valid_uid(request.sop_instance_uid) else ""
        self._record(
            "image.rejected", lambda: self._images.refused(association_id, peer.calling_ae, uid, status, reason)
        )
        return status

    def _record(self, event: str, write: Callable[[], None]) -> None:
        """Record what changes nothing: if it fails, the answer to the peer stays what it is."""
        try:
            write()
        except DiskFailed as exc:
            self.fatal(exc)
        except Exception as exc:
            self._log.warning("event_not_recorded", type=event, error=type(exc).__name__)
