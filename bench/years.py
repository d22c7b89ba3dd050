"""A ledger full of years of history, made by the database itself: the same SQL for PostgreSQL and SQLite. It measures nothing.

What the rows look like stands in years_rows.py. Indexes go before and come back after, so that ten million images take
minutes; it must not be used on a ledger that anybody works with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Table, text
from sqlalchemy.schema import AddConstraint, CreateIndex, DropConstraint, DropIndex

from bench.years_rows import BEGIN, EVENTS, NODE, OTHER, ROWS, SECONDS, UID, event_columns, sizes
from protocol.ledger.migrate import upgrade
from protocol.ledger.tables import metadata

CHUNK = 500_000  # rows of one statement


@dataclass(frozen=True)
class Size:
    """How much history: `arrivals` (a multiple of ten) with `each` images on average, and one with `giant` images more."""

    arrivals: int
    each: int

    @property
    def giant(self) -> int:
        """Images of the largest series beyond its usual ones."""
        return min(5000, self.arrivals * self.each // 20)

    @property
    def giant_arrival(self) -> int:
        """The number of the largest series."""
        return self.arrivals // 2 // 10 * 10 + 1

    @property
    def crowd(self) -> int:
        """Arrivals of the study that never ends."""
        return min(2000, self.arrivals // 20)

    def count(self, what: str) -> int:
        """How many rows a table has."""
        return {"arrivals": self.arrivals, "deliveries": 2 * self.arrivals, "seldom": max(1, self.arrivals // 1000),
                "headers": self.arrivals // 2, "images": self.each * self.arrivals + self.giant}[what]  # fmt: skip

    def arrival_of(self, what: str) -> str:
        """The arrival of row n."""
        many = 10 * self.each
        edges = [sum(sizes(self.each)[: place + 1]) for place in range(9)]
        within = " ".join(f"WHEN (n - 1) % {many} < {edge} THEN {place}" for place, edge in enumerate(edges, 1))
        image = (f"CASE WHEN n > {self.arrivals * self.each} THEN {self.giant_arrival}"
                 f" ELSE (n - 1) / {many} * 10 + CASE {within} ELSE 10 END END")  # fmt: skip
        return {"arrivals": "n", "deliveries": "(n + 1) / 2", "seldom": "n * 1000", "images": image,
                "headers": f"n + {self.arrivals - self.arrivals // 2}"}[what]  # fmt: skip

    @property
    def images_of(self) -> str:
        """How many images arrival a has."""
        usual = " ".join(f"WHEN {place % 10} THEN {size}" for place, size in enumerate(sizes(self.each), 1))
        extra = f"CASE WHEN a = {self.giant_arrival} THEN {self.giant} ELSE 0 END"
        return f"(CASE a % 10 {usual} END + {extra})"


def fill(engine: Engine, arrivals: int, each: int) -> None:
    """Make the tables, and in them so many arrivals with about `each` images; counted for the planner at the end."""
    for _ in pieces(engine, arrivals, each):
        pass


def pieces(engine: Engine, arrivals: int, each: int) -> Iterator[str]:
    """`fill` in pieces of some seconds to minutes, so that others get the machine between them; says what was done."""
    upgrade(engine)
    size, postgres = Size(arrivals, each), engine.dialect.name == "postgresql"
    with engine.connect() as connection:
        if not postgres:
            _hasty(connection)
        with connection.begin():
            yield from _rows(connection, size)
    yield "written"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET statement_timeout = 0" if postgres else "SELECT 1")
        connection.exec_driver_sql("VACUUM ANALYZE" if postgres else "ANALYZE")
    yield "counted"


def _hasty(connection: Connection) -> None:
    """SQLite without a journal, for this connection: what is broken off is begun anew."""
    raw: Any = connection.connection.dbapi_connection
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-500000"):
        raw.execute(f"PRAGMA {pragma}")


def _rows(connection: Connection, size: Size) -> Iterator[str]:
    postgres = connection.dialect.name == "postgresql"
    if postgres:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0; SET LOCAL maintenance_work_mem = '1GB'")
    for name in ROWS.keys() | {"event"}:
        _bare(connection, metadata.tables[name], postgres)
    for name, (what, columns) in ROWS.items():
        yield from _insert(connection, name, columns, what, size)
    for at, event in enumerate(EVENTS):
        yield from _insert(connection, "event", event_columns(at), event[1], size)
    for name in (*ROWS, "event"):
        yield from _dressed(connection, metadata.tables[name], postgres)
    for node in (NODE, OTHER):
        connection.execute(text(f"INSERT INTO cursor (node, consumer, epoch, seq, time) VALUES ('{node}', 'bookkeeper', 1,"
                                f" {size.count('images') * 20}, {BEGIN + SECONDS})"))  # fmt: skip


def _bare(connection: Connection, table: Table, postgres: bool) -> None:
    """Without indexes. PostgreSQL writes a table that this transaction emptied past its log (wal_level = minimal)."""
    for index in table.indexes:
        connection.execute(DropIndex(index))
    if postgres:
        connection.execute(DropConstraint(table.primary_key))
        connection.exec_driver_sql(f"TRUNCATE {table.name}")


def _dressed(connection: Connection, table: Table, postgres: bool) -> Iterator[str]:
    if postgres:
        connection.execute(AddConstraint(table.primary_key))
        yield f"key of {table.name}"
    for index in sorted(table.indexes, key=lambda one: str(one.name)):
        connection.execute(CreateIndex(index))
        yield f"index {index.name}"


def _insert(connection: Connection, table: str, columns: dict[str, str], what: str, size: Size) -> Iterator[str]:
    postgres = connection.dialect.name == "postgresql"
    words: dict[str, Any] = {
        "uid": UID, "arrivals": size.arrivals, "crowd": size.crowd, "size": size.images_of,
        "time": f"({BEGIN} + a * {SECONDS / size.arrivals})", "json_begin": "CAST(" if postgres else "(",
        "json_end": " AS jsonb)" if postgres else ")", "bytes_begin": "'\\x" if postgres else "X'",
    }  # fmt: skip
    named, chosen = ", ".join(f'"{name}"' for name in columns), ", ".join(columns.values())
    for word, meant in words.items():  # not str.format: JSON has braces of its own
        chosen = chosen.replace("{" + word + "}", str(meant))
    for first in range(1, size.count(what) + 1, CHUNK):
        last = min(first + CHUNK - 1, size.count(what))
        counted = (f"SELECT n FROM generate_series(CAST({first} AS bigint), {last}) AS s(n)" if postgres else
                   f"WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last}) SELECT n FROM s")  # fmt: skip
        statement = (f"INSERT INTO {table} ({named}) SELECT {chosen} FROM (SELECT n, {size.arrival_of(what)} AS a"
                     f" FROM ({counted}) AS c) AS s")  # fmt: skip
        connection.exec_driver_sql(statement.replace("%", "%%"), ()) if postgres else connection.exec_driver_sql(
            statement
        )
        yield f"{table} {last}"
