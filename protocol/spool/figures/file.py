"""The file figures.sqlite3: opening, tables, errors. It must not know what is counted.

One process writes (the bookkeeper), any number read. A damaged file is set aside: what the outbox remembers is counted again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protocol.spool.database import ENDINGS, sqlite_errors

VERSION = 1
_TABLES = """
CREATE TABLE place (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
  time REAL NOT NULL);
INSERT INTO place VALUES (1, 0, 0, 0);
-- A metric with its labels (a list in JSON), what it came to since counting began, and the time of its newest event.
CREATE TABLE line (
  id INTEGER PRIMARY KEY, metric TEXT NOT NULL, labels TEXT NOT NULL, total NUMERIC NOT NULL, last REAL NOT NULL,
  UNIQUE (metric, labels)
);
CREATE TABLE bucket (
  line INTEGER NOT NULL, width INTEGER NOT NULL, start INTEGER NOT NULL, value NUMERIC NOT NULL,
  PRIMARY KEY (line, width, start)
) WITHOUT ROWID;
"""


def open_file(path: Path, *, create: bool = False) -> sqlite3.Connection | None:
    """A connection; None if there is no file yet and it must not be made. Raises SpoolError, SpoolDamaged, OutOfSpace.

    Commits survive kill -9; a power cut may take the last ones, with the place in the outbox that they had reached.
    """
    if not create and not path.exists():
        return None
    with sqlite_errors("open the figures"):
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            if not connection.execute("PRAGMA user_version").fetchone()[0]:
                if not create:
                    connection.close()
                    return None
                connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version={VERSION}; COMMIT;")
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, what: str, kind: str = "IMMEDIATE") -> Iterator[None]:
    """All of it or nothing; errors of the file as ours."""
    try:
        with sqlite_errors(what):
            connection.execute(f"BEGIN {kind}")
            yield
            connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            with sqlite_errors(what):
                connection.execute("ROLLBACK")


def set_aside(path: Path, now: float) -> None:
    """Give a damaged file another name, its log as well."""
    for ending in ENDINGS:
        there = path.with_name(path.name + ending)
        if there.exists():
            there.rename(there.with_name(f"{there.name}.damaged-{int(now)}"))
