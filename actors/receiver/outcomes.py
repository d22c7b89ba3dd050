"""What becomes of objects: the answer to each, rows for what is acknowledged, a record of what is refused, the pace.
One for all associations of a process. It must not know PDUs or sockets, nor judge an object.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from actors.dicom.service import StoreCommand
from actors.receiver.admission import Notices, Policy, Reserve
from actors.receiver.associations import Served
from actors.receiver.committer import Committer, Ticket
from actors.receiver.counting import OpenNow
from actors.receiver.terms import Refusal
from protocol.errors import DiskFailed, SpoolError
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


class Outcomes:
    """Every method runs in association threads, several at a time.

    `policy` is replaced by the main thread when there is a new routing configuration. Success is answered once the file is
    as safe as promised; its row follows.
    """

    def __init__(
        self,
        images: Images,
        committer: Committer,
        reserve: Reserve,
        notices: Notices,
        failure: Failure,
        policy: Policy,
        log: Any,
        *,
        open_now: OpenNow,
        max_bytes: int,
    ) -> None:
        """`max_bytes`: the largest object that is taken from anybody."""
        self.images, self.committer, self.reserve = images, committer, reserve
        self.notices, self.failure, self.log = notices, failure, log
        self.open_now, self.max_bytes, self._policy = open_now, max_bytes, policy
        self.stopping = threading.Event()  # nobody is made to wait any more
        self.counts = Counts()

    @property
    def policy(self) -> Policy:
        """The one in force."""
        return self._policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        before, self._policy = self._policy, policy
        if before is not policy:
            before.outdated[0] = 1

    # -- answers -----------------------------------------------------------------------------------------------

    def reply(self, served: Served, command: StoreCommand, status: int | Refusal, size: int) -> int:
        """The status of what is taken or refused, as it is answered: recorded, and not faster than its source may send."""
        if isinstance(status, Refusal):
            self.refuse(served, command, *status)
            status = status.status
        else:
            self.answered(served, command, status, size)
        self._keep_pace(served)
        return status

    def answered(self, served: Served, command: StoreCommand, status: int, size: int) -> None:
        """An object is answered so, `size` bytes of it were kept; what is no UID is free text out of DICOM."""
        uid = command.sop_instance_uid
        self.log.debug(
            "store_answered", always=served.chosen, association=served.id.hex, calling_ae=served.peer.calling_ae,
            sop_instance=lambda: uid if valid_uid(uid) else "(no UID)", bytes=size, status=lambda: f"{status:04X}",
        )  # fmt: skip

    def refuse(self, served: Served, command: StoreCommand, status: int, reason: str) -> None:
        """Record that an object is answered with a failure status, as far as the disk still allows."""
        self.counts.add("refused")
        self.answered(served, command, status, 0)
        # What is no UID is free text out of DICOM, which has no place in an event.
        uid = command.sop_instance_uid if valid_uid(command.sop_instance_uid) else ""
        self.record(
            "image.rejected", lambda: self.images.refused(served.id, served.peer.calling_ae, uid, status, reason)
        )

    def record(self, event: str, write: Callable[[], None]) -> None:
        """Record what changes nothing: if it fails, the answer to the peer stays what it is."""
        try:
            write()
        except DiskFailed as exc:
            self.failure.set(exc)
        except Exception as exc:
            self.log.warning("event_not_recorded", type=event, error=type(exc).__name__)

    def of_other_class(self, served: Served) -> None:
        """An object was stored though its SOP class is not the command's; said once in a while."""
        if self.notices.wanted(served.peer.address, served.peer.calling_ae, "class"):
            self.log.warning("class_differs", association=served.id.hex(), calling_ae=served.peer.calling_ae)

    def ends_process(self, exc: BaseException) -> bool:
        """Whether the outcome of something on disk is unknown."""
        return isinstance(exc, DiskFailed)

    def _keep_pace(self, served: Served) -> None:
        """Let the answer wait if this source sends faster than it may: its sender waits, and nothing is refused."""
        terms = served.terms
        if terms.source is not None and terms.max_images_per_s is not None and not self.stopping.is_set():
            delay = self.open_now.delay(terms.source, terms.max_images_per_s)
            if delay > 0:
                self.stopping.wait(delay)

    # -- rows --------------------------------------------------------------------------------------------------

    def post(self, served: Served, saved: Iterable[Callable[[], Saved]]) -> None:
        """Objects that are acknowledged get their rows; they are made ready by whoever commits them."""
        served.behind.extend(self.committer.post_all(saved))
        self.hear(served)

    def post_pending(self, served: Served) -> None:
        """The same for the one that came last, if it went the usual way."""
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

    def hear(self, served: Served) -> None:
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
        self.post_pending(served)
        while served.behind:
            self._done(served, served.behind.pop(0))
        while served.left:
            receipt = self.committer.commit(served.left[0])
            self._recorded(served, served.left.pop(0), receipt)

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
