"""The file accounts.sqlite3: opening, schema, transactions. It must not know what users may do.

One connection per object, guarded by a lock, so that threads of the web page's executor can share it;
other processes (the command line) have their own and wait up to 5 s.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from protocol.errors import AccountError

_SCHEMA = (
    """
    CREATE TABLE user (
        name     TEXT PRIMARY KEY,
        role     TEXT NOT NULL CHECK (role IN ('admin', 'viewer')),
        password TEXT NOT NULL,
        disabled INTEGER NOT NULL DEFAULT 0,
        created  REAL NOT NULL
    ) STRICT;
    CREATE TABLE session (
        digest    BLOB PRIMARY KEY,
        user      TEXT NOT NULL REFERENCES user (name) ON DELETE CASCADE,
        created   REAL NOT NULL,
        last_seen REAL NOT NULL,
        expires   REAL NOT NULL,
        address   TEXT NOT NULL
    ) STRICT;
    CREATE INDEX session_user ON session (user);
    CREATE TABLE setup (
        only    INTEGER PRIMARY KEY CHECK (only = 1),
        digest  BLOB NOT NULL,
        expires REAL NOT NULL
    ) STRICT;
    CREATE TABLE audit (
        number  INTEGER PRIMARY KEY AUTOINCREMENT,
        time    REAL NOT NULL,
        who     TEXT NOT NULL,
        address TEXT NOT NULL,
        action  TEXT NOT NULL,
        object  TEXT NOT NULL,
        before  TEXT,
        after   TEXT,
        chain   BLOB NOT NULL
    ) STRICT;
    CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit entries are final'); END;
    CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit entries are kept'); END;
    """,
    """
    CREATE TABLE user_2 (
        name        TEXT PRIMARY KEY,
        role        TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'viewer')),
        password    TEXT,
        disabled    INTEGER NOT NULL DEFAULT 0,
        created     REAL NOT NULL,
        last_login  REAL,
        failed      INTEGER NOT NULL DEFAULT 0,
        preferences TEXT NOT NULL DEFAULT '{}'
    ) STRICT;
    INSERT INTO user_2 (name, role, password, disabled, created) SELECT name, role, password, disabled, created FROM user;
    DROP TABLE user;
    ALTER TABLE user_2 RENAME TO user;
    ALTER TABLE session ADD COLUMN agent TEXT NOT NULL DEFAULT '';
    CREATE TABLE token (
        id           INTEGER PRIMARY KEY AUTOINCREMENT,
        digest       BLOB NOT NULL UNIQUE,
        user         TEXT NOT NULL REFERENCES user (name) ON DELETE CASCADE,
        name         TEXT NOT NULL,
        scopes       TEXT NOT NULL,
        created      REAL NOT NULL,
        expires      REAL,
        last_used    REAL,
        last_address TEXT NOT NULL DEFAULT '',
        UNIQUE (user, name)
    ) STRICT;
    CREATE TABLE link (
        user    TEXT PRIMARY KEY REFERENCES user (name) ON DELETE CASCADE,
        digest  BLOB NOT NULL,
        expires REAL NOT NULL
    ) STRICT;
    CREATE INDEX audit_object ON audit (object, number);
    CREATE INDEX audit_who ON audit (who, number);
    CREATE INDEX audit_action ON audit (action, number);
    CREATE INDEX audit_time ON audit (time);
    """,
    """
    CREATE TABLE carried (
        name  TEXT PRIMARY KEY,
        epoch INTEGER NOT NULL,
        seq   INTEGER NOT NULL
    ) STRICT;
    """,
)
"""Migration n leads from user_version n to n + 1. Without foreign keys meanwhile: a table that is made again keeps the rows
that point at it."""


class Database:
    """Connection to accounts.sqlite3; creates and migrates the file."""

    def __init__(self, path: Path) -> None:
        """Raises AccountError if the file is unusable or newer than this program."""
        self._lock = threading.Lock()
        try:
            _create_private(path)
            self._connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode = WAL")
            # Changes are rare and an audit entry must survive a power cut.
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = OFF")
            self._migrate(path)
            self._connection.execute("PRAGMA foreign_keys = ON")
        except (OSError, sqlite3.Error) as exc:
            raise AccountError(f"{path}: {exc}") from exc

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: all of it or nothing. Raises AccountError when the database does not take it."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
            except sqlite3.Error as exc:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise AccountError(f"accounts: {exc}") from exc

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """All rows of one reading statement, fetched before returning."""
        with self._lock:
            try:
                return self._connection.execute(sql, values).fetchall()
            except sqlite3.Error as exc:
                raise AccountError(f"accounts: {exc}") from exc

    def close(self) -> None:
        """Close the connection; may be called again."""
        with self._lock:
            self._connection.close()

    def _migrate(self, path: Path) -> None:
        with self.transaction() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > len(_SCHEMA):
                raise AccountError(f"{path} was written by a newer scanpost (schema {version})")
            for script in _SCHEMA[version:]:
                for statement in _statements(script):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {len(_SCHEMA)}")


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; `executescript` would end our transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _create_private(path: Path) -> None:
    """Make the file readable for its owner alone before a password hash can be in it.

    Only a new file is opened here: closing one that SQLite has open in this process would drop its locks.
    """
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
