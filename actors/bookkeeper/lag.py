"""How far the ledger is behind the outbox, how fast it catches up, and the alerts that stand while it is too far behind or
its database is away. It must not carry events, nor judge why they wait.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from protocol.spool.outbox import Cursor

if TYPE_CHECKING:
    from protocol.clock import Clock
    from protocol.spool import Spool

ALERT = "ledger.lag"
AWAY_ALERT = "ledger.away"
AWAY_TEXT = (
    "the ledger's database cannot be written; images are routed all the same, the events wait in the spool; see ledger_away in "
    "log/bookkeeper.log"
)
LOOK_EVERY_S = 5.0
CAUGHT_UP_S = 10.0  # an event that waits for no longer is no lag
RATE_OVER_S = 30.0


class Lag:
    """Looks at the outbox once in a while. `alert_s`: older events that wait raise the alert."""

    def __init__(self, spool: Spool, clock: Clock, alert_s: float) -> None:
        self._spool, self._clock, self._alert_s = spool, clock, alert_s
        self._written: deque[tuple[float, int]] = deque()  # when, how many
        self._look_at = 0.0
        self.seconds = 0.0  # age of the oldest event that waits

    def wrote(self, count: int) -> None:
        """So many events were recorded just now."""
        self._written.append((self._clock.monotonic(), count))

    def rate(self) -> float:
        """Events per second, over the last RATE_OVER_S."""
        now = self._clock.monotonic()
        while self._written and self._written[0][0] < now - RATE_OVER_S:
            self._written.popleft()
        if not self._written:
            return 0.0
        return sum(count for _, count in self._written) / max(1.0, min(RATE_OVER_S, now - self._written[0][0]))

    def look(self, after: Cursor) -> bool:
        """Measure, and raise or clear the alert; seldom. `after` is how far the ledger is. Whether an alert was told."""
        now = self._clock.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_EVERY_S
        oldest = self._spool.outbox.read(after, 1)
        self.seconds = max(0.0, self._clock.now() - oldest[0].time) if oldest else 0.0
        if self.seconds > self._alert_s:
            text = (
                f"the ledger is {self.seconds / 60:.0f} minutes behind; nothing is lost, the events wait in the spool"
            )
            return self._spool.notices.raise_alert(ALERT, text)
        return self.seconds < min(CAUGHT_UP_S, self._alert_s) and self._spool.notices.clear_alert(ALERT)


class Away:
    """Since when the database takes nothing, and the alert once that has lasted. `alert_s`: for so long it is nobody's concern."""

    def __init__(self, spool: Spool, clock: Clock, alert_s: float) -> None:
        self._spool, self._clock, self._alert_s = spool, clock, alert_s
        self._since: float | None = None  # monotonic seconds
        self._reached = False  # until then an alert of a former process stands
        self._told: bool | None = None  # whether the alert stands; None: as a former process left it

    def begins(self, at: float) -> None:
        """It failed, or has hung since `at` (monotonic seconds)."""
        self._since = at if self._since is None else self._since

    def ends(self) -> None:
        """It took what it was given."""
        self._since, self._reached = None, True

    def look(self) -> bool:
        """Raise or clear the alert. Whether one was told."""
        if self._since is None:
            if not self._reached or self._told is False:
                return False
            told = self._spool.notices.clear_alert(AWAY_ALERT)
        else:
            if self._told or self._clock.monotonic() - self._since < self._alert_s:
                return False
            told = self._spool.notices.raise_alert(AWAY_ALERT, AWAY_TEXT)
        self._told = self._since is not None
        return told
