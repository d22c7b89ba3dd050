"""What people are told once: an alert that stands until it is cleared, a change of configuration, a damaged file.
It must not judge what is worth telling; actors do. What stands is kept with its event, so a restart repeats nothing.
"""

from __future__ import annotations

from protocol.spool.database import Database
from protocol.wire.events import AlertCleared, AlertRaised
from protocol.wire.messages import Event

_KEY = "notice:"


class Notices:
    """Facts that stand, by topic, each with the value that was told last."""

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

    def raise_alert(self, alert: str, text: str) -> bool:
        """Something needs a person. An alert that stands is not raised again, whatever its text."""
        if f"alert:{alert}" in self.standing(f"alert:{alert}"):
            return False
        return self.tell(f"alert:{alert}", text, AlertRaised(alert, text))

    def clear_alert(self, alert: str) -> bool:
        """It no longer does."""
        return self.withdraw(f"alert:{alert}", AlertCleared(alert))

    def alerts(self, beginning: str = "") -> dict[str, str]:
        """Alerts that stand, with their text."""
        found = self.standing(f"alert:{beginning}")
        return {topic.removeprefix("alert:"): text for topic, text in found.items()}
