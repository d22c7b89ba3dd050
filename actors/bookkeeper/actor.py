"""The bookkeeper: carries events from the outbox into the ledger, each exactly once, whatever dies and for however long
the database is away. It must not block its own thread on the database, and nothing in routing may wait for it.

One pass: take the result of the last job; if none is under way, read the outbox behind the ledger's own cursor and give
the next batch to the hand. The cursor stands in the same ledger transaction as the rows, so no step here can lose or
double an event; the spool is told how far the ledger is only so that old events can be dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from actors.base import Actor, Context
from actors.bookkeeper.ages import ages_at
from actors.bookkeeper.alerts.desk import AlertDesk
from actors.bookkeeper.balance import BalanceDesk
from actors.bookkeeper.beginning import beginning
from actors.bookkeeper.deeds import DeedsDesk
from actors.bookkeeper.encoding import judge_encoding
from actors.bookkeeper.figures import FiguresDesk
from actors.bookkeeper.hand import Hand, ThreadHand
from actors.bookkeeper.lag import Away, Lag
from actors.clocks import BELIEVED, ahead_trouble, clock_trouble
from actors.rhythm import REST_S
from protocol.errors import LedgerError, OutOfSpace
from protocol.ledger.mining.filling import Filled
from protocol.ledger.record import CONSUMER, POISON, Ledger, NotAlone, Opened, Prepared, Recorded
from protocol.spool.outbox import Cursor
from protocol.wire.events import LedgerDown, LedgerUp
from protocol.wire.messages import Event
from protocol.zones import zone_name

if TYPE_CHECKING:
    from protocol.wire.bus import Nudge

BATCH = 1000  # events per ledger transaction
GROWTH = 4  # so many times larger while it catches up: a commit costs three syncs, whatever its size
SMALLEST = 50
MOST_BYTES = 16 << 20  # of a batch as it lies in the outbox: header values of one series may have megabytes
SHORT_S, LONG_S = 0.5, 3.0  # a full batch that took less grows, one that took more shrinks
PACE_S = 0.5  # between batches that are not full: each costs the spool and the ledger a sync
IDLE_S = 1.0
FIRST_RETRY_S, LONGEST_RETRY_S = 0.5, 30.0
PATIENT_TRIES = 4  # about 3 s: so long a killed predecessor may seem to live
HANGS_AFTER_S = 90.0  # above the database's own statement timeout: then it does not even answer
DAY_S = 86_400.0
TRIM_EVERY_S, TRIM_AT_ONCE = 60.0, 500
FORGET_EVERY_S = 600.0
ALERT_EVERY_S = 600.0
STOP_WAIT_S = 10.0


class Batch(NamedTuple):
    """Events behind `before` as rows, and what has to be known about them afterwards."""

    before: Cursor
    after: Cursor
    events: int
    full: bool  # there may be more
    said_down: bool | None  # the last ledger.down or ledger.up among them was a down; None: there is none
    rows: Prepared


class BookkeeperActor(Actor):
    """Writes the ledger."""

    NAME: ClassVar[str] = "bookkeeper"
    NICE: ClassVar[int] = 5  # what it writes down waits safely in the outbox

    def __init__(
        self, context: Context, *, ledger: Ledger | None = None, hand: Hand | None = None, alerts: AlertDesk | None = None,
        balance: BalanceDesk | None = None,
    ) -> None:  # fmt: skip
        super().__init__(context)
        self._alerts = alerts
        settings = context.settings
        self._ledger = ledger or Ledger(settings.ledger.url, settings.node.name, clock=context.clock)
        self._hand: Hand = hand or ThreadHand(context.wire.wake)
        self._figures = FiguresDesk(context.spool, context.clock, context.log)
        self._deeds = DeedsDesk(context)
        self._balance = balance
        self._at: Cursor | None = None  # what is read next stands behind it; None while the ledger is not open
        self._stored = Cursor(0, 0)  # the ledger's own cursor
        self._finish: Callable[[Any], float] | None = None  # what to do with the result of the job under way
        self._given = self._not_before = self._trim_at = self._forget_at = 0.0  # monotonic seconds
        self._failures = 0
        self._away = False  # this process said ledger.down and not yet ledger.up
        self._seen_down = False  # the last of both among the events carried was ledger.down
        self._alerted: float | None = None
        self._written = 0
        self._offset = context.clock.now() - context.clock.monotonic()
        self._filled = False  # series that came before the mining tables have their rows
        self._zone = zone_name(settings.node.zone)
        self._size = BATCH
        self._ahead: Batch | None = None  # what comes behind the batch under way, made ready meanwhile
        self._lag = Lag(context.spool, context.clock, settings.ledger.lag_alert_s)
        self._absence = Away(context.spool, context.clock, settings.ledger.away_alert_s)

    def start(self) -> None:
        """From now on alerts and the balance are looked after, too."""
        self._alerts = self._alerts or AlertDesk(self.context)
        self._balance = self._balance or BalanceDesk(self.context, self._ledger.node)

    def one_pass(self, nudges: list[Nudge]) -> float:
        if self._alerts is not None:
            self._alerts.round()  # first: alerts must come while the database is away, too
        more = self._figures.round()
        more = self._deeds.round() or more
        if self._balance is not None:
            self._balance.round(self._how_far())
        if self._lag.look(self._how_far()) | self._absence.look():
            self.context.wire.committed()
        wait = self._carry(nudges)
        patience_s = wait if self._alerts is None else self._alerts.patience_s
        return 0.0 if more else min(wait, patience_s)

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
        self._deeds.close()
        if self._alerts is not None:
            self._alerts.stop()
        if self._hand.wait(STOP_WAIT_S):
            self._finished()
            self._ledger.close()

    def figures(self) -> dict[str, float]:
        head, at = self.context.spool.outbox.head(), self._how_far()
        seen = at.seq if at.epoch == head.epoch else self.context.spool.outbox.oldest().seq - 1
        return {
            "backlog": float(max(0, head.seq - seen)),
            "lag_s": round(self._lag.seconds, 1),
            "rate": round(self._lag.rate(), 1),
            "written": float(self._written),
            "away": float(self._away),
        }

    def _how_far(self) -> Cursor:
        """What the ledger has, or the last that is known of it."""
        if self._stored != Cursor(0, 0):
            return self._stored
        return self.context.spool.outbox.confirmed(CONSUMER) or Cursor(0, 0)

    # ---- jobs -----------------------------------------------------------------------------------------------------
    def _next(self) -> float:
        """Give the hand its next job, if there is one."""
        if self._at is None:
            return self._give(self._ledger.open, self._opened)
        batch = self._ahead if self._ahead is not None and self._ahead.before == self._at else self._read(self._at)
        self._ahead = None
        if batch is None:
            return self._idle()
        before = self._stored
        # What the ledger keeps must not be lost by the spool afterwards, or a number would come twice.
        self.context.spool.outbox.barrier()
        begun = self.context.clock.monotonic()
        wait = self._give(
            lambda: self._ledger.record(batch.rows, before, batch.after),
            lambda result: self._recorded(batch, result, begun),
        )
        if self._hand.busy and batch.full:
            self._ahead = self._read(batch.after)
        return wait

    def _read(self, after: Cursor) -> Batch | None:
        """The next events behind `after` as rows; None if there are none."""
        found, full = self.context.spool.outbox.batch(after, self._size, MOST_BYTES)
        if not found:
            return None
        said = [one.type == LedgerDown.TYPE for one in found if one.type in (LedgerDown.TYPE, LedgerUp.TYPE)]
        last = Cursor(found[-1].epoch, found[-1].seq)
        return Batch(after, last, len(found), full, said[-1] if said else None, self._ledger.prepare(found))

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
            self._absence.begins(self._given)
            self._say_down(f"no answer for {HANGS_AFTER_S:.0f} s")
        return IDLE_S

    def _idle(self) -> float:
        """Nothing to carry: tell that the database is back if a former process could not, drop old events."""
        self._failures = 0
        self._absence.ends()
        if self._away or self._seen_down:
            self._seen_down = False
            self._say_up(0)
            return 0.0
        now = self.context.clock.monotonic()
        if now >= self._trim_at:
            old = (
                self.context.clock.now() - self.context.settings.cleaner.outbox_days * DAY_S
            )  # taps can replay the rest
            old = self._deeds.trim_before(self._figures.trim_before(old))
            gone = self.context.spool.outbox.trim(old, {CONSUMER}, TRIM_AT_ONCE)
            self._trim_at = now + (PACE_S if gone >= TRIM_AT_ONCE else TRIM_EVERY_S)
        if not self._filled:
            return self._give(lambda: self._ledger.fill_mining(self._zone), self._mining_filled)
        if now >= self._forget_at and not self._clock_is_odd(now):
            ages = ages_at(self.context.clock.now(), self.context.settings)
            return self._give(lambda: self._ledger.forget(ages), self._forgotten)
        return REST_S

    def _clock_is_odd(self, now: float) -> bool:
        """What is old is judged by the wall clock: after it jumped nothing is forgotten until this process starts again, and
        none that the cleaner does not believe is believed here.
        """
        wall, told = self.context.clock.now(), self.context.spool.notices.standing(BELIEVED).get(BELIEVED, "")
        trouble = clock_trouble(wall - now - self._offset, wall, 0.0) or ahead_trouble(told, wall)
        if trouble:
            self._forget_at = now + FORGET_EVERY_S
            self.context.log.warning("nothing_forgotten", why=trouble)
        return bool(trouble)

    def _mining_filled(self, filled: Filled) -> float:
        """A chunk of the past has mining rows; go on until there is no more, whatever happens in between."""
        self._filled = filled.done
        if filled.made:
            self.context.log.info("mining_filled", series=filled.made, upto=filled.upto)
        return 0.0

    def _forgotten(self, gone: int) -> float:
        """A chunk of what is old went; go on soon until nothing is left."""
        self._forget_at = self.context.clock.monotonic() + (PACE_S if gone else FORGET_EVERY_S)
        if gone:
            self.context.log.info("old_forgotten", count=gone)
        return PACE_S if gone else IDLE_S

    # ---- results --------------------------------------------------------------------------------------------------
    def _opened(self, opened: Opened) -> float:
        self._stored = Cursor(*opened.position)
        begin = beginning(self.context.spool.outbox, self._stored, opened.last)
        self._at = begin.at
        if begin.alert:
            self._alert(begin.alert, begin.text)
        self._seen_down = opened.said_down
        judge_encoding(opened.encoding, self.context.spool.notices, self.context.log)
        self.context.log.info("ledger_open", epoch=self._stored.epoch, seq=self._stored.seq)
        return 0.0  # that it is back is said after the first batch: an open database may still refuse to be written

    def _recorded(self, batch: Batch, recorded: Recorded, begun: float) -> float:
        self._at = self._stored = batch.after
        self._failures = 0
        self._absence.ends()
        self._written += recorded.written
        self._lag.wrote(batch.events)
        if batch.said_down is not None:
            self._seen_down = batch.said_down
        if self._away:
            self._say_up(max(0, self.context.spool.outbox.head().seq - batch.after.seq) + batch.events)
        self.context.spool.outbox.confirm(CONSUMER, batch.after)
        if recorded.flagged:
            self._poison(recorded)
        now = self.context.clock.monotonic()
        self._resize(batch.full, now - begun)
        self._not_before = now + (0.0 if batch.full else PACE_S)
        return 0.0 if batch.full else PACE_S

    def _resize(self, full: bool, took_s: float) -> None:
        """Larger batches while there is much to catch up and the database is quick, smaller ones while it is slow."""
        if took_s > LONG_S:
            self._size = max(min(SMALLEST, BATCH), self._size // 2)
        elif full and took_s < SHORT_S:
            self._size = min(BATCH * GROWTH, self._size * 2)
        elif not full:
            self._size = BATCH

    def _failed(self, error: LedgerError) -> float:
        """The database is away: wait, longer each time, and say it once."""
        self._failures += 1
        self._absence.begins(self.context.clock.monotonic())
        self._size = max(min(SMALLEST, BATCH), self._size // 2)  # it may be the size that it did not bear
        self._ahead = None
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
        try:
            self.context.spool.notices.report(alert, text)
        except OutOfSpace as exc:
            self.context.log.warning("alert_not_recorded", alert=alert, error=str(exc))
            return
        self.context.wire.committed()

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
