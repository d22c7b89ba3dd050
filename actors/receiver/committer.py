"""Commits what several associations have saved in one transaction, and tells each of them what became of its image.
It must not write files, and it never acknowledges: whoever waits for the receipt does.

A commit costs a sync, whatever is in it. While one runs, the images of other associations queue up and share the next.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from protocol.errors import DiskFailed, OutOfSpace, SpoolDamaged, SpoolError, SpoolNewer
from protocol.spool.images import Receipt, Saved

Waiting = tuple[Saved, Future[Receipt]]

LARGEST_GROUP = 32  # images; the write lock is to be held for about 10 ms at most
_STOPPED = "the receiver is stopping"


class Committer:
    """One thread and a queue.

    Args:
        commit: one transaction for all, such as `spool.images.commit`.
        arrived: told in the committer's thread, after the waiting ones, which arrivals have new images.
        fatal: told if a commit failed so that the process has to end; nothing is committed after that.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Saved]], list[Receipt]],
        arrived: Callable[[set[int]], None],
        fatal: Callable[[BaseException], None],
        log: Any,
    ) -> None:
        self._commit, self._arrived, self._fatal, self._log = commit, arrived, fatal, log
        self._waiting: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._gate = threading.Lock()  # nothing may be queued behind the end
        self._closed = ""
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self.commits = 0
        self.images = 0

    def start(self) -> None:
        """Begin to commit."""
        self._thread.start()

    def stop(self) -> None:
        """Commit what waits, then end. More than once is allowed."""
        self._close(_STOPPED)
        if self._thread.is_alive():
            self._thread.join()

    def commit(self, saved: Saved) -> Receipt:
        """Wait until the image has its row; from any thread, several at a time.

        Raises:
            OutOfSpace, DiskFailed, SpoolError: it has none, and must not be acknowledged.
        """
        promise: Future[Receipt] = Future()
        with self._gate:
            if self._closed:
                raise SpoolError(self._closed)
            self._waiting.put((saved, promise))
        return promise.result()

    # -- the committing thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            group, ended = self._next_group()
            if group and not self._commit_group(group):
                ended = True
            if ended:
                return

    def _next_group(self) -> tuple[list[Waiting], bool]:
        """What waits now (at least one), and whether the end was reached."""
        group: list[Waiting] = []
        block = True
        while len(group) < LARGEST_GROUP:
            try:
                one = self._waiting.get(block)
            except queue.Empty:
                break
            if one is None:
                return group, True
            group.append(one)
            block = False
        return group, False

    def _commit_group(self, group: list[Waiting]) -> bool:
        """False if nothing may be committed any more."""
        try:
            receipts = self._commit([saved for saved, _ in group])
        except BaseException as exc:
            return self._failed(group, exc)
        self.commits += 1
        self.images += len(receipts)
        for (_, promise), receipt in zip(group, receipts, strict=True):
            promise.set_result(receipt)
        try:
            self._arrived({receipt.arrival for receipt in receipts if receipt.outcome == "stored"})
        except Exception as exc:  # only a nudge: the router finds the images by looking
            self._log.warning("nudge_failed", error=type(exc).__name__)
        return True

    def _failed(self, group: list[Waiting], exc: BaseException) -> bool:
        """None of them counts. A full disk or a busy database pass; what is broken ends the process."""
        goes_on = isinstance(exc, Exception) and not isinstance(exc, DiskFailed | SpoolDamaged | SpoolNewer)
        self._log.error("commit_failed", images=len(group), error=type(exc).__name__, reason=_told(exc))
        if not goes_on:
            self._close(f"an earlier commit failed: {_told(exc)}")
            self._fatal(exc)
            group = group + self._rest()
        for _, promise in group:
            promise.set_exception(_copy(exc))  # each thread needs an exception of its own
        return goes_on

    def _rest(self) -> list[Waiting]:
        rest: list[Waiting] = []
        while True:
            try:
                one = self._waiting.get_nowait()
            except queue.Empty:
                return rest
            if one is not None:
                rest.append(one)

    def _close(self, why: str) -> None:
        with self._gate:
            if not self._closed:
                self._closed = why
                self._waiting.put(None)


def _told(exc: BaseException) -> str:
    # Only our own errors are known to be free of values out of images.
    return str(exc) if isinstance(exc, SpoolError) else ""


def _copy(exc: BaseException) -> Exception:
    kind = type(exc) if isinstance(exc, OutOfSpace | DiskFailed) else SpoolError
    copy = kind(_told(exc) or f"the commit failed ({type(exc).__name__})")
    copy.__cause__ = exc
    return copy
