"""Writes the ledger: a batch of events, what they change, and the cursor behind them, in one transaction.
It must not read the outbox, retry or wait; the bookkeeper does. One object = one connection = one thread at a time.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, select, text, update
from sqlalchemy.exc import SQLAlchemyError, StatementError

from protocol.clock import Clock, SystemClock
from protocol.effects import NO_EFFECTS, Effects
from protocol.errors import LedgerUnavailable
from protocol.ledger.again import end_moved, stand_again
from protocol.ledger.bulk import UNFIT, add, put
from protocol.ledger.engine import database_errors, encoding_of, file_of, kind_of, refuses_record, writer
from protocol.ledger.entries import Entry, entry_of, fold
from protocol.ledger.forgetting import Ages, forget
from protocol.ledger.migrate import upgrade_on
from protocol.ledger.mining.filling import Filled, fill
from protocol.ledger.tables import alert, cursor, event, metadata
from protocol.records import record
from protocol.wire.messages import Envelope

Position = tuple[int, int]
"""A place in a node's outbox: epoch, seq."""
CONSUMER = "bookkeeper"
POISON = "ledger.refused"
"""Alert: some event could not be stored as it is; its bytes are kept."""


def lock_key(node: str) -> int:
    """PostgreSQL's advisory lock of a node's bookkeeper."""
    return int.from_bytes(hashlib.sha256(f"scanpost {CONSUMER} {node}".encode()).digest()[:8], "big", signed=True)


class NotAlone(LedgerUnavailable):
    """Another bookkeeper of this node holds the ledger; after a kill -9 the server takes a moment to notice."""


class Opened(NamedTuple):
    """What the ledger says at the beginning."""

    position: Position  # (0, 0) for a new ledger
    said_down: bool  # a ledger.down without its ledger.up is recorded
    encoding: str = "UTF8"  # of the database's texts
    last: frozenset[str] = frozenset()  # ids of the events that it has at `position`; none if they were forgotten


@record
class Prepared:
    """A batch as rows, made without the database: so that it can be made while the database writes the one before."""

    count: int
    entries: dict[str, Entry]  # by id; what a batch holds twice is there once


@dataclass
class Recorded:
    """What became of a batch."""

    written: int = 0
    known: int = 0  # were there already
    flagged: list[str] = field(default_factory=list)  # ids of events that are not stored as they are


class Ledger:
    """The ledger of one node, for its bookkeeper."""

    def __init__(self, url: str, node: str, *, clock: Clock | None = None, effects: Effects = NO_EFFECTS) -> None:
        """Does not connect. Raises LedgerError for a URL that cannot be used."""
        self.node = node
        self._engine = writer(url)
        self._clock = clock or SystemClock()
        self._effects = effects
        self._connection: Connection | None = None
        self._file: tuple[int, int] | None = None

    # ---- connection ---------------------------------------------------------------------------------------------
    def open(self) -> Opened:
        """Connect, become the one bookkeeper of this node, bring the tables up to date, read the cursor.

        Raises LedgerUnavailable (NotAlone while another one is), or LedgerError if a newer program wrote the ledger.
        """
        self.close()
        with database_errors():
            self._connection = self._engine.connect()
        self._file = file_of(self._engine)
        with self._transaction() as connection:
            self._be_the_only_one(connection)
            upgrade_on(connection)
            self._begin_cursor(connection)
            said_down = select(alert.c.raised).where(
                alert.c.node == self.node, alert.c.alert == "ledger.down", alert.c.cleared.is_(None)
            )
            position, down = self._position(connection), connection.execute(said_down).first() is not None
            return Opened(position, down, encoding_of(connection), self._ids_at(connection, position))

    def close(self) -> None:
        """Let go of the connection, and with it of PostgreSQL's lock; `open` may be called again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError, sqlite3.Error):  # it may be broken already; nothing is left to lose
                connection.invalidate()
                connection.close()

    def _be_the_only_one(self, connection: Connection) -> None:
        """SQLite's file belongs to this node alone, and the actor's lock guards it."""
        if connection.dialect.name != "postgresql":
            return
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": lock_key(self.node)}).scalar():
            raise NotAlone(f"another bookkeeper writes for node {self.node}")

    def _begin_cursor(self, connection: Connection) -> None:
        begin = {"node": self.node, "consumer": CONSUMER}
        row = begin | {"epoch": 0, "seq": 0, "time": self._clock.now()}
        put(connection, cursor, [row], tuple(row.keys() - begin.keys()))

    def _position(self, connection: Connection) -> Position:
        found = connection.execute(
            select(cursor.c.epoch, cursor.c.seq).where(cursor.c.node == self.node, cursor.c.consumer == CONSUMER)
        ).one()
        return int(found.epoch), int(found.seq)

    def _ids_at(self, connection: Connection, position: Position) -> frozenset[str]:
        there = (event.c.node == self.node, event.c.epoch == position[0], event.c.seq == position[1])
        return frozenset(connection.execute(select(event.c.id).where(*there)).scalars())

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Any failure drops the connection: the next `open` starts from what the database then says."""
        if self._connection is None:
            raise LedgerUnavailable("not connected")
        try:
            # Who moves a SQLite file away writes no error: what is written then goes into a file without a name.
            if file_of(self._engine) != self._file:
                raise LedgerUnavailable("the ledger's file was removed or replaced while it was in use")
            with database_errors(), self._connection.begin():
                yield self._connection
        except BaseException:
            self.close()
            raise

    def forget(self, ages: Ages) -> int:
        """Forget what is older than `ages` say, a chunk; 0: nothing old was left.

        Raises LedgerUnavailable; then the ledger must be opened again.
        """
        with self._transaction() as connection:
            gone = forget(connection, self.node, ages)
            self._effects.step("ledger.forget")
        return gone

    def fill_mining(self, zone: str) -> Filled:
        """Make mining rows of series that came before their table was there, a chunk.

        Raises LedgerUnavailable; then the ledger must be opened again.
        """
        with self._transaction() as connection:
            filled = fill(connection, self.node, zone, self._clock.now())
            self._effects.step("ledger.fill")
        return filled

    # ---- writing ------------------------------------------------------------------------------------------------
    def prepare(self, batch: Sequence[Envelope]) -> Prepared:
        """Make the rows of a batch. Needs no connection and never fails, whatever the events hold."""
        now = self._clock.now()
        return Prepared(len(batch), {entry.id: entry for entry in (entry_of(one, self.node, now) for one in batch)})

    def record(self, batch: Sequence[Envelope] | Prepared, before: Position, after: Position) -> Recorded:
        """Store a batch and move the cursor from `before` to `after`, all or nothing.

        Events that are there already are left out. What the database refuses is stored as bytes with a flag.
        Raises LedgerUnavailable; then nothing is known about the outcome and the ledger must be opened again.
        """
        prepared = batch if isinstance(batch, Prepared) else self.prepare(batch)
        with self._transaction() as connection:
            self._move(connection, before, after)
            recorded = Recorded()
            entries = self._unknown(connection, prepared, recorded)
            self._write(connection, entries, recorded)
            self._alert_of(connection, recorded)
            self._effects.step("ledger.before")
        self._effects.step("ledger.after")
        return recorded

    def _move(self, connection: Connection, before: Position, after: Position) -> None:
        """First of all: it locks the row, so that a second writer, if there ever is one, waits and then fails here."""
        moved = connection.execute(
            update(cursor)
            .where(cursor.c.node == self.node, cursor.c.consumer == CONSUMER,
                   cursor.c.epoch == before[0], cursor.c.seq == before[1])
            .values(epoch=after[0], seq=after[1], time=self._clock.now())
        )  # fmt: skip
        if moved.rowcount != 1:
            raise LedgerUnavailable("the ledger's cursor was moved by somebody else")

    def _unknown(self, connection: Connection, prepared: Prepared, recorded: Recorded) -> list[Entry]:
        """What this node has not written yet. An event of another name (the node was renamed, or is a copy of another one's
        machine) stays as it is, and what it tells is written for this node all the same.
        """
        entries = prepared.entries
        asked = select(event.c.id, event.c.node).where(event.c.id.in_(list(entries)))
        there = {row.id: row.node == self.node for row in connection.execute(asked)}
        ours = sum(there.values())
        recorded.known = prepared.count - len(entries) + ours
        for id in there:
            entries[id].elsewhere = True
        return [entry for entry in entries.values() if not there.get(entry.id, False)]

    def _write(self, connection: Connection, entries: Sequence[Entry], recorded: Recorded) -> None:
        if entries and self._try(connection, entries) is not None:
            for entry in entries:  # one of them is refused: find it, keep its bytes, let the others through
                self._write_alone(connection, entry)
        recorded.written = len(entries)
        recorded.flagged = [entry.id for entry in entries if entry.row["flag"] is not None]

    def _write_alone(self, connection: Connection, entry: Entry) -> None:
        """As it is; or without what it changes; or nothing but its bytes."""
        refused = self._try(connection, [entry])
        if refused is None:
            return
        entry.changes = []
        entry.flag(f"refused: {refused}")
        if self._try(connection, [entry]) is not None and not entry.elsewhere:
            entry.reduce(f"refused: {refused}")
            add(connection, event, [entry.row])

    def _try(self, connection: Connection, entries: Sequence[Entry]) -> str | None:
        """Insert rows and changes behind a savepoint; why not, if the database refuses them."""
        try:
            with connection.begin_nested():
                rows = [entry.row for entry in entries if not entry.elsewhere]
                if rows:
                    add(connection, event, rows)
                end_moved(connection, self.node, entries)
                stand_again(connection, self.node, entries)
                for group in fold((change for entry in entries for change in entry.changes), self.node):
                    put(connection, metadata.tables[group.table], group.rows, group.first)
        except UNFIT as exc:
            return type(exc).__name__
        except StatementError as exc:
            if not refuses_record(exc):
                raise
            return kind_of(exc)
        return None

    def _alert_of(self, connection: Connection, recorded: Recorded) -> None:
        """Stands in the same transaction as what it is about; the bookkeeper's event about it may come to nothing."""
        if recorded.flagged:
            what = f"{len(recorded.flagged)} events could not be stored as they are; their bytes are kept"
            row = {"node": self.node, "alert": POISON, "text": what, "raised": self._clock.now(), "cleared": None}
            put(connection, alert, [row])
