"""How far the ledger is behind the outbox, how fast it catches up, and the alert that stands while it is too far behind.
It must not carry events, nor judge why they wait.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from protocol.spool.outbox import Cursor

if TYPE_CHECKING:
    from protocol.clock import Clock
    from protocol.spool import Spool

ALERT = "ledger.lag"
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
