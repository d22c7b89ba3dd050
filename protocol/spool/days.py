"""Which day's folder new image files go to: never that of an earlier day than the newest rows are of, whatever the clock says.

Adoption looks for files without a row from the newest row's day on. A machine that starts with a wrong clock, which is set
right later, would else put acknowledged images where nobody looks for them. It must not move or list anything.
"""

from __future__ import annotations

import sqlite3

from protocol.clock import Clock
from protocol.spool.database import Database

DAY_S = 86_400
BACK_S = 60.0  # the wall clock went back, and not by slewing
_NEWEST = 1000  # arrivals: enough to find one that is still growing, few enough to look at in a blink


def newest_image(connection: sqlite3.Connection) -> float | None:
    """When the newest image with a row came (seconds UTC), as far as the newest arrivals tell; None without any."""
    row = connection.execute(
        "SELECT max(last_image) FROM arrival WHERE id > (SELECT max(id) FROM arrival) - ?", (_NEWEST,)
    ).fetchone()
    return None if row[0] is None else float(row[0])


class Days:
    """Of one process, for all its associations; from any thread."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db, self._clock = database, clock
        self._floor = 0.0
        self._ahead = float("inf")  # the wall clock of the monotonic one, when it was looked at last

    def moment(self, now: float) -> float:
        """A time of the day whose folder an object goes to that comes `now` (seconds UTC)."""
        ahead = now - self._clock.monotonic()
        if ahead < self._ahead - BACK_S:
            with self._db.read() as connection:
                self._floor = newest_image(connection) or 0.0
        self._ahead = ahead
        return max(now, self._floor)
