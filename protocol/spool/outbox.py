"""The outbox: every recorded event in one order per node and epoch, read by cursors.
It is written only by Transaction.emit together with the change it tells; here it is read, confirmed and trimmed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from protocol.errors import DecodeError
from protocol.spool.database import Database, begin_epoch
from protocol.spool.transaction import Transaction
from protocol.wire.codec import unpack_stored
from protocol.wire.events import EpochBegun, OutboxTrimmed
from protocol.wire.messages import Envelope, Event

PAGE = 1000
NOTIFIER = "notifier"
"""The consumer that makes notifications out of what rules want told. Nothing that it has not seen is trimmed, once it has begun."""
AUDITOR = "audit"
"""The consumer that carries what people asked for into the audit; the same holds for it."""


class Cursor(NamedTuple):
    """A place in the outbox: everything up to and including it has been seen."""

    epoch: int
    seq: int


class Happened(NamedTuple):
    """What was recorded up to `head`: which types about which arrivals (correlation ids), and the events one asked for."""

    head: Cursor
    kinds: frozenset[tuple[str, str]]
    events: list[Envelope]


class Raw(NamedTuple):
    """An event as it lies in the outbox, for who looks at some types only: its body is still packed."""

    epoch: int
    seq: int
    type: str
    time: float
    body: bytes


class Outbox:
    """Reading side of the events of one node."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def record(self, *events: Event, correlation: str | int = "") -> None:
        """Record events that belong to no change of state, in a transaction of their own."""
        with self._db.write() as tx:
            for event in events:
                tx.emit(event, correlation=correlation)

    def read(self, after: Cursor, limit: int = PAGE) -> list[Envelope]:
        """Events behind `after`, in order, at most `limit`, with their patient data.

        A cursor of an earlier epoch first gets what is left of that epoch, then the later ones.
        """
        return [_envelope(row) for row in self._rows("*", after, limit)]

    def batch(self, after: Cursor, limit: int, most_bytes: int) -> tuple[list[Envelope], bool]:
        """As `read`, but no more bytes at once than so many, except of a single event; and whether either limit cut it off."""
        size = "length(body) + coalesce(length(phi), 0) AS size"
        taken = total = 0
        for row in self._rows(size, after, limit):
            total += row["size"]
            if taken and total > most_bytes:
                return self.read(after, taken), True
            taken += 1
        return (self.read(after, taken) if taken else []), taken >= limit

    def raw(self, after: Cursor, limit: int = PAGE) -> list[Raw]:
        """As `read`, without patient data and without decoding anything."""
        return [Raw(*row) for row in self._rows("epoch, seq, type, time, body", after, limit)]

    def _rows(self, columns: str, after: Cursor, limit: int) -> list[sqlite3.Row]:
        with self._db.read() as connection:
            epoch = int(connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0])
            if after.epoch == epoch:
                return connection.execute(
                    f"SELECT {columns} FROM event WHERE seq > ? ORDER BY seq LIMIT ?", (after.seq, limit)
                ).fetchall()
            return connection.execute(
                f"SELECT {columns} FROM event WHERE epoch > ? OR (epoch = ? AND seq > ?) ORDER BY seq LIMIT ?",
                (after.epoch, after.epoch, after.seq, limit),
            ).fetchall()

    def of_types(self, after: Cursor, types: Collection[str], span: int = 10 * PAGE) -> tuple[list[Envelope], Cursor]:
        """Of the next `span` numbers behind `after` the events of these types, and how far that looked."""
        with self._db.read() as connection:
            head = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
            epoch = int(connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0])
            upto = min(after.seq + span, int(head[0]) if head else 0)
            rows = connection.execute(
                f"SELECT * FROM event WHERE seq > ? AND seq <= ? AND type IN ({','.join('?' * len(types))}) ORDER BY seq",
                (after.seq, upto, *types),
            ).fetchall()
        return [_envelope(row) for row in rows], Cursor(epoch, max(upto, after.seq))

    def newest_of(self, type: str, limit: int = 200) -> list[Envelope]:
        """The newest events of a type that are still here, newest first; it may look at every event."""
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT * FROM event WHERE type = ? ORDER BY seq DESC LIMIT ?", (type, limit)
            ).fetchall()
        return [_envelope(row) for row in rows]

    def head(self) -> Cursor:
        """Where the newest event stands (seq of the last one ever recorded, even if it was trimmed)."""
        with self._db.read() as connection:
            epoch = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0]
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
        return Cursor(int(epoch), int(row[0]) if row else 0)

    def oldest(self) -> Cursor:
        """The oldest event still here; equal to `head` if none is."""
        with self._db.read() as connection:
            row = connection.execute("SELECT epoch, seq FROM event ORDER BY seq LIMIT 1").fetchone()
        return Cursor(int(row[0]), int(row[1])) if row else self.head()

    def happened(self, after: Cursor, loud: Collection[str] = (), limit: int = PAGE) -> Happened:
        """What pages need to know of the events behind `after`, without reading each: the last 20 pages of them, no more.

        `loud` are the types whose events are wanted whole, the newest `limit` of them, oldest first.
        """
        head = self.head()
        first = max(after.seq if after.epoch == head.epoch else 0, head.seq - 20 * PAGE)
        marks = ",".join("?" * len(loud))
        with self._db.read() as connection:
            kinds = connection.execute(
                "SELECT DISTINCT type, correlation FROM event WHERE seq > ? AND seq <= ?", (first, head.seq)
            ).fetchall()
            wanted = not {kind[0] for kind in kinds}.isdisjoint(loud)
            rows = (
                connection.execute(
                    f"SELECT * FROM event WHERE seq > ? AND seq <= ? AND type IN ({marks}) ORDER BY seq DESC LIMIT ?",
                    (first, head.seq, *loud, limit),
                ).fetchall()
                if wanted
                else []
            )
        return Happened(head, frozenset((row[0], row[1]) for row in kinds), [_envelope(row) for row in reversed(rows)])

    def newest_time(self) -> float:
        """When the newest event was recorded, seconds UTC; 0 if there is none."""
        with self._db.read() as connection:
            row = connection.execute("SELECT time FROM event ORDER BY seq DESC LIMIT 1").fetchone()
        return float(row[0]) if row else 0.0

    def newest(self) -> float | None:
        """The latest time (seconds UTC) among the last events: after a clock was set back that is not the last one's."""
        with self._db.read() as connection:
            row = connection.execute(
                "SELECT max(time) FROM (SELECT time FROM event ORDER BY seq DESC LIMIT ?)", (PAGE,)
            ).fetchone()
        return None if row[0] is None else float(row[0])

    def since(self, time: float) -> Cursor:
        """The cursor from which a reader gets every event recorded at `time` (seconds UTC) or later."""
        with self._db.read() as connection:
            epoch = int(connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0])
            row = connection.execute(
                "SELECT epoch, seq FROM event WHERE time >= ? ORDER BY seq LIMIT 1", (time,)
            ).fetchone()
        if row is None:
            return self.head()
        return Cursor(min(int(row[0]), epoch), int(row[1]) - 1)

    def barrier(self) -> None:
        """Make sure that everything read so far survives a power cut (a consumer calls it before it writes elsewhere)."""
        self._db.barrier()

    def confirm(self, consumer: str, cursor: Cursor) -> None:
        """A consumer has durably stored everything up to `cursor`; it never goes back within an epoch."""
        with self._db.write() as tx:
            tx.execute(
                "INSERT INTO consumer (name, epoch, seq, time) VALUES (:name, :epoch, :seq, :now)"
                " ON CONFLICT (name) DO UPDATE SET epoch = :epoch, seq = :seq, time = :now"
                " WHERE :epoch > epoch OR (:epoch = epoch AND :seq > seq)",
                {"name": consumer, "epoch": cursor.epoch, "seq": cursor.seq, "now": tx.now},
            )

    def confirmed(self, consumer: str) -> Cursor | None:
        """How far a consumer said it is."""
        with self._db.read() as connection:
            row = connection.execute("SELECT epoch, seq FROM consumer WHERE name = ?", (consumer,)).fetchone()
        return Cursor(int(row[0]), int(row[1])) if row else None

    def backlog(self, consumer: str) -> int:
        """How many numbers a consumer's confirmed cursor is behind the newest event."""
        at, head = self.confirmed(consumer), self.head()
        seen = at.seq if at is not None and at.epoch == head.epoch else self.oldest().seq - 1
        return max(0, head.seq - seen)

    def lag_s(self, consumer: str) -> float:
        """Age in seconds of the oldest event that a consumer has not confirmed; 0 if it has them all."""
        waiting = self.raw(self.confirmed(consumer) or Cursor(0, 0), 1)
        return max(0.0, self._db.clock.now() - waiting[0].time) if waiting else 0.0

    def trim(self, before_time: float, consumers: Collection[str], limit: int = 500) -> int:
        """Drop at most `limit` events older than `before_time` that all `consumers` confirmed; how many went."""
        with self._db.write() as tx:
            rows = [tx.one("SELECT epoch, seq FROM consumer WHERE name = ?", (name,)) for name in consumers]
            if not rows or any(row is None for row in rows):
                return 0
            rows += tx.all("SELECT epoch, seq FROM consumer WHERE name IN (?, ?)", (NOTIFIER, AUDITOR))
            epoch, seq = min((int(row[0]), int(row[1])) for row in rows)
            found = tx.all(
                "SELECT seq, epoch, time FROM event ORDER BY seq LIMIT ?", (limit,)
            )  # a prefix: a gap in the middle would look like a loss to every consumer
            gone = _last_old(tx, found, before_time, (epoch, seq))
            if not gone:
                return 0
            count = tx.changed("DELETE FROM event WHERE seq <= ?", (gone,))
            tx.emit(OutboxTrimmed(gone, count))
            return count

    def begin_epoch(self, why: str) -> int:
        """Start a new numbering (restore, rebuild, unclean boot in relaxed mode)."""
        with self._db.write() as tx:
            epoch = begin_epoch(tx, tx.now)
            tx.emit(EpochBegun(epoch, why))
            return epoch


def _last_old(tx: Transaction, rows: Sequence[sqlite3.Row], before_time: float, confirmed: tuple[int, int]) -> int:
    """The last of the oldest events that may go, 0: none.

    One from a time that is still to come was recorded while the clock was ahead: it is as old as the next ones.
    """
    gone = 0
    for row in rows:
        if (int(row["epoch"]), int(row["seq"])) > confirmed or before_time <= row["time"] <= tx.now:
            return gone
        if row["time"] < before_time:
            gone = int(row["seq"])
    if rows and not gone:  # all of them; whoever comes behind them tells
        last = int(rows[-1]["seq"])
        behind = tx.one("SELECT time FROM event WHERE seq > ? AND time <= ? ORDER BY seq LIMIT 1", (last, tx.now))
        gone = last if behind is not None and behind[0] < before_time else 0
    return gone


def _envelope(row: sqlite3.Row) -> Envelope:
    return Envelope(
        id=row["id"], source=row["source"], type=row["type"], dataschema=f"{row['type']}/{row['version']}",
        subject=row["subject"], time=row["time"], epoch=row["epoch"], seq=row["seq"], correlationid=row["correlation"],
        causationid=row["causation"], severitynumber=row["severity"], shard=row["shard"],
        data=_values(row["body"]), phi=None if row["phi"] is None else _values(row["phi"]),
    )  # fmt: skip


def _values(raw: bytes) -> dict[str, Any]:
    """What was recorded, or, if its bytes were damaged, the bytes: one bad record must not stop those behind it."""
    try:
        return unpack_stored(raw)
    except DecodeError:
        return {"undecodable": raw.hex()}
