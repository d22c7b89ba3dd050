"""Times at which deliveries are tried next, mended after the clock was wrong. A part of deliveries.py.
It must not judge the clock: the router does, and says what it is to be.
"""

from __future__ import annotations

from protocol.spool.looking import Looking

AT_ONCE = 500  # deliveries in one transaction
CLOCKS_DIFFER_S = 5.0  # a process may stamp a row a moment after another one looked at its clock


class DueTimes(Looking):
    """The queue's times."""

    def mend_times(self, now: float, longest_s: float, limit: int = 500) -> int:
        """Make due what a wrong clock put off: nothing waits when it may be sent, and no retry for more than `longest_s`
        seconds. A clock that was a year ahead until somebody set it right must not stop a delivery for a year. How many.
        """
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT id FROM delivery INDEXED BY delivery_due WHERE state IN ('waiting', 'retrying') AND due > :soon"
                " AND (state = 'waiting' OR due > :late) LIMIT :limit",
                {"soon": now + CLOCKS_DIFFER_S, "late": now + longest_s, "limit": limit},
            ).fetchall()
            shut = connection.execute("SELECT 1 FROM target_state WHERE not_before > ?", (now + longest_s,)).fetchone()
        if not rows and not shut:
            return 0
        with self._db.write() as tx:
            for row in rows:
                tx.execute(
                    "UPDATE delivery SET due = ? WHERE id = ? AND state IN ('waiting', 'retrying')", (now, row["id"])
                )
            tx.execute(
                "UPDATE target_state SET not_before = :now WHERE not_before > :late",
                {"now": now, "late": now + longest_s},
            )
        return len(rows)

    def clock_set_back(self, by_s: float, now: float) -> int:
        """The clock was set back by so many seconds to `now`: what was put off until then is not to wait for longer than it was
        meant to. How many deliveries. A time that was written since comes too early, which costs a try.
        """
        with self._db.read() as connection:
            found = "SELECT id FROM delivery INDEXED BY delivery_due WHERE state IN ('waiting', 'retrying') AND due > ?"
            ids = [row[0] for row in connection.execute(found, (now,)).fetchall()]
        for start in range(0, len(ids), AT_ONCE):
            with self._db.write() as tx:
                tx.many(
                    "UPDATE delivery SET due = max(?, due - ?) WHERE id = ? AND state IN ('waiting', 'retrying') AND due > ?",
                    [(now, by_s, id, now) for id in ids[start : start + AT_ONCE]],
                )
        with self._db.write() as tx:
            tx.execute(
                "UPDATE target_state SET not_before = max(:now, not_before - :by) WHERE not_before > :now",
                {"now": now, "by": by_s},
            )
        return len(ids)
