"""The node before maintenance: nothing more is let in, what is here is decided and delivered. Kept over restarts.
It must not judge what goes on; it says what is left, and whoever asked decides how long to wait.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, field, replace
from typing import Any

from protocol.records import record
from protocol.spool.acts import act_of
from protocol.spool.commands import done
from protocol.spool.database import Database
from protocol.wire.codec import pack, unpack_stored
from protocol.wire.events import NodeDrainBegun, NodeDrainEnded

_KEY = "drain"
GOING = ("waiting", "sending", "retrying", "confirming")


@record
class Drain:
    """Since when (seconds UTC) the node is to let nothing more in, whose wish that was, and why.

    `shut`: the receiver has heard of it.
    """

    since: float
    by: str
    reason: str
    shut: bool = False

    @property
    def words(self) -> str:
        """For who is turned away and for who looks."""
        return "the node is being drained" + (f": {self.reason}" if self.reason else "")


@record
class Left:
    """What still goes on: open associations, arrivals that are not decided, deliveries by target and state.

    `stays`: deliveries that wait for a person (parked, held), which no draining ends.
    """

    associations: int
    arrivals: dict[str, int]
    deliveries: dict[str, dict[str, int]] = field(default_factory=dict)
    stays: int = 0

    @property
    def nothing(self) -> bool:
        """Nothing more happens by itself."""
        return not self.associations and not self.arrivals and not self.deliveries


class Draining:
    """One wish in the table of facts about the node."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def state(self) -> Drain | None:
        """None: the node takes images as usual."""
        with self._db.read() as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = ?", (_KEY,)).fetchone()
        return None if row is None else Drain(**unpack_stored(row[0]))

    def begin(self, command: int) -> None:
        """Let nothing more in; a second wish changes who and why, not since when."""
        before = self.state()
        with self._db.write() as tx:
            act = act_of(tx, command)
            since, shut = (tx.now, False) if before is None else (before.since, before.shut)
            kept = pack(asdict(Drain(since, act.by, act.reason, shut)))
            tx.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_KEY, kept))
            tx.emit(NodeDrainBegun(act.by, act.reason, command))
            done(tx, command, "the node is draining: new associations are refused, what is here is delivered")

    def heard(self) -> None:
        """The receiver lets nobody in any more."""
        drain = self.state()
        if drain is not None and not drain.shut:
            before, after = pack(asdict(drain)), pack(asdict(replace(drain, shut=True)))
            with self._db.write() as tx:  # not over a wish that was changed meanwhile; the next look sees that one
                tx.execute("UPDATE meta SET value = ? WHERE key = ? AND value = ?", (after, _KEY, before))

    def end(self, command: int) -> None:
        """Take images again."""
        with self._db.write() as tx:
            act = act_of(tx, command)
            gone = tx.changed("DELETE FROM meta WHERE key = ?", (_KEY,))
            if gone:
                tx.emit(NodeDrainEnded(act.by, act.reason, command))
            done(tx, command, "the node takes images again" if gone else "the node was not draining")

    def left(self) -> Left:
        """What goes on now."""
        with self._db.read() as connection:
            associations = connection.execute("SELECT count(*) FROM association WHERE state = 'open'").fetchone()[0]
            arrivals = connection.execute(
                "SELECT state, count(*) FROM arrival WHERE state IN ('open', 'closed', 'waiting') GROUP BY state"
            ).fetchall()
            rows: list[Any] = connection.execute(
                "SELECT target, state, count(*) AS count FROM delivery"
                f" WHERE state IN {(*GOING, 'parked', 'held')!r} GROUP BY state, target"
            ).fetchall()
        going: dict[str, dict[str, int]] = {}
        stays: Counter[str] = Counter()
        for row in rows:
            if row["state"] in GOING:
                going.setdefault(row["target"], {})[row["state"]] = row["count"]
            else:
                stays[row["state"]] += row["count"]
        return Left(associations, {row[0]: row[1] for row in arrivals}, going, stays.total())
