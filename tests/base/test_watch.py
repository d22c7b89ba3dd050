"""The kernel's word that a file changed: it comes once for each time it was asked for, and where it cannot come that is said."""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors import watch
from actors.watch import MISSES, Watch

WAIT_S = 60.0
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


class Woken:
    """Counts, and lets a test wait for the next time."""

    def __init__(self) -> None:
        self.times, self._changed = 0, threading.Condition()

    def __call__(self) -> None:
        with self._changed:
            self.times += 1
            self._changed.notify_all()

    def wait_for(self, times: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.times >= times, WAIT_S)


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "x.sqlite3", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t (a)")
    yield connection
    connection.close()


def test_a_commit_wakes_once_until_it_is_asked_for_again(tmp_path: Path, woken: Woken, database) -> None:
    watched = Watch([tmp_path / "x.sqlite3-wal"], woken)
    database.execute("INSERT INTO t VALUES (1)")
    assert [watched.arm(), watched.arm(), watched.arm()] == [False, True, True], "a commit may be on its way at first"
    database.execute("INSERT INTO t VALUES (2)")
    assert woken.wait_for(1)
    for number in range(20):
        database.execute("INSERT INTO t VALUES (?)", (number,))
    assert not watched.arm()
    database.execute("INSERT INTO t VALUES (3)")
    assert woken.wait_for(2)
    watched.close()
    watched.close()
    assert woken.times == 2 and not watched.arm()


def test_to_read_a_database_wakes_nobody(tmp_path: Path, woken: Woken, database) -> None:
    watched = Watch([tmp_path / "x.sqlite3-wal"], woken)
    watched.arm()
    other = sqlite3.connect(tmp_path / "x.sqlite3")
    assert other.execute("PRAGMA data_version").fetchone() and other.execute("SELECT count(*) FROM t").fetchone()
    other.close()
    (tmp_path / "beside").write_text("x")
    assert watched.arm()
    watched.close()
    assert woken.times == 0


def test_a_watch_that_keeps_silent_over_and_over_is_given_up_and_one_that_spoke_is_not(
    tmp_path: Path, woken: Woken, database
) -> None:
    watched = Watch([tmp_path / "x.sqlite3-wal"], woken)
    watched.arm()
    assert watched.arm() and [watched.missed() for _ in range(MISSES - 1)] == [False] * (MISSES - 1)
    database.execute("INSERT INTO t VALUES (1)")
    assert woken.wait_for(1)
    watched.arm()
    assert watched.arm() and [watched.missed() for _ in range(MISSES - 1)] == [False] * (MISSES - 1)
    assert watched.arm() and watched.missed()
    assert not watched.arm() and not watched.arm()
    watched.close()


def test_a_name_in_a_folder_wakes(tmp_path: Path, woken: Woken) -> None:
    watched = Watch([tmp_path], woken)
    watched.arm()
    (tmp_path / "new").write_text("x")
    assert woken.wait_for(1)
    watched.close()


def test_what_is_not_there_yet_cannot_be_watched_and_later_it_can(tmp_path: Path, woken: Woken) -> None:
    watched = Watch([tmp_path / "later"], woken)
    assert not watched.arm()
    (tmp_path / "later").write_text("x")
    assert not watched.arm() and watched.arm()
    (tmp_path / "later").write_text("y")
    assert woken.wait_for(1)
    watched.close()


def test_where_the_system_has_no_such_thing_that_is_said(tmp_path: Path, woken: Woken, monkeypatch) -> None:
    monkeypatch.setattr(watch, "_libc", lambda: None)
    watched = Watch([tmp_path], woken)
    assert not watched.arm() and not watched.arm()
    watched.close()


def test_where_no_descriptor_is_left_it_goes_without(tmp_path: Path, woken: Woken, monkeypatch) -> None:
    def none_left(*arguments: int) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    watched = Watch([tmp_path], woken)
    monkeypatch.setattr(os, "eventfd", none_left)
    assert not watched.arm() and not watched.arm()
    watched.close()


def test_a_watch_takes_nothing_before_it_is_armed(tmp_path: Path, woken: Woken) -> None:
    """A user may have 128 of them, all programs together: an actor that is never at rest needs none."""

    def taken() -> int:
        links = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
        return sum("inotify" in os.readlink(link) for link in links if link.is_symlink())

    before = taken()
    watched = Watch([tmp_path], woken)
    assert taken() == before
    watched.arm()
    assert taken() == before + 1
    watched.close()
    assert taken() == before and not watched.arm()
