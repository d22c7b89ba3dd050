"""The bookkeeper's second book: the statistics, counted from the outbox behind a cursor of their own.
It must not wait for the ledger, and nothing that goes wrong here may stop the ledger.
"""

from __future__ import annotations

from typing import Any

from protocol.clock import Clock
from protocol.errors import DiskFailed, ScanpostError, SpoolDamaged
from protocol.spool import Spool
from protocol.spool.figures.file import set_aside
from protocol.spool.figures.keeping import Keeper
from protocol.spool.outbox import Cursor

PAGE = 2000
EVERY_S = 1.0  # each round is a transaction; pages look no more often
FORGET_EVERY_S = 600.0
RETRY_S = 30.0


class FiguresDesk:
    """Counts what happened. `round` is called in every pass."""

    def __init__(self, spool: Spool, clock: Clock, log: Any) -> None:
        self._spool, self._clock, self._log = spool, clock, log
        self._keeper: Keeper | None = None
        self._at: Cursor | None = None  # None: to be asked
        self._counted_time = 0.0
        self._due = self._forget_at = 0.0  # monotonic seconds

    def round(self) -> bool:
        """Count what is new if it is time; True if more is waiting."""
        now = self._clock.monotonic()
        if now < self._due:
            return False
        self._due = now + EVERY_S
        try:
            return self._count(now)
        except DiskFailed:
            raise  # what stands on the disk is unknown: this process ends
        except SpoolDamaged as exc:
            self._log.error("figures_damaged", error=str(exc))
            self.close()
            set_aside(self._spool.places.figures, self._clock.now())
        except ScanpostError as exc:
            self._log.warning("figures_failed", error=str(exc))
            self.close()
        self._due = now + RETRY_S
        return False

    def trim_before(self, time: float) -> float:
        """Events that are not counted yet must stay in the outbox: the earlier of `time` and what is counted."""
        return min(time, self._counted_time) if self._keeper is not None else time

    def close(self) -> None:
        """Let go of the file."""
        if self._keeper is not None:
            self._keeper.close()
        self._keeper = self._at = None

    def _count(self, now: float) -> bool:
        keeper, outbox = self._open(), self._spool.outbox
        if self._at is None:
            self._at = self._beginning(keeper)
        events = outbox.raw(self._at, PAGE)
        if not events:
            self._counted_time = self._clock.now()
            self._forget(keeper, now)
            return False
        if not self._spool.database.full:
            outbox.barrier()  # what is counted must not be lost by the spool afterwards
        before, self._at = self._at, None
        odd = keeper.add(events, before, self._clock.now())
        self._at = Cursor(events[-1].epoch, events[-1].seq)
        self._counted_time = events[-1].time
        if odd:
            self._log.warning("events_not_counted", count=odd)
        if len(events) == PAGE:
            self._due = 0.0
            return True
        return False

    def _open(self) -> Keeper:
        if self._keeper is None:
            self._keeper = Keeper(self._spool.places.figures)
        return self._keeper

    def _beginning(self, keeper: Keeper) -> Cursor:
        """The figures' own place. Figures of a later time than the spool (it was restored by hand) count on from its head."""
        at, head = keeper.place(), self._spool.outbox.head()
        if at > head:
            self._log.warning("figures_ahead", epoch=at.epoch, seq=at.seq, spool_epoch=head.epoch, spool_seq=head.seq)
            keeper.skip_to(head)
            return head
        return at

    def _forget(self, keeper: Keeper, now: float) -> None:
        if now >= self._forget_at:
            self._forget_at = now + FORGET_EVERY_S
            keeper.forget(self._clock.now())
