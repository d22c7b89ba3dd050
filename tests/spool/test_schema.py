"""A database of any earlier version becomes the one that a fresh node gets."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from protocol.spool import open_spool
from protocol.spool.places import Places
from protocol.spool.schema import MIGRATIONS, SCHEMA_VERSION

# What each version added, to be taken away again.
ADDED = {
    2: ["TABLE unsynced"],
    3: ["TABLE commitment", "TABLE promise", "TABLE confirmation", "INDEX delivery_confirming", "INDEX quarantine_sop"],
}


def form(path: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()
    finally:
        connection.close()
    return [(name, re.sub(r"\s*([(),]|\s)\s*", r"\1", sql)) for name, sql in rows]


def test_every_step_is_known_here():
    assert set(MIGRATIONS) == set(ADDED) == set(range(2, SCHEMA_VERSION + 1))


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_a_database_of_an_earlier_version_becomes_like_a_fresh_one(tmp_path, version):
    open_spool(tmp_path, create=True).close()
    path = Places(tmp_path).database
    fresh = form(path)
    connection = sqlite3.connect(path)
    for step in range(SCHEMA_VERSION, version, -1):
        for what in ADDED[step]:
            connection.execute(f"DROP {what}")
    connection.execute(f"PRAGMA user_version={version}")
    connection.commit()
    connection.close()
    assert form(path) != fresh
    open_spool(tmp_path).close()
    assert form(path) == fresh
