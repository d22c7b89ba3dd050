"""The spool's database: the only place that opens spool.sqlite3, begins and commits transactions, and checkpoints.
It knows connections, the write lock and errors; what the tables mean stands in the files beside it.

One transaction = a change of state + the events it causes. Measured reasons: spool page of the design, section 10.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from protocol.clock import Clock
from protocol.effects import NO_EFFECTS, Effects
from protocol.errors import DiskFailed, OutOfSpace, SpoolDamaged, SpoolError, SpoolMissing, SpoolNewer
from protocol.fsops import RealFs
from protocol.spool.schema import MIGRATIONS, SCHEMA_VERSION, TABLES, TOTALS
from protocol.spool.transaction import Transaction
from protocol.spool.writelock import WriteLock

WAL_ALERT_BYTES = 64 << 20
_CHECKPOINT_PAGES = 4000  # 8 MB of log: a page that changes again and again is written back once for all of it
ID_EPOCH = 1577836800  # 2020-01-01; ids begin at the seconds since then, see seed_ids


@contextmanager
def sqlite_errors(what: str) -> Iterator[None]:
    """SQLite's errors about the disk as ours. A failed write is never retried: its outcome is unknown."""
    try:
        yield
    except sqlite3.OperationalError as exc:
        code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise OutOfSpace(f"{what}: the disk is full") from exc
        if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise DiskFailed(f"{what}: {exc}") from exc
        raise SpoolError(f"{what}: {exc}") from exc
    except sqlite3.DatabaseError as exc:
        if isinstance(exc, sqlite3.IntegrityError | sqlite3.ProgrammingError):
            raise
        raise SpoolDamaged(f"{what}: {exc}") from exc


class Database:
    """One writing and one reading connection; both are shared by the threads of this process."""

    def __init__(
        self, path: Path, lock: Path, clock: Clock, source: str, *, full: bool = True, effects: Effects = NO_EFFECTS
    ) -> None:
        self.path = path
        self.clock = clock
        self.source = source
        self.full = full
        self.committed: Callable[[], None] = lambda: None  # told after every commit that recorded events
        self._effects = effects
        self._lock = WriteLock(lock)
        self._reading = threading.Lock()
        self._open()

    def _open(self) -> None:
        with self._lock, sqlite_errors("open the spool"):
            self._writer = self._connect()
            self._reader = self._connect()
            self._reader.execute("PRAGMA query_only=ON")
        self._migrate()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=30)
        connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", f"wal_autocheckpoint={_CHECKPOINT_PAGES}", "mmap_size=0",
                       f"synchronous={'FULL' if self.full else 'NORMAL'}", f"journal_size_limit={WAL_ALERT_BYTES // 2}",
                       "foreign_keys=OFF", "cache_size=-16000", "temp_store=MEMORY"):  # fmt: skip
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _version(self) -> int:
        return int(self._writer.execute("PRAGMA user_version").fetchone()[0])

    def _migrate(self) -> None:
        found = self._version()
        if found == 0:
            raise SpoolMissing(f"{self.path.name} has no tables; run `scanpost spool rebuild`")
        if found > SCHEMA_VERSION:
            raise SpoolNewer(
                f"{self.path.name} has schema {found}, this program knows {SCHEMA_VERSION}; update scanpost"
            )
        for version in range(found + 1, SCHEMA_VERSION + 1):
            with self._lock, sqlite_errors("migrate the spool"):
                if self._version() == version - 1:
                    # executescript would commit by itself; one transaction is one step
                    self._writer.executescript(
                        f"BEGIN IMMEDIATE; {MIGRATIONS[version]}; PRAGMA user_version={version}; COMMIT;"
                    )

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """One transaction; commits at the end, rolls back on any exception. Raises OutOfSpace, DiskFailed, SpoolNewer."""
        with self._lock:
            try:
                with sqlite_errors("begin"):
                    self._writer.execute("BEGIN IMMEDIATE")
                transaction = Transaction(self._writer, self.clock, self.source)
                if self._version() != SCHEMA_VERSION:
                    raise SpoolNewer("the spool's schema was changed by another program; restart scanpost")
                with sqlite_errors("write"):
                    yield transaction
                self._effects.step("commit.before")
                with sqlite_errors("commit"):
                    self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    with sqlite_errors("roll back"):
                        self._writer.execute("ROLLBACK")
            self._effects.step("commit.after")
        if transaction.recorded:
            self.committed()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A short look at one consistent state. Fetch, leave, then act: a long reader keeps the WAL growing."""
        with self._reading:
            try:
                with sqlite_errors("read"):
                    self._reader.execute("BEGIN")
                    yield self._reader
            finally:
                if self._reader.in_transaction:
                    with sqlite_errors("end of reading"):
                        self._reader.execute("ROLLBACK")  # unlike COMMIT it cannot be refused: a look must end

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The reading connection, for what needs no consistent state of several tables."""
        with self._reading:
            yield self._reader

    def barrier(self) -> None:
        """A commit with a sync, in every mode: all that was committed before survives a power cut."""
        with self._lock:
            self._writer.execute("PRAGMA synchronous=FULL")
            try:
                with sqlite_errors("barrier"):
                    self._writer.execute("UPDATE meta SET value = value + 1 WHERE key = 'barrier'")
            finally:
                self._writer.execute(f"PRAGMA synchronous={'FULL' if self.full else 'NORMAL'}")
        self._effects.step("barrier.after")

    @property
    def wal(self) -> Path:
        """The write-ahead log: the file that every commit changes."""
        return self.path.with_name(self.path.name + "-wal")

    def wal_bytes(self) -> int:
        """Size of the write-ahead log; above WAL_ALERT_BYTES some reader does not let go."""
        try:
            return self.wal.stat().st_size
        except FileNotFoundError:
            return 0

    def snapshot(self) -> bytes:
        """The whole database as bytes; for simulated power cuts in tests, small databases only."""
        with self._reading:
            return self._reader.serialize()

    def close(self) -> None:
        """Closing checkpoints, so it is done under the write lock."""
        with self._lock, self._reading:
            self._reader.close()
            self._writer.close()
        self._lock.close()


class LookingDatabase(Database):
    """One reading connection, for who only looks: opened, used and closed without the write lock, whoever writes meanwhile.

    SQLite neither writes nor checkpoints through a connection that may only read, so there is nothing to be locked out of.
    """

    def _open(self) -> None:
        with sqlite_errors("open the spool to read"):
            self._reader = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False, timeout=30
            )  # fmt: skip
            self._reader.row_factory = sqlite3.Row
            for pragma in ("mmap_size=0", "cache_size=-16000", "temp_store=MEMORY"):
                self._reader.execute(f"PRAGMA {pragma}")

    def _version(self) -> int:
        with sqlite_errors("look at the version of the spool"):
            return int(self._reader.execute("PRAGMA user_version").fetchone()[0])

    @property
    def usable(self) -> bool:
        """Its tables are those of this program; only who may write can make them so."""
        return self._version() == SCHEMA_VERSION

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Never: RuntimeError."""
        raise RuntimeError("the spool was opened to read only")
        yield

    def barrier(self) -> None:
        """Never: RuntimeError."""
        raise RuntimeError("the spool was opened to read only")

    def close(self) -> None:
        """There is nothing to checkpoint."""
        with self._reading:
            self._reader.close()


def open_to_read(path: Path, lock: Path, clock: Clock, source: str) -> Database | None:
    """The database for who only looks. None where only who may write can open it: its tables are of another version, or
    nobody has it open, so that there is no log and somebody would have to remove the one that is made.
    """
    if not path.with_name(path.name + "-wal").exists():
        return None
    try:
        database = LookingDatabase(path, lock, clock, source)
    except SpoolError:
        return None  # who opens it otherwise hears what is wrong
    with suppress(SpoolError):
        if database.usable:
            return database
    database.close()
    return None


def is_older_and_open(path: Path) -> bool:
    """Its tables are of an earlier version, and somebody has it open: who opens it to write would change them under its programs."""
    if not path.exists() or not path.with_name(path.name + "-wal").exists():
        return False
    with suppress(sqlite3.Error), closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
    ) as connection:  # fmt: skip
        return bool(0 < connection.execute("PRAGMA user_version").fetchone()[0] < SCHEMA_VERSION)
    return False  # who opens it hears what is wrong


def create_database(path: Path, clock: Clock, node: str, boot: str, why: str = "created") -> None:
    """Make an empty database beside `path` and publish it by rename, so that a half made one never counts."""
    fresh = path.with_name(path.name + ".new")
    remove_attempt(fresh)
    with sqlite_errors("create the spool"):
        connection = sqlite3.connect(fresh, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous=FULL")
            lay_out(connection)
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO total VALUES (?, 0)", [(name,) for name in TOTALS])
            meta = {"node": node, "boot": boot, "epoch": int(clock.now()), "epoch_first_seq": 0, "barrier": 0,
                    "created": clock.now(), "why": why}  # fmt: skip
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            seed_ids(connection, clock.now())
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            connection.execute("COMMIT")
        finally:
            connection.close()
    publish(fresh, path, clock.now())


def lay_out(connection: sqlite3.Connection) -> None:
    """Make the tables, all empty, in a database that has none. The same each time: tests copy what it made."""
    tables = ";".join([TABLES, *(MIGRATIONS[version] for version in range(2, SCHEMA_VERSION + 1))])
    connection.executescript(f"PRAGMA page_size=2048; PRAGMA auto_vacuum=INCREMENTAL; BEGIN; {tables}; COMMIT")


ENDINGS = ("", "-wal", "-shm", "-journal")


def remove_attempt(path: Path) -> None:
    """Remove what an interrupted attempt to make a database left; nothing of it counts yet."""
    for ending in ENDINGS:
        path.with_name(path.name + ending).unlink(missing_ok=True)


def publish(fresh: Path, path: Path, now: float) -> None:
    """Give a finished, closed database its name. What is there is kept aside, its log as well: SQLite would play the
    log of a former database into the new one.
    """
    for ending in ENDINGS:  # the database first: without its log it would be an older one, and look whole
        there = path.with_name(path.name + ending)
        if there.exists():
            there.rename(there.with_name(f"{there.name}.before-{int(now)}"))
    fresh.rename(path)
    RealFs().sync_dir(path.parent)


def seed_ids(connection: sqlite3.Connection, now: float) -> None:
    """Let ids of arrivals, decisions, deliveries, commands and commitments begin at the seconds since 2020, or beyond.

    A database that was lost or restored from an older copy must not give an id again that the ledger already knows.
    The clock stays ahead as long as a node opens fewer than one arrival per second on average over its life.
    """
    first = max(1, int(now) - ID_EPOCH)
    for table in ("arrival", "decision", "delivery", "command", "commitment"):
        row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
        if row is None:
            connection.execute("INSERT INTO sqlite_sequence(name, seq) VALUES (?, ?)", (table, first))
        elif row[0] < first:
            connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (first, table))


def begin_epoch(transaction: Transaction, now: float) -> int:
    """Give the outbox a new numbering and return its number: it grows with the clock even if the old one is unknown."""
    row = transaction.one("SELECT value FROM meta WHERE key = 'epoch'")
    epoch = max(int(now), int(row[0]) + 1)
    transaction.execute("UPDATE meta SET value = ? WHERE key = 'epoch'", (epoch,))
    transaction.execute(
        "UPDATE meta SET value = (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'event')"
        " WHERE key = 'epoch_first_seq'"
    )
    return epoch
