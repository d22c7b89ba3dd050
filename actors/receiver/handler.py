"""What the receiver does with each association and image: admit, scan, save, commit, and only then acknowledge.
It must not know PDUs or sockets, and one peer's trouble must not reach another's association.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from actors.dicom.commitment_scp import CommitmentHandler
from actors.dicom.service import How, Intake, LimitReached, Peer, StoreCommand, StoreRequest, Taker, Way
from actors.dicom.statuses import OUT_OF_RESOURCES, PROCESSING_FAILURE
from actors.receiver import alike, whole
from actors.receiver.admission import Notices, Policy, Reserve
from actors.receiver.associations import Associations, Served
from actors.receiver.committer import Committer, Ticket
from actors.receiver.counting import OpenNow
from actors.receiver.objects import OneObject
from actors.receiver.terms import Refusal
from protocol.errors import DiskFailed, OutOfSpace, SpoolError
from protocol.header.scanner import Scanner
from protocol.header.uids import valid_uid
from protocol.spool.images import Images, Receipt, Saved

MOST_BEHIND = 96  # acknowledged objects of one association without a row, beyond the one that came last


class Failure:
    """The first thing that makes this process end. Set by any thread, read by the main one."""

    def __init__(self, wake: Callable[[], None], halt: bytearray | None = None) -> None:
        """The first byte of `halt` is set once there is one: compiled code looks at it."""
        self._wake = wake
        self._first: BaseException | None = None
        self.halt = bytearray(2) if halt is None else halt

    def set(self, exc: BaseException) -> None:
        """The outcome of something on disk is unknown: nothing is acknowledged any more."""
        if self._first is None:
            self._first = exc
        self.halt[0] = 1
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

    def add(self, what: str, count: int = 1) -> None:
        with self._lock:
            self._counts[what] += count

    def __getitem__(self, what: str) -> int:
        return self._counts[what]


class Handler:
    """ScpHandler of the receiver; every method runs in association threads, several at a time.

    `policy` is replaced by the main thread when there is a new routing configuration. Success is answered once the file is
    as safe as promised; its row follows.
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
        open_now: OpenNow,
        max_bytes: int,
        chosen: Callable[[], bool] = lambda: False,
    ) -> None:
        """`chosen`: whether somebody wants the association that opens now logged."""
        self.images, self.committer, self._associations = images, committer, associations
        self.reserve, self._notices, self.failure, self.log = reserve, notices, failure, log
        self._open_now, self.max_bytes, self._chosen = open_now, max_bytes, chosen
        self._policy = policy
        self.stopping = threading.Event()  # nobody is made to wait any more
        self.commitment: CommitmentHandler | None = None
        self.counts = Counts()
        self.loners = alike.Loners()

    @property
    def policy(self) -> Policy:
        """The one in force."""
        return self._policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        before, self._policy = self._policy, policy
        if before is not policy:
            before.outdated[0] = 1

    # -- associations ------------------------------------------------------------------------------------------

    def requested(self, peer: Peer) -> str | None:
        """See ScpHandler: the policy for known and unknown sources."""
        self.failure.check()
        terms = self.policy.terms(peer.calling_ae, peer.address, peer.subject)
        if terms.rejection:
            self._reject(peer, terms.source, terms.rejection)
        return terms.rejection or None

    def opened(self, association_id: bytes, peer: Peer) -> None:
        """See ScpHandler: its row is there before its first image."""
        terms = self.policy.terms(peer.calling_ae, peer.address, peer.subject)
        reason = self._open_now.enter(
            association_id, terms.source, peer.address, source_most=terms.max_associations,
            answers=peer.calling_ae in self.policy.reporters,
        )  # fmt: skip
        if reason is not None:
            self._reject(peer, terms.source, reason)
            raise LimitReached(reason)
        try:
            served = self._associations.opened(association_id, peer, terms.source)
            self._settle_terms(served)
        except BaseException:
            self._open_now.leave(association_id)
            raise
        served.chosen = self._chosen()

    def agreed(self, association_id: bytes, facts: Callable[[], dict[str, Any]]) -> None:
        """See ScpHandler."""
        served = self._associations.peek(association_id)
        peer = served.peer
        self.log.debug(
            "association_opened", always=served.chosen, association=association_id.hex(), calling_ae=peer.calling_ae,
            called_ae=peer.called_ae, address=peer.address, port=peer.port, agreed=facts,
        )  # fmt: skip

    def answered(self, served: Served, command: StoreCommand, status: int, size: int) -> None:
        """An object is answered so, `size` bytes of it were kept; what is no UID is free text out of DICOM."""
        uid = command.sop_instance_uid
        self.log.debug(
            "store_answered", always=served.chosen, association=served.id.hex, calling_ae=served.peer.calling_ae,
            sop_instance=lambda: uid if valid_uid(uid) else "(no UID)", bytes=size, status=lambda: f"{status:04X}",
        )  # fmt: skip

    def _settle_terms(self, served: Served) -> None:
        """Terms and scanner of the policy in force: a revision counts for associations that are open, too."""
        policy, peer = self.policy, served.peer
        if served.policy is not policy:
            served.terms = policy.terms(peer.calling_ae, peer.address, peer.subject)
            served.scanner = Scanner(extra=policy.keywords, fallback_charset=served.terms.charset)
            served.policy = policy

    def closed(self, association_id: bytes, peer: Peer, how: How) -> None:
        """See ScpHandler: the router is told."""
        self._open_now.leave(association_id)
        served = self._associations.peek(association_id)
        self._associations.closed(association_id, how)
        self.loners.note(peer.calling_ae, served.images)

    def refused_pdu(self, address: str, reason: str) -> None:
        """See ScpHandler."""
        self._turned_away(address, reason, "", lambda: self.images.association_rejected("", "", address, reason))

    def fatal(self, exc: BaseException) -> None:
        """See ScpHandler: the main thread ends the process."""
        self.failure.set(exc)

    def _reject(self, peer: Peer, source: str | None, reason: str) -> None:
        self._turned_away(
            peer.address, reason, peer.calling_ae,
            lambda: self.images.association_rejected(
                peer.calling_ae, peer.called_ae, peer.address, reason, source, peer.subject
            ),
        )  # fmt: skip

    def _turned_away(self, address: str, reason: str, calling_ae: str, record: Callable[[], None]) -> None:
        self.log.warning("turned_away", calling_ae=calling_ae, address=address, reason=reason)
        if self._notices.wanted(address, calling_ae, reason):
            self._record("association.rejected", record)

    # -- images ------------------------------------------------------------------------------------------------

    def begin(self, association_id: bytes, peer: Peer, command: StoreCommand) -> Intake:
        """See ScpHandler."""
        return OneObject(self, self._ready(association_id, command), command)

    def whole(self, association_id: bytes, peer: Peer, command: StoreCommand, pieces: list[memoryview]) -> int:
        """See ScpHandler."""
        return whole.store(self, self._ready(association_id, command), command, pieces)

    def _ready(self, association_id: bytes, command: StoreCommand) -> Served:
        """The association of an object, once what came before it is as far as it must be."""
        self.failure.check()
        try:
            served = self._associations.get(association_id)
            self._settle_terms(served)
            if served.behind:
                self._hear_tickets(served)
            if served.left:
                self.settle(served)
            return served
        except OutOfSpace as exc:
            self.refuse(self._associations.peek(association_id), command, OUT_OF_RESOURCES, str(exc))
            raise
        except DiskFailed:
            raise
        except SpoolError as exc:
            self.refuse(self._associations.peek(association_id), command, PROCESSING_FAILURE, str(exc))
            raise

    def store(self, association_id: bytes, peer: Peer, request: StoreRequest) -> int:
        """An object that is whole already, as if it came in over the network."""
        command = StoreCommand(
            request.sop_class_uid, request.sop_instance_uid, request.transfer_syntax_uid, request.message_id
        )  # fmt: skip
        return self.whole(association_id, peer, command, [memoryview(request.dataset)])

    def reply(self, served: Served, command: StoreCommand, status: int | Refusal, size: int) -> int:
        """The status of what is taken or refused, as it is answered: recorded, and not faster than its source may send."""
        if isinstance(status, Refusal):
            self.refuse(served, command, *status)
            status = status.status
        else:
            self.answered(served, command, status, size)
        self.keep_pace(served)
        return status

    def rest(self, association_id: bytes) -> None:
        """See ScpHandler: rows of what is acknowledged already, and the file that the next object will fill."""
        served = self._associations.peek(association_id)
        self._post(served)
        if served.behind:
            self._hear_tickets(served)
        if served.writer is not None and served.images > 1:
            with suppress(OutOfSpace):  # the next object will meet it, and say so
                served.writer.prepare()

    def taker(self, association_id: bytes, way: Way, pieces: list[memoryview]) -> Taker | None:
        """See ScpHandler."""
        served = self._associations.peek(association_id)
        return alike.taker(self, served, way, pieces)

    def post(self, served: Served, saved: Iterable[Callable[[], Saved]]) -> None:
        """Objects that are acknowledged get their rows; they are made ready by whoever commits them."""
        served.behind.extend(self.committer.post_all(saved))
        self._hear_tickets(served)

    def _hear_tickets(self, served: Served) -> None:
        """What became of the oldest acknowledged objects."""
        behind, stored = served.behind, 0
        while behind and (behind[0].done or len(behind) > MOST_BEHIND):
            ticket = behind.pop(0)
            receipt = ticket.receipt
            if receipt is not None and receipt.outcome == "stored":
                served.count(receipt)
                stored += 1
            else:
                self._done(served, ticket)
        if stored:
            self.counts.add("stored", stored)

    def settle(self, served: Served) -> None:
        """Give all that is acknowledged its row. Raises OutOfSpace, DiskFailed, SpoolError: later, then."""
        self._post(served)
        while served.behind:
            self._done(served, served.behind.pop(0))
        while served.left:
            receipt = self.committer.commit(served.left[0])
            self._recorded(served, served.left.pop(0), receipt)

    def _post(self, served: Served) -> None:
        pending, served.pending = served.pending, None
        if pending is None:
            return
        try:
            saved = pending()
        except Exception as exc:
            # Acknowledged, and now it cannot be put where it belongs: the next start adopts it.
            self.failure.set(exc)
            raise
        served.behind.append(self.committer.post(saved))

    def _done(self, served: Served, ticket: Ticket) -> None:
        self.committer.wait(ticket)
        if ticket.receipt is None:
            self.log.error("row_to_come", association=served.id.hex(), error=type(ticket.error).__name__)
            served.left.append(ticket.saved._replace(new=False))
        else:
            self._recorded(served, ticket.saved, ticket.receipt)

    def _recorded(self, served: Served, saved: Saved, receipt: Receipt) -> None:
        if receipt.outcome != "failed":
            served.count(receipt)
            self.counts.add(receipt.outcome)
            return
        if saved.reason is not None:
            raise SpoolError(f"a quarantined object could not be recorded ({type(receipt.error).__name__})")
        reason = f"the image could not be recorded ({type(receipt.error).__name__})"
        self.log.error("image_failed", association=served.id.hex(), reason=reason)
        served.left.append(self.images.set_aside(saved.file, saved.meta, reason, saved.source))

    # -- refusals ----------------------------------------------------------------------------------------------

    def refused(self, association_id: bytes, command: StoreCommand, status: int, reason: str) -> None:
        """See ScpHandler."""
        self.refuse(self._associations.peek(association_id), command, status, reason)

    def keep_pace(self, served: Served) -> None:
        """Let the answer wait if this source sends faster than it may: its sender waits, and nothing is refused."""
        terms = served.terms
        if terms.source is not None and terms.max_images_per_s is not None and not self.stopping.is_set():
            delay = self._open_now.delay(terms.source, terms.max_images_per_s)
            if delay > 0:
                self.stopping.wait(delay)

    def of_other_class(self, served: Served) -> None:
        """An object was stored though its SOP class is not the command's; said once in a while."""
        if self._notices.wanted(served.peer.address, served.peer.calling_ae, "class"):
            self.log.warning("class_differs", association=served.id.hex(), calling_ae=served.peer.calling_ae)

    def ends_process(self, exc: BaseException) -> bool:
        """Whether the outcome of something on disk is unknown."""
        return isinstance(exc, DiskFailed)

    def refuse(self, served: Served, command: StoreCommand, status: int, reason: str) -> None:
        """Record that an object is answered with a failure status, as far as the disk still allows."""
        self.counts.add("refused")
        self.answered(served, command, status, 0)
        # What is no UID is free text out of DICOM, which has no place in an event.
        uid = command.sop_instance_uid if valid_uid(command.sop_instance_uid) else ""
        self._record(
            "image.rejected", lambda: self.images.refused(served.id, served.peer.calling_ae, uid, status, reason)
        )

    def _record(self, event: str, write: Callable[[], None]) -> None:
        """Record what changes nothing: if it fails, the answer to the peer stays what it is."""
        try:
            write()
        except DiskFailed as exc:
            self.fatal(exc)
        except Exception as exc:
            self.log.warning("event_not_recorded", type=event, error=type(exc).__name__)
