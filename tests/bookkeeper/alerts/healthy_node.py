"""All actors of a node in one process with a clock in hand, and the bookkeeper with all its desks, who writes letters.
It must not judge what is told.
"""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from typing import Any

from actors.bookkeeper.alerts.desk import AlertDesk
from actors.bookkeeper.alerts.post import Post
from actors.bookkeeper.alerts.words import clock_words
from actors.bookkeeper.balance import BalanceDesk
from actors.bookkeeper.hand import OwnHand
from protocol.fsops import Room
from protocol.spool.letters import Letter
from protocol.spool.outbox import Cursor
from protocol.spool.sightings import note
from tests.bookkeeper.alerts.alert_rig import DAY, HOUR, MAIL, MINUTE, PROGRAMS, WEEK
from tests.crash.node_in_memory import NODE, Node

WINDOW = {
    "node.name": NODE, "node.time_zone": "UTC", "cleaner.window": "22:00-06:00", "spool.reserve_gb": 5.0,
    "spool.reserve2_gb": 1.0, "cleaner.sweep_s": 60.0,
}  # fmt: skip


class HealthyNode(Node):
    """Programs live and beat, the disk has room, mails are taken (`letters`), `hung` ones do nothing."""

    def __init__(self, home: Path, ledger: Path, **settings: Any) -> None:
        self.letters: list[Letter] = []
        self.refuse: Any = lambda letter: None
        url = f"sqlite:///{ledger.with_name('ledger-in-use.sqlite3')}"
        super().__init__(home, ledger=ledger, **WINDOW, **MAIL, **settings, **{"ledger.url": url})
        self.disk.set_room(Room(int(500e9), 10_000_000))
        self.locks = {name: self.spool.fs.lock(self.spool.places.run / f"{name}.lock") for name in PROGRAMS}
        self.beat()

    def start_one(self, name: str) -> None:
        super().start_one(name)
        if name == "bookkeeper":
            actor = self.actors[name]
            post = Post(actor.context, clock_words(UTC), carry=self._carry, hand=OwnHand)
            actor._alerts = AlertDesk(actor.context, post=post)
            actor._balance = BalanceDesk(actor.context, NODE, hand=OwnHand())

    def _carry(self, letter: Letter) -> None:
        self.refuse(letter)
        self.letters.append(letter)

    def beat(self) -> None:
        for number, lock in enumerate(self.locks.values()):
            lock.write(json.dumps({"state": "ready", "pid": number + 1, "started": 0.0, "beat": self.clock.now()}))

    def live(self, seconds: float, step: float = MINUTE) -> None:
        """Everybody works once each `step` seconds."""
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            self.clock.advance(min(step, end - self.clock.now()))
            self.beat()
            self.work()

    def were_seen(self, weeks: int, *calling: str) -> None:
        """These worked from 8 to 18 on the weekdays of so many weeks before now (which is a Friday)."""
        now = self.clock.now()
        first = now // DAY * DAY - 4 * DAY - weeks * WEEK  # a Monday
        for hour in range(int((now - first) // HOUR)):
            if (hour // 24) % 7 < 5 and 8 <= hour % 24 < 18:
                self.clock.jump_wall(first + hour * HOUR + 60 - self.clock.now())
                with self.spool.database.write() as tx:
                    for name in calling:
                        note(tx, name, "10.0.0.1", "SCANPOST", "", None)
                self.spool.watching.note_hours()
        self.clock.jump_wall(now - self.clock.now())

    def events(self, *kinds: str) -> list[Any]:
        return [one for one in self.spool.outbox.read(Cursor(0, 0), 100_000) if one.type in kinds]

    def standing(self) -> list[str]:
        return sorted(one.key for one in self.spool.alerts.list())
