"""What the cleaner does once a sweep is done: rows of what is long gone, old events, empty folders; a little each time.
It must not remove a file with a byte in it.
"""

from __future__ import annotations

from actors.cleaner.times import DAY_S
from protocol.clock import Clock
from protocol.routing.versions import RoutingVersions
from protocol.settings.model import Cleaner as CleanerSettings
from protocol.spool import Spool
from protocol.spool.places import day_of
from protocol.spool.rulebook import KEPT_DAYS

ROUNDS = 20  # chunks per sweep
CONSUMERS = ("bookkeeper",)
"""Who has to have an event before it may go."""
TIDY_BEHIND_S = 2 * DAY_S
"""By the clock: a newer folder may be in use, even where a clock that went wrong left one that is newer still."""


class Chores:
    """Small work without hurry."""

    def __init__(self, spool: Spool, routing: RoutingVersions, settings: CleanerSettings, clock: Clock) -> None:
        self._spool, self._routing, self._settings, self._clock = spool, routing, settings, clock
        self._day = ""  # the folder that was tidied last

    def round(self) -> bool:
        """A few chunks of each; a day's folder. Whether rows are left that are old enough."""
        left = self._rows()
        self._tidy()
        version = self._routing.current()
        if version.number:  # an unreadable configuration forgets nothing
            self._spool.purging.targets(set(version.configuration.targets))
        return left

    def _rows(self) -> bool:
        spool, now, settings = self._spool, self._clock.now(), self._settings
        old = now - settings.rows_days * DAY_S
        for _ in range(ROUNDS):
            rows = spool.purging.arrivals(old) + spool.purging.records(old)
            rows += spool.purging.headers(now - settings.headers_days * DAY_S)
            rows += spool.outbox.trim(now - settings.outbox_days * DAY_S, CONSUMERS)
            rows += spool.rules.forget(now - KEPT_DAYS * DAY_S)
            if not rows:
                return False
        return True

    def _tidy(self) -> None:
        """One folder each time, in turn: there may be hundreds with thousands of folders in each."""
        old = day_of(self._clock.now() - TIDY_BEHIND_S)
        days = [day for day in self._spool.cleaning.days() if day < old]
        if not days:
            return
        self._day = next((day for day in days if day > self._day), days[0])
        self._spool.cleaning.tidy_day(self._day)
