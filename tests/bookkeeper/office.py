"""A bookkeeper's office for tests: a real spool whose every effect is a crash point, a clock in hand, a real ledger."""

import random
import time
from types import SimpleNamespace

import structlog
from sqlalchemy import select

from actors.base import make_context, passes
from actors.bookkeeper.actor import BookkeeperActor
from actors.bookkeeper.balance import BalanceDesk
from actors.bookkeeper.hand import OwnHand
from protocol.clock import ManualClock
from protocol.fsops import RealFs
from protocol.ledger import tables
from protocol.ledger.record import Ledger
from protocol.spool import open_spool
from protocol.spool.outbox import Cursor
from protocol.testing.crash import CrashPoints, Died
from protocol.wire import events as e
from protocol.wire.nudges import NoWire
from tests.ledger.ledger_events import NODE, example
from tests.postgres import session_ended


class Office:
    def __init__(self, home, url, node=NODE):
        self.home, self.url, self.node = home, url, node
        self.points, self.clock, self.wire = CrashPoints(), ManualClock(), NoWire()
        self._ledgers = []
        self._number = 0
        self.spool = self._open_spool()

    def _open_spool(self):
        return open_spool(self.home, source=f"/{self.node}/test/0", clock=self.clock, effects=self.points, create=True)

    def hire(self, *, hand=None, kind=BookkeeperActor, url=None, wire=None):
        """A bookkeeper of its own process, so to say; the former one is gone."""
        self._dismiss()
        ledger = Ledger(url or self.url, self.node, clock=self.clock, effects=self.points)
        self._ledgers.append(ledger)
        settings = SimpleNamespace(
            home=self.home, node=SimpleNamespace(zone=None), cleaner=SimpleNamespace(outbox_days=7.0, rows_days=90.0),
            ledger=SimpleNamespace(
                headers_days=365.0, patient_days=None, rows_days=None, lag_alert_s=300.0, away_alert_s=60.0,
                url=url or self.url,
            ),
        )  # fmt: skip
        context = make_context(
            settings, self.spool, wire=wire or self.wire, log=structlog.get_logger(), clock=self.clock, fs=RealFs(),
            rng=random.Random(1), routing=object(),
        )  # fmt: skip
        if kind is BookkeeperActor:
            return BookkeeperActor(context, ledger=ledger, hand=hand or OwnHand(),
                                    balance=BalanceDesk(context, self.node, hand=OwnHand()))  # fmt: skip
        return kind(context, ledger=ledger)

    def _dismiss(self):
        for former in self._ledgers:
            former.close()
        if self._ledgers:
            session_ended(self.url, self.node)

    def happen(self, count=1):
        """Record so many events, each in a transaction of its own."""
        for _ in range(count):
            self._number += 1
            self.spool.outbox.record(
                example(e.ImageReceived, receipt=f"{self._number:032x}", sop_uid=f"1.2.{self._number}", arrival=1)
            )

    def work(self, bookkeeper):
        """Passes until it has nothing left to do."""
        idle = 0
        for _ in range(100):
            passes(bookkeeper)
            self.clock.advance(0.2)
            at = self.spool.outbox.confirmed("bookkeeper") or Cursor(0, 0)
            idle = 0 if self.spool.outbox.read(at, 1) else idle + 1
            if idle == 2:  # the first idle pass may have something to tell
                return
        raise AssertionError("the bookkeeper does not come to an end")

    def work_or_die(self, bookkeeper):
        """Whether it died."""
        try:
            self.work(bookkeeper)
        except Died:
            return True
        return False

    def bury(self):
        """What kill -9 leaves: connections are gone, memory is gone."""
        self.points.disarm()
        self._dismiss()
        self.spool.close()
        self.spool = self._open_spool()

    def outbox(self):
        """Every event in the outbox."""
        return self.spool.outbox.read(Cursor(0, 0), 100_000)

    def until(self, bookkeeper, condition, limit_s=90.0):
        """Let a bookkeeper with a thread live in real time until the condition holds."""
        end = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end, "did not happen in time"
            nudges = self.wire.wait(0.05)
            self.clock.advance(0.3)
            bookkeeper.one_pass(nudges)

    def close(self):
        for ledger in self._ledgers:
            ledger.close()
        self.points.disarm()
        self.spool.close()
        self.wire.close()


def stored(connection):
    """(epoch, seq, id) of every event in the ledger, in order."""
    order = select(tables.event.c.epoch, tables.event.c.seq, tables.event.c.id)
    return [tuple(row) for row in connection.execute(order.order_by(tables.event.c.epoch, tables.event.c.seq))]


def receipts(connection):
    return list(connection.execute(select(tables.image.c.receipt)).scalars())


def expected(envelopes):
    return [(one.epoch, one.seq, one.id) for one in envelopes]
