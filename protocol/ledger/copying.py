"""Copies one ledger into another, SQLite or PostgreSQL either way: `Copying`. A copy that was broken off is gone on with.
It must not touch the source, nor a target that has another history or whose bookkeeper is at work.

The source may be in use. Events are copied as far as its cursor was at the beginning, other rows as they are met; who
then reads the outbox from that cursor sets every row right again, since events set values and count nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import sleep
from typing import Any

from sqlalchemy import Connection, Engine, Table, and_, false, func, literal, or_, select, text, tuple_

from protocol.errors import LedgerError
from protocol.ledger.bulk import put
from protocol.ledger.engine import database_errors, normalised, reader, reading, writer
from protocol.ledger.migrate import NEWEST, revision, upgrade
from protocol.ledger.record import CONSUMER, lock_key
from protocol.ledger.standing import shown
from protocol.ledger.tables import cursor, event, metadata

PAGE = 2000  # rows in one transaction
LOOKS, LOOK_EVERY_S = 30, 0.1  # a bookkeeper's session ends on the server a moment after the bookkeeper
STRIDE = 100_000  # rows that are skipped at once to find where a former copy ended
Position = tuple[int, int]
Told = Callable[[int, int], None]
"""Called with rows done and rows in all, about."""


class Copying:
    """One copy from `source` to `target`, both URLs."""

    def __init__(self, source: str, target: str, *, join: bool = False) -> None:
        """`join`: the target may hold the history of other nodes. Raises LedgerError for URLs that cannot be used."""
        if normalised(source) == normalised(target):
            raise LedgerError("source and target are the same database")
        self._source, self._target, self._join = source, target, join
        self.tables = [table for table in metadata.sorted_tables if table is not cursor]
        self._upto: dict[str, Position] = {}

    def run(self, told: Told = lambda done, total: None) -> dict[str, dict[str, int]]:
        """Copy what is missing, compare the counts, and only then hand over the cursor. Returns the counts by table.

        Raises LedgerError if the target must not be written or lacks rows afterwards, LedgerUnavailable.
        """
        origin, destination = reader(self._source), writer(self._target)
        try:
            self._begin(origin)
            upgrade(destination)
            with database_errors(), destination.connect() as lock:
                self._alone(lock)
                before = self._counts(origin)
                total = sum(before.values())
                done = 0
                for table in self.tables:
                    done = self._copy(origin, destination, table, done, lambda now: told(min(now, total), total))
                found = self._compare(before, origin, destination)
                with destination.begin() as connection:
                    self._hand_over(connection)
                    if connection.dialect.name == "postgresql":
                        # So that the first questions are planned by what is there, not by the empty tables of before.
                        connection.execute(text("ANALYZE"))
            return found
        finally:
            origin.dispose()
            destination.dispose()

    # ---- what must hold before --------------------------------------------------------------------------------
    def _begin(self, origin: Engine) -> None:
        """Where the source's cursors stand, before anything is read."""
        with reading(origin) as connection:
            if revision(connection) != NEWEST:
                raise LedgerError(f"{shown(self._source)} is of another version; start its node with this one first")
            self._upto = positions(connection)
        if not self._upto:
            raise LedgerError(f"{shown(self._source)} holds no history: no bookkeeper ever wrote it")

    def _alone(self, connection: Connection) -> None:
        """The target has nobody's history but (a part of) this one, and nobody writes it."""
        there = positions(connection)
        others = sorted(there.keys() - self._upto.keys())
        if others and not self._join:
            raise LedgerError(f"{shown(self._target)} holds the history of {', '.join(others)}; add to it with --join")
        newer = sorted(node for node, at in there.items() if at > self._upto.get(node, at))
        if newer:
            raise LedgerError(
                f"{shown(self._target)} is ahead of the source for {', '.join(newer)}; it is in use already"
            )
        if connection.dialect.name == "postgresql":
            for node in self._upto:
                if not _held(connection, node):
                    raise LedgerError(f"the bookkeeper of {node} writes {shown(self._target)}; stop it first")
        connection.commit()  # the locks are the connection's, not the transaction's

    # ---- rows ---------------------------------------------------------------------------------------------------
    def _copy(self, origin: Engine, destination: Engine, table: Table, done: int, told: Callable[[int], None]) -> int:
        # Events never change. Other rows may have, since a former copy brought them: the source's values count.
        after, skipped = self._ended(origin, destination, table) if table is event else (None, 0)
        done += skipped
        rest = tuple(column.name for column in table.c if not column.primary_key) if table is event else ()
        for rows in self._pages(origin, table, after):
            with database_errors(), destination.begin() as connection:
                put(connection, table, rows, rest)
            done += len(rows)
            told(done)
        return done

    def _pages(self, origin: Engine, table: Table, after: Sequence[Any] | None) -> Iterator[list[dict[str, Any]]]:
        """A page each in a short look of its own."""
        key = list(table.primary_key)
        while True:
            wanted = self._of(table, select(table), after).order_by(*key).limit(PAGE)
            with reading(origin) as connection:
                rows = [dict(row._mapping) for row in connection.execute(wanted)]
            if rows:
                yield rows
            if len(rows) < PAGE:
                return
            after = [rows[-1][column.name] for column in key]

    def _ended(self, origin: Engine, destination: Engine, table: Table) -> tuple[Sequence[Any] | None, int]:
        """The last key in strides that a former copy brought over, and how many rows that is: it went in this order."""
        key = list(table.primary_key)
        after: Sequence[Any] | None = None
        skipped = 0
        with reading(origin) as source, reading(destination) as target:
            while True:
                wanted = self._of(table, select(*key), after).order_by(*key).offset(STRIDE - 1).limit(1)
                row = source.execute(wanted).first()
                if row is None:
                    return after, skipped
                there = and_(*(column == value for column, value in zip(key, row, strict=True)))
                if target.execute(select(literal(1)).select_from(table).where(there)).first() is None:
                    return after, skipped
                after, skipped = tuple(row), skipped + STRIDE

    def _of(self, table: Table, wanted: Any, after: Sequence[Any] | None) -> Any:
        """Rows of the nodes that are copied, behind a key."""
        if table is event:
            wanted = wanted.where(self._recorded())
        elif "node" in table.c:
            wanted = wanted.where(table.c.node.in_(sorted(self._upto)))
        if after is None:
            return wanted
        key = list(table.primary_key)
        if len(key) == 1:
            return wanted.where(key[0] > after[0])
        return wanted.where(tuple_(*key) > tuple_(*(literal(value) for value in after)))

    def _recorded(self) -> Any:
        """Events up to the cursors."""
        return or_(false(), *(
            and_(event.c.node == node, or_(event.c.epoch < epoch, and_(event.c.epoch == epoch, event.c.seq <= seq)))
            for node, (epoch, seq) in self._upto.items()
        ))  # fmt: skip

    # ---- what must hold afterwards ------------------------------------------------------------------------------
    def _counts(self, engine: Engine) -> dict[str, int]:
        with reading(engine) as connection:
            return {table.name: self._count(connection, table) for table in self.tables}

    def _count(self, connection: Connection, table: Table) -> int:
        return int(connection.execute(self._of(table, select(func.count()).select_from(table), None)).scalar_one())

    def _compare(self, before: dict[str, int], origin: Engine, destination: Engine) -> dict[str, dict[str, int]]:
        """A source in use gains rows, and loses what is too old; neither is a fault of the copy."""
        after, there = self._counts(origin), self._counts(destination)
        lacking = [
            f"{name} ({there[name]} of {before[name]})"
            for name in before
            if there[name] < min(before[name], after[name])
        ]
        if lacking:
            raise LedgerError(
                f"rows are missing in the copy: {', '.join(lacking)}; run it again into an empty database"
            )
        return {name: {"source": after[name], "target": there[name]} for name in before}

    def _hand_over(self, connection: Connection) -> None:
        with reading(reader(self._source)) as source:
            kept = [dict(row._mapping) for row in source.execute(select(cursor).where(cursor.c.consumer == CONSUMER))]
        rows = [{**row, "epoch": self._upto[row["node"]][0], "seq": self._upto[row["node"]][1]}
                for row in kept if row["node"] in self._upto]  # fmt: skip
        put(connection, cursor, rows)


def _held(connection: Connection, node: str) -> bool:
    """Take the lock of a node's bookkeeper for this connection; False if a bookkeeper keeps it."""
    for look in range(LOOKS):
        if look:
            sleep(LOOK_EVERY_S)
        if connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": lock_key(node)}).scalar():
            return True
    return False


def positions(connection: Connection) -> dict[str, Position]:
    """How far the bookkeeper of each node is."""
    wanted = select(cursor.c.node, cursor.c.epoch, cursor.c.seq).where(cursor.c.consumer == CONSUMER)
    return {str(row[0]): (int(row[1]), int(row[2])) for row in connection.execute(wanted)}
