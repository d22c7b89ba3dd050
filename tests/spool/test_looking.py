"""A spool that is opened to look only: what it sees, and what it leaves to who may write."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.errors import ScanpostError, SpoolNewer
from protocol.spool import database, open_spool
from protocol.spool.database import LookingDatabase
from protocol.spool.places import Places
from protocol.spool.writelock import WriteLock


def files(home: Path) -> list[str]:
    return sorted(path.name for path in Places(home).database.parent.glob("spool.sqlite3*"))


def test_who_looks_sees_what_was_committed_and_leaves_the_log_to_others(tmp_path: Path, monkeypatch) -> None:
    spool = open_spool(tmp_path, create=True)
    before = (spool.database.wal_bytes(), spool.places.database.read_bytes())
    with spool.database.write() as tx:
        tx.execute("UPDATE meta SET value = 4711 WHERE key = 'barrier'")
        look = open_spool(tmp_path, reading=True)  # the lock is held by this thread, who would wait for ever
        with look.database.read() as connection:
            seen = connection.execute("SELECT value FROM meta WHERE key = 'barrier'").fetchone()[0]
        assert isinstance(look.database, LookingDatabase) and seen == 0
    with look.database.read() as connection:
        assert connection.execute("SELECT value FROM meta WHERE key = 'barrier'").fetchone()[0] == 4711
    look.close()
    assert spool.database.wal_bytes() > before[0] and spool.places.database.read_bytes() == before[1]
    spool.close()


def test_of_a_spool_that_nobody_has_open_nothing_is_left_behind(tmp_path: Path) -> None:
    open_spool(tmp_path, create=True).close()
    there = files(tmp_path)
    open_spool(tmp_path, reading=True).close()
    assert files(tmp_path) == there == ["spool.sqlite3"]


def test_what_a_crash_left_is_seen_and_stays_for_the_next_start(tmp_path: Path) -> None:
    dying, home = open_spool(tmp_path / "a", create=True), tmp_path / "b"
    with dying.database.write() as tx:
        tx.execute("UPDATE meta SET value = 4711 WHERE key = 'barrier'")
    open_spool(home, create=True).close()
    for ending in ("", "-wal"):
        name = f"spool.sqlite3{ending}"
        (Places(home).database.parent / name).write_bytes((dying.places.database.parent / name).read_bytes())
    dying.close()
    for reading in (True, False):
        spool = open_spool(home, reading=reading)
        with spool.database.read() as connection:
            assert connection.execute("SELECT value FROM meta WHERE key = 'barrier'").fetchone()[0] == 4711
        assert isinstance(spool.database, LookingDatabase) is reading
        spool.close()
    assert files(home) == ["spool.sqlite3"]


def test_tables_of_an_earlier_version_are_brought_up_to_date_by_who_may_write(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(database, "SCHEMA_VERSION", 4)
    old = open_spool(tmp_path, create=True)
    monkeypatch.undo()
    look = open_spool(tmp_path, reading=True)
    assert not isinstance(look.database, LookingDatabase)
    with look.database.read() as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == database.SCHEMA_VERSION
    look.close()
    old.close()


def test_a_database_of_a_later_version_is_not_looked_at(tmp_path: Path, monkeypatch) -> None:
    new = open_spool(tmp_path, create=True)
    monkeypatch.setattr(database, "SCHEMA_VERSION", database.SCHEMA_VERSION - 1)
    with pytest.raises(SpoolNewer):
        open_spool(tmp_path, reading=True)
    new.close()


def test_a_look_asks_for_no_lock(tmp_path: Path, monkeypatch) -> None:
    spool = open_spool(tmp_path, create=True)

    def refuse(lock: WriteLock) -> None:
        raise ScanpostError("it asks for the write lock")

    with monkeypatch.context() as patched:
        patched.setattr(WriteLock, "__enter__", refuse)
        open_spool(tmp_path, reading=True).close()
    spool.close()
