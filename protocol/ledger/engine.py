"""Opens the ledger's database, SQLite or PostgreSQL by its URL, and sorts its errors: away, or refusing one record.
It must not know tables. Only the bookkeeper gets a writing engine; everyone else reads.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy import Connection as Connection
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.pool import NullPool

from protocol.errors import LedgerError, LedgerLost, LedgerUnavailable
from protocol.ledger.bulk import to_json

SQLITE_WAIT_S = 1.0  # a file locked for longer counts as away
KEEPALIVE = {  # libpq: a server that vanished without a word is noticed after about 25 s
    "connect_timeout": "5", "keepalives": "1", "keepalives_idle": "10", "keepalives_interval": "5",
    "keepalives_count": "3", "tcp_user_timeout": "20000", "application_name": "scanpost", "client_encoding": "utf8",
}  # fmt: skip
# Without jit: a page's question touches some thousand rows, and compiling it takes longer than answering it.
SESSION = {"writer": ("synchronous_commit = on", "statement_timeout = '60s'", "lock_timeout = '10s'", "jit = off"),
           "reader": ("default_transaction_read_only = on", "statement_timeout = '20s'", "jit = off")}  # fmt: skip

# SQLSTATE classes that speak of the record: data exception, integrity, program limit, cardinality; and two types' errors
_RECORD_STATES = ("21", "22", "23", "54", "42804", "42846")


def normalised(url: str) -> URL:
    """The URL with the driver that scanpost uses. Raises LedgerError for any other database."""
    try:
        parsed = make_url(url)
    except ArgumentError as exc:
        raise LedgerError("ledger.url is no database URL; write sqlite:////path or postgresql://host/name") from exc
    kind = parsed.get_backend_name()
    if kind in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg2")
    if kind == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed.set(drivername="sqlite+pysqlite")
    raise LedgerError("ledger.url must name a SQLite file or a PostgreSQL database")


def writer(url: str) -> Engine:
    """An engine for the bookkeeper: every connection is new, every transaction a writing one. It does not connect yet."""
    return _engine(normalised(url), "writer")


def reader(url: str) -> Engine:
    """An engine that cannot change anything. It does not connect yet."""
    return _engine(normalised(url), "reader")


def _engine(url: URL, role: str) -> Engine:
    options: dict[str, Any] = {"poolclass": NullPool, "json_serializer": to_json, "hide_parameters": True}
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, creator=_sqlite_connect(Path(url.database or ""), role), **options)
        # The driver's own idea of when a transaction begins is switched off (isolation_level None), so say it here;
        # IMMEDIATE because a transaction that first reads and then writes may otherwise fail without waiting.
        event.listen(engine, "begin", _begin_immediate if role == "writer" else _begin)
        return engine
    defaults = {key: value for key, value in KEEPALIVE.items() if key not in url.query}
    engine = create_engine(url, connect_args=defaults, **options)
    event.listen(engine, "connect", partial(_postgres_session, role))
    return engine


def _sqlite_connect(path: Path, role: str) -> Callable[[], sqlite3.Connection]:
    def connect() -> sqlite3.Connection:
        if role == "writer":
            # It holds patient data; opened only if new: closing a descriptor would drop SQLite's locks on the file.
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            except FileExistsError:
                pass
            except OSError as exc:  # no folder, no right: as good as a database that is away
                raise sqlite3.OperationalError(f"{path}: {exc.strerror}") from exc
        elif _is_missing(path):  # which SQLite's own error does not say
            raise LedgerLost(f"there is no ledger at {path} yet; `scanpost up` makes one")
        mode = "rw" if role == "writer" else "ro"  # who reads only never runs a checkpoint
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=SQLITE_WAIT_S, isolation_level=None,
            check_same_thread=False,
        )  # fmt: skip
        try:
            if role == "writer":
                connection.execute("PRAGMA journal_mode=WAL")
                # The outbox forgets what the ledger confirmed, so the ledger must survive a power cut.
                connection.execute("PRAGMA synchronous=FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    return connect


def file_of(engine: Engine) -> tuple[int, int] | None:
    """Which file a SQLite database is at this moment, as device and inode; (0, 0): there is none. None for a server."""
    if engine.url.get_backend_name() != "sqlite":
        return None
    try:
        found = os.stat(engine.url.database or "")
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _is_missing(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # no right to look: SQLite's error says more
        return False
    return False


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _postgres_session(role: str, connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        for setting in SESSION[role]:
            cursor.execute(f"SET {setting}")
    connection.commit()


def refuses_record(exc: BaseException) -> bool:
    """Whether the database refuses these values, so that waiting cannot help; anything else counts as away."""
    if not isinstance(exc, StatementError):
        return False
    cause = exc.orig
    if not isinstance(exc, DBAPIError):  # the values could not even be handed over
        return isinstance(cause, TypeError | ValueError | OverflowError | RecursionError)
    if exc.connection_invalidated:
        return False
    state = getattr(cause, "pgcode", None)
    if state:
        return str(state).startswith(_RECORD_STATES)
    return isinstance(cause, sqlite3.DataError | sqlite3.IntegrityError | sqlite3.InterfaceError)


def brief(exc: BaseException) -> str:
    """One line about a database error, without any value of a record."""
    cause = getattr(exc, "orig", None) or exc
    state = getattr(cause, "pgcode", None)
    lines = str(cause).strip().splitlines()
    return f"{type(cause).__name__}{f' {state}' if state else ''}: {lines[0][:200] if lines else ''}"


def kind_of(exc: BaseException) -> str:
    """A database error's class and SQLSTATE alone, since its text may quote the record."""
    cause = getattr(exc, "orig", None) or exc
    return " ".join(filter(None, (type(cause).__name__, getattr(cause, "pgcode", None))))


def encoding_of(connection: Connection) -> str:
    """How the database keeps texts; only UTF8 takes the names of all scanners."""
    if connection.dialect.name != "postgresql":
        return "UTF8"
    return str(connection.exec_driver_sql("SHOW server_encoding").scalar_one())


@contextmanager
def database_errors() -> Iterator[None]:
    """SQLAlchemy's errors as LedgerUnavailable; statements that may refuse a record are guarded further inside."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as exc:
        # sqlite3 has no class of its own for a file that is damaged or no database; all else has one.
        damaged = type(getattr(exc, "orig", None) or exc) is sqlite3.DatabaseError
        raise (LedgerLost if damaged else LedgerUnavailable)(brief(exc)) from exc


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for the functions of queries.py: one consistent look. Raises LedgerUnavailable."""
    with database_errors(), engine.connect() as connection:
        yield connection
