"""The bookkeeper: carries events from the outbox into the ledger, each exactly once, whatever dies and for however long
the database is away. It must not block its own thread on the database, and nothing in routing may wait for it.

One pass: take the result of the last job; if none is under way, read the outbox behind the ledger's own cursor and give
the next batch to the hand. The cursor stands in the same ledger transaction as the rows, so no step here can lose or
double an event; the spool is told how far the ledger is only so that old events can be dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from actors.base import Actor, Context
from actors.bookkeeper.balance import BalanceDesk
from actors.bookkeeper.figures import FiguresDesk
from actors.bookkeeper.hand import Hand, ThreadHand
from protocol.errors import LedgerError, OutOfSpace
from protocol.ledger.record import CONSUMER, POISON, Ledger, NotAlone, Opened, Recorded
from protocol.spool.outbox import Cursor
from protocol.wire.events import AlertRaised, LedgerDown, LedgerUp
from protocol.wire.messages import Envelope, Event

if TYPE_CHECKING:
    from protocol.wire.bus import Nudge

BATCH = 1000  # events per ledger transaction
PACE_S = 0.1  # between batches that are not full: each costs the spool and the ledger a sync
IDLE_S = 1.0
FIRST_RETRY_S, LONGEST_RETRY_S = 0.5, 30.0
PATIENT_TRIES = 4  # about 3 s: so long a killed predecessor may seem to live
HANGS_AFTER_S = 90.0  # above the database's own statement timeout: then it does not even answer
DAY_S = 86_400.0
TRIM_EVERY_S, TRIM_AT_ONCE = 60.0, 500
FORGET_EVERY_S = 600.0
ALERT_EVERY_S = 600.0
STOP_WAIT_S = 10.0


class BookkeeperActor(Actor):
    """Writes the ledger."""

    NAME: ClassVar[str] = "bookkeeper"

    def __init__(
        self, context: Context, *, ledger: Ledger | None = None, hand: Hand | None = None, second: Hand | None = None
    ) -> None:
        """`hand` carries the batches, `second` compares: it may take long."""
        super().__init__(context)
        settings = context.settings
        self._ledger = ledger or Ledger(settings.ledger.url, settings.node.name, clock=context.clock)
        self._hand: Hand = hand or ThreadHand(context.wire.wake)
        self._figures = FiguresDesk(context.spool, context.clock, context.log)
        self._balance = BalanceDesk(
            context.spool, context.clock, context.log, second or ThreadHand(context.wire.wake), settings.ledger.url,
            self._ledger.node,
        )  # fmt: skip
        self._at: Cursor | None = None  # what is read next stands behind it; None while the ledger is not open
        self._stored = Cursor(0, 0)  # the ledger's own cursor
        self._finish: Callable[[Any], float] | None = None  # what to do with the result of the job under way
        self._given = self._not_before = self._trim_at = self._forget_at = 0.0  # monotonic seconds
        self._failures = 0
        self._away = False  # this process said ledger.down and not yet ledger.up
        self._seen_down = False  # the last of both among the events carried was ledger.down
        self._alerted: float | None = None
        self._written = 0

    def one_pass(self, nudges: list[Nudge]) -> float:
        more = self._figures.round()
        self._balance.round(self._stored)
        wait = self._carry(nudges)
        return 0.0 if more else wait

    def _carry(self, nudges: list[Nudge]) -> float:
        """One pass of the ledger; how long to wait before the next one."""
        if self._hand.busy:
            return self._watch()
        wait = self._finished()
        now = self.context.clock.monotonic()
        # A nudge for each event must not make a transaction of each event, nor shorten the wait for a database.
        if (nudges and now < self._not_before) or (self._failures and now < self._not_before):
            return min(self._not_before - now, IDLE_S)
        if wait > 0:
            return wait
        return self._next()

    def stop(self) -> None:
        """Let the batch under way end and tell the spool; a database that does not answer is left alone."""
        self._figures.close()
        if self._hand.wait(STOP_WAIT_S):
            self._finished()
            self._ledger.close()

    def figures(self) -> dict[str, float]:
        head = self.context.spool.outbox.head()
        at = self._at or self.context.spool.outbox.confirmed(CONSUMER) or Cursor(0, 0)
        seen = at.seq if at.epoch == head.epoch else self.context.spool.outbox.oldest().seq - 1
        return {
            "backlog": float(max(0, head.seq - seen)),
            "written": float(self._written),
            "away": float(self._away),
        }

    # ---- jobs -----------------------------------------------------------------------------------------------------
    def _next(self) -> float:
        """Give the hand its next job, if there is one."""
        if self._at is None:
            return self._give(self._ledger.open, self._opened)
        batch = self.context.spool.outbox.read(self._at, BATCH)
        if not batch:
            return self._idle()
        before, after = self._stored, Cursor(batch[-1].epoch, batch[-1].seq)
        # What the ledger keeps must not be lost by the spool afterwards, or a number would come twice.
        self.context.spool.outbox.barrier()
        return self._give(
            lambda: self._ledger.record(batch, before, after), lambda result: self._recorded(batch, after, result)
        )

    def _give(self, job: Callable[[], Any], finish: Callable[[Any], float]) -> float:
        self._finish, self._given = finish, self.context.clock.monotonic()
        self._hand.give(job)
        return IDLE_S if self._hand.busy else self._finished()

    def _finished(self) -> float:
        """Answer the end of a job, if one ended; returns how long to wait before the next."""
        finish, self._finish = self._finish, None
        if finish is None:
            return 0.0
        at, self._at = self._at, None  # whatever goes wrong: ask the ledger again where it is
        try:
            result = self._hand.take()
        except LedgerError as exc:
            return self._failed(exc)
        self._at = at
        return finish(result)

    def _watch(self) -> float:
        """The hand is busy; for too long, the database hangs, which is as good as away."""
        if self.context.clock.monotonic() - self._given > HANGS_AFTER_S:
            self._say_down(f"no answer for {HANGS_AFTER_S:.0f} s")
        return IDLE_S

    def _idle(self) -> float:
        """Nothing to carry: tell that the database is back if a former process could not, drop old events."""
        self._failures = 0
        if self._away or self._seen_down:
            self._seen_down = False
            self._say_up(0)
            return 0.0
        now = self.context.clock.monotonic()
        if now >= self._trim_at:
            old = (
                self.context.clock.now() - self.context.settings.cleaner.outbox_days * DAY_S
            )  # taps can replay the rest
            gone = self.context.spool.outbox.trim(self._figures.trim_before(old), {CONSUMER}, TRIM_AT_ONCE)
            self._trim_at = now + (PACE_S if gone >= TRIM_AT_ONCE else TRIM_EVERY_S)
        if now >= self._forget_at:
            before = self.context.clock.now() - self.context.settings.ledger.headers_days * DAY_S
            return self._give(lambda: self._ledger.forget(before), self._forgotten)
        return IDLE_S

    def _forgotten(self, gone: int) -> float:
        """A chunk of old header values went; go on soon until none is left."""
        self._forget_at = self.context.clock.monotonic() + (PACE_S if gone else FORGET_EVERY_S)
        if gone:
            self.context.log.info("headers_forgotten", count=gone)
        return PACE_S if gone else IDLE_S

    # ---- results --------------------------------------------------------------------------------------------------
    def _opened(self, opened: Opened) -> float:
        self._stored = Cursor(*opened.position)
        self._at = self._beginning(self._stored)
        self._seen_down = opened.said_down
        self.context.log.info("ledger_open", epoch=self._stored.epoch, seq=self._stored.seq)
        return 0.0  # that it is back is said after the first batch: an open database may still refuse to be written

    def _beginning(self, at: Cursor) -> Cursor:
        """The ledger's cursor, held against the outbox."""
        outbox = self.context.spool.outbox
        oldest, confirmed = outbox.oldest(), outbox.confirmed(CONSUMER)
        if at.epoch > outbox.head().epoch:
            self._alert(
                "ledger.ahead",
                "the spool counts from an earlier time than the ledger; its events are read from the first",
            )
            return Cursor(0, 0)  # what the ledger has it knows by its id
        if confirmed is not None and confirmed > at and oldest > Cursor(at.epoch, at.seq + 1):
            self._alert("ledger.gap", "the ledger is older than the outbox remembers; its history has a hole")
        if at > (confirmed or Cursor(0, 0)):  # a former process died before it could say so
            outbox.confirm(CONSUMER, at)
        return at

    def _recorded(self, batch: Sequence[Envelope], after: Cursor, recorded: Recorded) -> float:
        self._at = self._stored = after
        self._failures = 0
        self._written += recorded.written
        for envelope in batch:
            if envelope.type in (LedgerDown.TYPE, LedgerUp.TYPE):
                self._seen_down = envelope.type == LedgerDown.TYPE
        if self._away:
            self._say_up(max(0, self.context.spool.outbox.head().seq - after.seq) + len(batch))
        self.context.spool.outbox.confirm(CONSUMER, after)
        if recorded.flagged:
            self._poison(recorded)
        full = len(batch) >= BATCH
        self._not_before = self.context.clock.monotonic() + (0.0 if full else PACE_S)
        return 0.0 if full else PACE_S

    def _failed(self, error: LedgerError) -> float:
        """The database is away: wait, longer each time, and say it once."""
        self._failures += 1
        wait = min(FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 10), LONGEST_RETRY_S)
        wait *= self.context.random.uniform(0.75, 1.0)  # many nodes share one database
        self._not_before = self.context.clock.monotonic() + wait
        self.context.log.warning("ledger_away", failures=self._failures, again_in_s=round(wait, 1), error=str(error))
        if not isinstance(error, NotAlone) or self._failures >= PATIENT_TRIES:
            self._say_down(str(error))
        return min(wait, IDLE_S)

    # ---- what the bookkeeper tells ----------------------------------------------------------------------------------
    def _poison(self, recorded: Recorded) -> None:
        self.context.log.warning("events_flagged", count=len(recorded.flagged), first=recorded.flagged[0])
        now = self.context.clock.monotonic()
        if self._alerted is None or now - self._alerted >= ALERT_EVERY_S:
            self._alerted = now
            self._alert(POISON, f"{len(recorded.flagged)} events could not be stored as they are; their bytes are kept")

    def _alert(self, alert: str, text: str) -> None:
        self._record(AlertRaised(alert, text))

    def _say_down(self, error: str) -> None:
        if not self._away:
            self._away = self._record(LedgerDown(self._ledger.node, error[:300]))

    def _say_up(self, backlog: int) -> None:
        self._away = not self._record(LedgerUp(self._ledger.node, backlog))

    def _record(self, event: Event) -> bool:
        """False if the disk is full: what the event tells shows in the heartbeat too."""
        try:
            self.context.spool.outbox.record(event)
        except OutOfSpace as exc:
            self.context.log.warning("event_not_recorded", type=event.TYPE, error=str(exc))
            return False
        self.context.wire.committed()
        return True
