"""Commits what several associations have saved in one transaction, and tells each of them what became of its image.
It must not write files, and it never acknowledges: whoever waits for the receipt does.

A commit costs a sync, whatever is in it. While one runs, the images of other associations queue up and share the next.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from protocol.errors import DiskFailed, OutOfSpace, SpoolDamaged, SpoolError, SpoolNewer
from protocol.spool.images import Receipt, Saved

LARGEST_GROUP = 64  # images; the write lock is to be held for about 10 ms at most
POSTED_GROUP = LARGEST_GROUP  # acknowledged images that are worth a commit of their own
_TOO_MANY = 4 * POSTED_GROUP  # of those: whoever posts one more commits them itself
_LONG = 4  # groups that a thread leads for others while its own peer waits for it
_STOPPED = "the receiver is stopping"


class Ticket:
    """One image that waits for its row, with what became of it. `waits`: its thread does nothing else meanwhile.

    A function as `saved` is called by whoever commits it, once; it must not raise anything but DiskFailed.
    """

    __slots__ = ("_saved", "called", "error", "receipt", "waits")

    def __init__(self, saved: Saved | Callable[[], Saved], waits: bool) -> None:
        self._saved, self.waits = saved, waits
        self.receipt: Receipt | None = None
        self.error: Exception | None = None
        # It is done, or its thread is to lead; made for those alone that wait, which most never do in relaxed mode.
        self.called = threading.Event() if waits else None

    @property
    def done(self) -> bool:
        return self.receipt is not None or self.error is not None

    @property
    def saved(self) -> Saved:
        """The image. Raises DiskFailed."""
        saved = self._saved
        if not isinstance(saved, Saved):
            saved = self._saved = saved()
        return saved

    def call(self) -> None:
        """Wake its thread, if that waits."""
        if self.called is not None:
            self.called.set()


class Committer:
    """No thread of its own: of those that wait one leads and commits for all, then names the next. Handing every image to
    another thread and back cost a millisecond each (the interpreter lock), more than the commit itself.

    Args:
        commit: one transaction for all, such as `spool.images.commit`.
        arrived: told by the leader, after the group has its receipts, which arrivals have new images.
        fatal: told if a commit failed so that the process has to end; nothing is committed after that.
        halt: its second byte is set while the last commit failed: then nothing is to be acknowledged without a look.
        help: called when images wait and nobody leads: another thread is to call `lead_on`, before long, or at once if
            the argument says so. Without it they are committed by who posts them.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Saved]], list[Receipt]],
        arrived: Callable[[set[int]], None],
        fatal: Callable[[BaseException], None],
        log: Any,
        help: Callable[[bool], None] | None = None,
        halt: bytearray | None = None,
    ) -> None:
        self._halt = bytearray(2) if halt is None else halt
        self._commit, self._arrived, self._fatal, self._log, self._help = commit, arrived, fatal, log, help
        self._gate = threading.Lock()  # of the three below
        self._queue: deque[Ticket] = deque()
        self._closed = ""
        self._led = False
        self._since = self._last = 0.0  # when the first and the last of what waits came, at the latest
        self._idle = threading.Event()
        self._idle.set()
        self.commits = 0
        self.images = 0

    @property
    def waiting(self) -> int:
        """Images behind the group that is being committed."""
        return len(self._queue)

    def stop(self) -> None:
        """Take nothing more and wait until what waits is committed. More than once is allowed."""
        self._close(_STOPPED)
        self.lead_on()
        self._idle.wait()

    def commit(self, saved: Saved) -> Receipt:
        """Wait until the image has its row; from any thread, several at a time.

        Raises:
            OutOfSpace, DiskFailed, SpoolError: it has none, and must not be acknowledged.
        """
        ticket = self._enter([Ticket(saved, waits=True)])[0]
        self.wait(ticket)
        if ticket.error is not None:
            raise ticket.error
        assert ticket.receipt is not None
        return ticket.receipt

    def post(self, saved: Saved) -> Ticket:
        """Queue an image that is acknowledged already; its ticket tells what became of it, sooner or later (`wait`)."""
        return self._enter([Ticket(saved, waits=False)])[0]

    def post_all(self, saved: Iterable[Callable[[], Saved]]) -> list[Ticket]:
        """The same for several, which are made ready by whoever commits them."""
        return self._enter([Ticket(one, waits=False) for one in saved])

    def wait(self, ticket: Ticket) -> None:
        """Until the ticket has a receipt or an error."""
        if ticket.done:
            return
        called = ticket.called = ticket.called or threading.Event()  # before the look: whoever is done after it calls
        with self._gate:
            if ticket.done:
                return
            ticket.waits = True
            leads, self._led = not self._led, True
        if not leads:
            called.wait()
        if not ticket.done:
            self._lead(ticket)

    def lead_on(self, quiet_s: float = 0.0, longest_s: float = 0.0) -> bool:
        """Commit what waits if nobody else does and it is worth it: many, or nothing more came for `quiet_s`, or the first has
        waited for `longest_s`. Whether something still waits.
        """
        with self._gate:
            if self._led or not self._queue:
                return False
            now = time.monotonic()
            grows = now - self._last < quiet_s and now - self._since < longest_s
            if grows and len(self._queue) < POSTED_GROUP:
                return True
            self._led = True
        self._lead(None)
        return False

    def _enter(self, tickets: list[Ticket]) -> list[Ticket]:
        with self._gate:
            if self._closed:
                for ticket in tickets:
                    ticket.error = SpoolError(self._closed)
                return tickets
            few = len(self._queue)
            self._queue.extend(tickets)
            self._last = time.monotonic()
            if not few:
                self._since = self._last
                self._idle.clear()
            many, last = len(self._queue), tickets[-1]
            leads = not self._led and (last.waits or self._help is None or many >= _TOO_MANY)
            calls = not self._led and (not few or few < POSTED_GROUP <= many)
            self._led = self._led or leads
        if leads:
            self._lead(last)
        elif calls and self._help is not None:
            self._help(many >= POSTED_GROUP)
        return tickets

    def _lead(self, mine: Ticket | None) -> None:
        """Commit a group, and more until mine is done and there is somebody who could lead instead, or nothing worth it."""
        groups = 0
        while True:
            with self._gate:
                group = [self._queue.popleft() for _ in range(min(len(self._queue), LARGEST_GROUP))]
            if group:
                self._commit_group(group)
            groups += 1
            if (mine is None or mine.done) and self._may_leave(tired=mine is not None and groups >= _LONG):
                return

    def _may_leave(self, tired: bool) -> bool:
        """Whether the leader may go: nothing is left, one that waits leads, or another thread will before long."""
        with self._gate:
            if not self._queue:
                self._led = False
                self._idle.set()
                return True
            self._since = self._last = time.monotonic()
            waiter = next((ticket for ticket in self._queue if ticket.waits), None)
            if waiter is not None:
                waiter.call()
                return True
            enough = len(self._queue) >= POSTED_GROUP and not tired
            if enough or self._help is None or self._closed:
                return False
            self._led = False  # a few that nobody waits for get company
        self._help(tired)
        return True

    def _commit_group(self, group: list[Ticket]) -> None:
        try:
            receipts = self._commit([ticket.saved for ticket in group])
        except BaseException as exc:
            self._failed(group, exc)
            return
        self._halt[1] = 0
        self.commits += 1
        self.images += len(receipts)
        for ticket, receipt in zip(group, receipts, strict=True):
            ticket.receipt = receipt
            ticket.call()
        try:
            self._arrived({receipt.arrival for receipt in receipts if receipt.outcome == "stored"})
        except Exception as exc:  # only a nudge: the router finds the images by looking
            self._log.warning("nudge_failed", error=type(exc).__name__)

    def _failed(self, group: list[Ticket], exc: BaseException) -> None:
        """None of them counts. A full disk or a busy database pass; what is broken ends the process."""
        self._halt[1] = 1
        goes_on = isinstance(exc, Exception) and not isinstance(exc, DiskFailed | SpoolDamaged | SpoolNewer)
        self._log.error("commit_failed", images=len(group), error=type(exc).__name__, reason=_told(exc))
        if not goes_on:
            self._close(f"an earlier commit failed: {_told(exc)}")
            self._fatal(exc)
            with self._gate:
                group = group + list(self._queue)
                self._queue.clear()
        for ticket in group:
            ticket.error = _copy(exc)  # each thread needs an exception of its own
            ticket.call()

    def _close(self, why: str) -> None:
        with self._gate:
            self._closed = self._closed or why


def _told(exc: BaseException) -> str:
    # Only our own errors are known to be free of values out of images.
    return str(exc) if isinstance(exc, SpoolError) else ""


def _copy(exc: BaseException) -> Exception:
    kind = type(exc) if isinstance(exc, OutOfSpace | DiskFailed) else SpoolError
    copy = kind(_told(exc) or f"the commit failed ({type(exc).__name__})")
    copy.__cause__ = exc
    return copy
