"""The bookkeeper's eye on the balance: every minute all images together and the next arrivals one by one, once a day the
spool against the ledger, and each hour while they differ. It must not mend anything, and it waits for no database: another thread does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from actors.base import Context
from actors.bookkeeper.hand import Hand, ThreadHand
from protocol.errors import DiskFailed, LedgerError, SpoolError
from protocol.ledger.compare import Difference, again, compare
from protocol.spool.outbox import Cursor

ALERT = "accounting.imbalance"
LEDGER_ALERT = "accounting.ledger"
EVERY_S = 60.0
PAGES = 3  # of arrivals in each round
COMPARE_EVERY_S = 86_400.0
COMPARE_AGAIN_S = 3600.0  # while they differ: who has put it right is not to be told of it for another day
FIRST_COMPARE_S = 600.0  # after the start: a node that starts has other things to do
TOLD = 5  # problems in the text of an alert
COMPARED = "accounting.compared"


class BalanceDesk:
    """`round` is called in every pass, with how far the ledger is."""

    def __init__(self, context: Context, node: str, *, hand: Hand | None = None) -> None:
        """`node` is its name in the ledger; `hand` compares: that may take long."""
        self._spool, self._clock, self._log = context.spool, context.clock, context.log
        self._url, self._node = context.settings.ledger.url, node
        self._hand: Hand = hand or ThreadHand(context.wire.wake)
        self._due = self._clock.monotonic()
        self._compare_at: float | None = None  # monotonic seconds; None: not worked out yet
        self._after = 0  # the arrival that was looked at last
        self._wrong: set[int] = set()  # arrivals that did not add up when they were looked at last
        self._found: list[Difference] = []
        self._until: Cursor | None = None  # what was found counts only if it is still there when the ledger is so far
        self._asked: Callable[[list[Difference]], None] | None = None

    def round(self, ledger_at: Cursor) -> None:
        """What is due."""
        now = self._clock.monotonic()
        if now >= self._due:
            self._due = now + EVERY_S
            self._look()
        self._compare(now, ledger_at)

    # ---- the spool by itself ------------------------------------------------------------------------------------------
    def _look(self) -> None:
        accounting = self._spool.accounting
        try:
            problems = accounting.totals() + [one for id in self._wrong for one in accounting.balancing.arrival(id)]
            known = {one.arrival for one in problems}
            for _ in range(PAGES):
                found, self._after = accounting.balancing.page(self._after)
                problems += [one for one in found if one.arrival not in known]
                if not self._after:
                    problems += accounting.recounted()  # once a round through all of them: it reads every row
                    break
        except SpoolError as exc:
            self._log.warning("balance_not_read", error=str(exc))
            return
        self._wrong = {one.arrival for one in problems if one.arrival}
        self._tell(ALERT, [one.line for one in problems], "see `scanpost accounting`")
        if problems:
            self._log.error("imbalance", problems=[one.line for one in problems[:TOLD]])

    # ---- against the ledger -------------------------------------------------------------------------------------------
    def _compare(self, now: float, ledger_at: Cursor) -> None:
        if self._hand.busy:
            return
        if self._asked is not None:
            self._take()
        elif self._until is not None:
            if ledger_at >= self._until:
                found, self._until = self._found, None
                self._give(lambda: again(self._url, self._node, self._spool.accounting, found), self._compared)
        elif now >= self._next(now):
            self._compare_at = now + COMPARE_EVERY_S
            self._give(lambda: compare(self._url, self._node, self._spool.accounting), self._first)

    def _next(self, now: float) -> float:
        """When to compare next, also after a restart a day (an hour, if they differed) after the last time."""
        if self._compare_at is None:
            last = self._spool.notices.standing(COMPARED).get(COMPARED)
            every_s = COMPARE_AGAIN_S if self._spool.notices.alerts(LEDGER_ALERT) else COMPARE_EVERY_S
            left = 0.0 if last is None else float(last) + every_s - self._clock.now()
            self._compare_at = now + min(max(FIRST_COMPARE_S, left), every_s)
        return self._compare_at

    def _give(self, job: Callable[[], list[Difference]], finish: Callable[[list[Difference]], None]) -> None:
        self._asked = finish
        self._hand.give(job)

    def _take(self) -> None:
        finish, self._asked = self._asked, None
        assert finish is not None
        try:
            finish(self._hand.take())
        except DiskFailed:
            raise  # what stands on the disk is unknown: this process ends
        except (LedgerError, SpoolError) as exc:
            self._log.warning("ledger_not_compared", error=str(exc))
            self._compare_at = self._clock.monotonic() + FIRST_COMPARE_S

    def _first(self, found: list[Difference]) -> None:
        """What differs may only be under way: look again when the ledger knows all that happened up to now."""
        if found:
            self._found, self._until = found, self._spool.outbox.head()
        else:
            self._compared([])

    def _compared(self, found: list[Difference]) -> None:
        if found:
            self._compare_at = self._clock.monotonic() + COMPARE_AGAIN_S
        self._spool.notices.tell(COMPARED, f"{self._clock.now():.0f}")
        self._tell(LEDGER_ALERT, [one.text for one in found], "see `scanpost accounting --ledger`")
        self._log.info("ledger_compared", differences=len(found))

    def _tell(self, alert: str, lines: Sequence[str], where: str) -> None:
        if not lines:
            self._spool.notices.clear_alert(alert)
            return
        more = f" and {len(lines) - TOLD} more" if len(lines) > TOLD else ""
        self._spool.notices.raise_alert(alert, f"{'; '.join(lines[:TOLD])}{more}; {where}")
