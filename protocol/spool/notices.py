"""What people are told once: an alert that stands until it is cleared, a change of configuration, a damaged file.
It must not judge what is worth telling; actors do. What stands is kept with its event, so a restart repeats nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from protocol.spool import alerting
from protocol.spool.database import Database
from protocol.wire.messages import Event

_KEY = "notice:"
REWORD_S = 60.0
"""A standing alert changes its words at most this often: actors repeat themselves every second."""
REPORT_S = 86_400.0


class Notices:
    """Facts that stand, by topic, each with the value that was told last; and the alerts that actors raise."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def standing(self, beginning: str = "") -> dict[str, str]:
        """Every topic that begins like this, with the value told."""
        start = _KEY + beginning
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT key, value FROM meta WHERE key >= ? AND key < ? ORDER BY key", (start, start + "\U0010ffff")
            ).fetchall()
        return {row["key"][len(_KEY) :]: str(row["value"]) for row in rows}

    def tell(self, topic: str, value: str, event: Event | None = None) -> bool:
        """Record the event, unless this value was the last one told about the topic. True if it was recorded."""
        if self.standing(topic).get(topic) == value:
            return False  # without the write lock: actors repeat themselves every second
        with self._db.write() as tx:
            tx.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_KEY + topic, value))
            if event is not None:
                tx.emit(event)
        return True

    def withdraw(self, topic: str, event: Event | None = None) -> bool:
        """It does not stand any more; records the event if it did. True if it did."""
        if topic not in self.standing(topic):
            return False
        with self._db.write() as tx:
            gone = tx.changed("DELETE FROM meta WHERE key = ?", (_KEY + topic,)) > 0
            if gone and event is not None:
                tx.emit(event)
        return gone

    # ---- alerts -----------------------------------------------------------------------------------------------------
    def raise_alert(self, alert: str, text: str) -> bool:
        """Something needs a person; who says so clears it. One that stands is not raised again, it only gets the new text."""
        one = alerting.symptom(alert, text)
        row = self._row(alert)
        if row is not None and (row["text"] == text or 0 <= self._db.clock.now() - row["changed"] < REWORD_S):
            return False
        with self._db.write() as tx:
            if row is not None:
                alerting.update_alert(tx, one)
            else:
                alerting.raise_alert(tx, one, alerting.ACTOR)
        return row is None

    def report(self, alert: str, text: str, for_s: float = REPORT_S) -> None:
        """Something happened that needs a person and has no end of its own; it stands for `for_s` seconds after the last time."""
        with self._db.write() as tx:
            row = tx.one("SELECT count FROM alert WHERE key = ? AND cleared IS NULL", (alert,))
            one = replace(alerting.symptom(alert, text), count=1 if row is None else row["count"] + 1)
            if row is None:
                alerting.raise_alert(tx, one, alerting.TIME, tx.now + for_s)
            else:
                alerting.update_alert(tx, one, tx.now + for_s)

    def clear_alert(self, alert: str) -> bool:
        """It no longer does."""
        if self._row(alert) is None:
            return False
        with self._db.write() as tx:
            return alerting.clear_alert(tx, alert)

    def alerts(self, beginning: str = "") -> dict[str, str]:
        """Alerts that stand, with their text."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT key, text FROM alert WHERE key >= ? AND key < ? AND cleared IS NULL ORDER BY key",
                (beginning, beginning + "\U0010ffff"),
            ).fetchall()
        return {row["key"]: row["text"] for row in rows}

    def _row(self, alert: str) -> dict[str, Any] | None:
        with self._db.read() as connection:
            row = connection.execute(
                "SELECT text, changed FROM alert WHERE key = ? AND cleared IS NULL", (alert,)
            ).fetchone()
        return None if row is None else dict(row)
