"""A database of an earlier version becomes one of this version, with everything in it."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from protocol.clock import ManualClock
from protocol.errors import SpoolError, SpoolNewer
from protocol.spool import database, open_spool, schema
from protocol.testing.images import TestImage
from protocol.testing.spoolworld import SpoolWorld


def shape(path: Path) -> dict[str, list[tuple]]:
    """Tables with their columns, and indexes with their columns."""
    connection = sqlite3.connect(path)
    try:
        names = connection.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
        return {
            name: connection.execute(f"PRAGMA {'table_xinfo' if kind == 'table' else 'index_xinfo'}({name})").fetchall()
            for kind, name in names
        }
    finally:
        connection.close()


def first_version(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database as version 1 made it."""
    monkeypatch.setattr(database, "SCHEMA_VERSION", 1)
    spool = open_spool(home, create=True)
    spool.close()
    monkeypatch.undo()
    return spool.places.database


def test_every_step_leads_to_the_tables_of_a_fresh_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(schema.MIGRATIONS) == list(range(2, schema.SCHEMA_VERSION + 1))
    old = first_version(tmp_path / "old", monkeypatch)
    assert "sighting" not in shape(old)
    open_spool(tmp_path / "old").close()
    fresh = open_spool(tmp_path / "fresh", create=True)
    fresh.close()
    assert shape(old) == shape(fresh.places.database)


def test_what_was_there_is_still_there_and_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first_version(tmp_path, monkeypatch)
    connection = sqlite3.connect(tmp_path / "spool" / "spool.sqlite3")
    connection.execute("INSERT INTO target_state (name, paused, reason) VALUES ('pacs', 1, 'moved')")
    connection.commit()
    connection.close()
    spool = open_spool(tmp_path)
    with spool.database.read() as look:
        assert look.execute("SELECT reason FROM target_state").fetchone()[0] == "moved"
    spool.close()
    world = SpoolWorld(tmp_path / "world")
    world.receive(TestImage())
    assert world.spool.arrivals.open_ones()[0].images == 1


def test_a_database_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    open_spool(tmp_path, create=True, clock=ManualClock()).close()
    connection = sqlite3.connect(tmp_path / "spool" / "spool.sqlite3")
    connection.execute(f"PRAGMA user_version={schema.SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(SpoolNewer):
        open_spool(tmp_path)


def test_arrivals_finished_before_retention_was_per_target_know_which_targets_they_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "SCHEMA_VERSION", 4)
    open_spool(tmp_path, create=True).close()
    monkeypatch.undo()
    connection = sqlite3.connect(tmp_path / "spool" / "spool.sqlite3")
    for id, state in ((1, "delivered"), (2, "discarded"), (3, "in_delivery")):
        connection.execute(
            "INSERT INTO arrival (id, series_key, study_uid, series_uid, calling_ae, called_ae, address, state, opened,"
            " last_image, since) VALUES (?, ?, '1', '2', 'A', 'B', 'C', ?, 1, 1, 1)", (id, b"%d" % id, state))  # fmt: skip
    for arrival, target, state in (
        (1, "pacs", "delivered"), (1, "archive", "delivered"), (1, "archive", "delivered"), (1, "ai", "cancelled"),
        (3, "pacs", "delivered"), (3, "archive", "waiting"),
    ):  # fmt: skip
        connection.execute(
            "INSERT INTO delivery (arrival, decision, target, priority, due, state, images, bytes, created)"
            " VALUES (?, 1, ?, 1, 1, ?, 1, 1, 1)", (arrival, target, state))  # fmt: skip
    connection.commit()
    connection.close()
    spool = open_spool(tmp_path)
    with spool.database.read() as look:
        found = dict(look.execute("SELECT id, reached FROM arrival").fetchall())
    spool.close()
    assert found == {1: "archive pacs", 2: "", 3: ""}


def test_a_target_that_was_away_before_breakers_said_since_when_is_away_since_the_first_probe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "SCHEMA_VERSION", 4)
    open_spool(tmp_path, create=True).close()
    monkeypatch.undo()
    with closing(sqlite3.connect(tmp_path / "spool" / "spool.sqlite3")) as connection, connection:
        connection.execute("INSERT INTO target_state (name, fails, not_before) VALUES ('pacs', 8, 100)")
    clock = ManualClock(200.0)
    with closing(open_spool(tmp_path, clock=clock)) as spool:
        for seen, until in ((100.0, 300.0), (300.0, 400.0)):
            assert spool.targets.begin_probe("pacs", seen, until - 1)
            assert spool.targets.stay_open("pacs", until - 1, until, "connection refused")
            clock.advance(50)
        assert spool.targets.all()["pacs"].opened == pytest.approx(200.0, abs=1), "an alert tells since when"


def test_who_dies_at_any_statement_of_the_steps_leaves_what_the_next_one_goes_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted, not killed: SQLite rolls back what has no commit either way."""
    old = first_version(tmp_path / "old", monkeypatch)
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("INSERT INTO target_state (name, paused, reason) VALUES ('pacs', 1, 'moved')")
    fresh = open_spool(tmp_path / "fresh", create=True)
    fresh.close()
    connect, connections, versions = database.Database._connect, list[sqlite3.Connection](), set[int]()
    for at in itertools.count(2, 3):
        home = tmp_path / str(at)
        shutil.copytree(tmp_path / "old", home)
        left = [at]

        def dying(self: database.Database, left: list[int] = left) -> sqlite3.Connection:
            connection = connect(self)
            connections.append(connection)

            def count(statement: str) -> None:
                left[0] -= 1
                if left[0] == 0:
                    connection.interrupt()

            connection.set_trace_callback(count)
            return connection

        with monkeypatch.context() as patched, suppress(SpoolError, sqlite3.OperationalError):
            patched.setattr(database.Database, "_connect", dying)
            open_spool(home).close()
        while connections:
            connections.pop().close()
        if left[0] > 0:
            break
        with closing(sqlite3.connect(home / "spool" / "spool.sqlite3")) as connection:
            versions.add(connection.execute("PRAGMA user_version").fetchone()[0])
        with closing(open_spool(home)) as spool:
            assert spool.targets.all()["pacs"].reason == "moved"
        assert shape(home / "spool" / "spool.sqlite3") == shape(fresh.places.database), f"died at statement {at}"
        shutil.rmtree(home)
    assert versions == set(range(1, schema.SCHEMA_VERSION)), "some died in each step"
