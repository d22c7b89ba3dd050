"""A ledger's database that is full, read only, hung or slow, restored from a backup, or a bookkeeper killed again and
again: every event is in the ledger once afterwards.
"""

import os
import random
import shutil
import signal
import sqlite3
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import event as hooks

from actors.base import passes
from actors.bookkeeper import actor as module
from actors.bookkeeper.hand import ThreadHand
from protocol.errors import LedgerUnavailable
from protocol.ledger import engine
from protocol.ledger.queries import flagged, open_alerts
from protocol.spool.maintenance import backup, restore
from protocol.wire import events as e
from tests.bookkeeper.office import Office, expected, receipts, stored
from tests.ledger.ledger_events import NODE, example


@pytest.fixture(autouse=True)
def short_wait(monkeypatch):
    monkeypatch.setattr(engine, "SQLITE_WAIT_S", 0.02)


def ids_in(file):
    """Ids of the events in a SQLite file, in order."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM event ORDER BY epoch, seq")]


def told(office):
    return [one.type for one in office.outbox() if one.type.startswith("ledger.")]


@contextmanager
def trouble(office, bookkeeper, kind, postgres):
    """The database takes connections and refuses to be written, as it does when it is full or read only."""
    if office.url.startswith("sqlite"):
        pragma = "max_page_count=1" if kind == "full" else "query_only=1"
        refuse = lambda raw, _: raw.execute(f"PRAGMA {pragma}")  # noqa: E731
        hooks.listen(bookkeeper._ledger._engine, "connect", refuse)
        bookkeeper._ledger.close()
        yield
        hooks.remove(bookkeeper._ledger._engine, "connect", refuse)
        bookkeeper._ledger.close()
        return
    if kind == "full":
        postgres.execute("CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
                         " $$ BEGIN RAISE 'No space left on device' USING ERRCODE = '53100'; END $$", office.url)  # fmt: skip
        postgres.execute("CREATE TRIGGER full_disk BEFORE INSERT ON event EXECUTE FUNCTION full_disk()", office.url)
        yield
        postgres.execute("DROP TRIGGER full_disk ON event", office.url)
    else:
        name = office.url.partition("/test")[2].partition("?")[0]
        postgres.execute(f"ALTER DATABASE test{name} SET default_transaction_read_only = on")
        bookkeeper._ledger.close()
        yield
        postgres.execute(f"ALTER DATABASE test{name} RESET default_transaction_read_only")
        bookkeeper._ledger.close()


@pytest.mark.parametrize("kind", ["full", "read only"])
def test_a_database_that_cannot_be_written_is_waited_for_and_damages_no_event(office, look, request, kind):
    postgres = None if office.url.startswith("sqlite") else request.getfixturevalue("postgres")
    bookkeeper = office.hire()
    office.happen(3)
    office.work(bookkeeper)
    with trouble(office, bookkeeper, kind, postgres):
        for _ in range(6):
            office.happen(20)
            passes(bookkeeper)
            office.clock.advance(31)
        assert told(office) == ["ledger.down"]
    end = time.monotonic() + 30
    while "ledger.up" not in told(office):  # a server that is busy gives the lock of a closed connection back late
        assert time.monotonic() < end, "it does not come back"
        time.sleep(0.01)
        office.clock.advance(31)
        passes(bookkeeper)
    office.work(bookkeeper)
    assert told(office) == ["ledger.down", "ledger.up"] and look(open_alerts, NODE) == []
    assert look(stored) == expected(office.outbox()) and look(flagged, NODE) == []


def test_a_server_that_hangs_stops_nobody_and_goes_on_where_it_was(postgres, tmp_path):
    """SIGSTOP: the connection stands, and nothing is answered."""
    office = Office(tmp_path / "home", postgres.database())
    try:
        bookkeeper = office.hire(hand=ThreadHand(office.wire.wake))
        office.happen(5)
        office.until(bookkeeper, lambda: bookkeeper.figures()["backlog"] == 0)
        with bookkeeper._ledger._transaction() as connection:
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        os.kill(pid, signal.SIGSTOP)
        try:
            office.happen(5)
            office.until(bookkeeper, lambda: bookkeeper._hand.busy)
            for _ in range(20):
                begun = time.monotonic()
                bookkeeper.one_pass([])
                assert (
                    time.monotonic() - begun < 4.0
                )  # it never waits for the server, not even the 5 s for a connection
                office.clock.advance(10)
            assert told(office) == ["ledger.down"] and bookkeeper.figures()["away"] == 1
            office.happen(5)
        finally:
            os.kill(pid, signal.SIGCONT)
        office.until(bookkeeper, lambda: bookkeeper.figures()["away"] == 0 and bookkeeper.figures()["backlog"] == 0)
        bookkeeper.stop()
        with engine.reading(engine.reader(office.url)) as connection:
            assert stored(connection) == expected(office.outbox())
        assert told(office) == ["ledger.down", "ledger.up"]
        assert office.spool.notices.alerts() == {}, "there is no hole: the outbox had all of it"
    finally:
        office.close()


def test_batches_grow_while_it_catches_up_and_shrink_for_a_slow_database(office, look, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 10)
    monkeypatch.setattr(module, "SMALLEST", 2)
    bookkeeper = office.hire()
    office.work(bookkeeper)
    sizes, write = [], bookkeeper._ledger.record
    slow_s = 0.0

    def record(rows, before, after):
        sizes.append(rows.count)
        office.clock.advance(slow_s)
        return write(rows, before, after)

    bookkeeper._ledger.record = record
    office.happen(200)
    office.work(bookkeeper)
    assert sizes[0] == 10 and max(sizes) == 40
    sizes.clear()
    slow_s = 4.0
    office.happen(60)
    office.work(bookkeeper)
    assert min(sizes) <= 5 and look(stored) == expected(office.outbox())


def test_a_batch_that_the_database_never_finishes_is_tried_in_smaller_ones(office, look, monkeypatch):
    """A statement timeout would refuse the same thousand events for ever."""
    monkeypatch.setattr(module, "SMALLEST", 5)
    bookkeeper = office.hire()
    office.work(bookkeeper)
    write = bookkeeper._ledger.record

    def record(rows, before, after):
        if rows.count > 100:
            bookkeeper._ledger.close()
            raise LedgerUnavailable("QueryCanceled 57014: statement timeout")
        return write(rows, before, after)

    bookkeeper._ledger.record = record
    office.happen(600)
    for _ in range(8):
        passes(bookkeeper)
        office.clock.advance(31)
    office.work(bookkeeper)
    assert look(stored) == expected(office.outbox())


@pytest.mark.parametrize("seed", range(2))
def test_hours_of_a_database_that_comes_and_goes_lose_nothing(office, look, seed, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 7)
    chance, bookkeeper = random.Random(seed), office.hire()
    write, opens, there = bookkeeper._ledger.record, bookkeeper._ledger.open, True

    def unless_away(call):
        def attempt(*arguments):
            if not there:
                bookkeeper._ledger.close()
                raise LedgerUnavailable("away")
            return call(*arguments)

        return attempt

    bookkeeper._ledger.record, bookkeeper._ledger.open = unless_away(write), unless_away(opens)
    for _ in range(180):  # minutes
        there = chance.random() < (0.9 if there else 0.2)
        office.happen(chance.randrange(4))
        for _ in range(3):
            passes(bookkeeper)
            office.clock.advance(20)
    there = True
    office.clock.advance(31)
    office.work(bookkeeper)
    assert look(stored) == expected(office.outbox()) and look(open_alerts, NODE) == []


def test_events_that_no_database_takes_as_they_are_do_not_stop_the_cursor(office, look):
    common = {"receipt": "a" * 32, "arrival": 1}
    office.spool.outbox.record(
        example(e.ImageReceived, **common, sop_uid="1." * 5000), example(e.ArrivalHeld, arrival=1, reason="x" * (1 << 20)),
        example(e.ArrivalHeld, arrival=2, reason="a\0b"), example(e.ImageReceived, receipt="b" * 32, sop_uid="1.2", arrival=1),
    )  # fmt: skip
    with office.spool.database.write() as tx:  # damaged on the disk: no UTF-8, and no msgpack at all
        tx.execute("UPDATE event SET body = ? WHERE seq = (SELECT max(seq) FROM event)", (b"\x81\xa1a\xa2\xff\xfe",))
        tx.emit(example(e.ActorStopped))
        tx.execute("UPDATE event SET phi = ? WHERE seq = (SELECT max(seq) FROM event)", (b"\xc1",))
    office.happen(2)
    office.work(office.hire())
    assert look(stored) == expected(office.outbox()) and len(look(receipts)) == 3
    assert len(look(flagged, NODE)) >= 3


def test_a_ledger_restored_from_a_backup_reads_the_events_since_then_again(office, look, request, tmp_path):
    office.happen(4)
    office.work(office.hire())
    for ledger in office._ledgers:
        ledger.close()
    if office.url.startswith("sqlite"):
        place = office.url.removeprefix("sqlite:///")
        shutil.copyfile(place, tmp_path / "backup")
        restored = f"sqlite:///{tmp_path / 'backup'}"
    else:
        postgres = request.getfixturevalue("postgres")
        name = "test" + office.url.partition("/test")[2].partition("?")[0]
        postgres.execute("DROP DATABASE IF EXISTS backup")
        postgres.execute(f"CREATE DATABASE backup TEMPLATE {name}")
        restored = office.url.replace(f"/{name}?", "/backup?")
    office.happen(4)
    office.work(office.hire())  # these the backup does not have
    office.happen(1)
    office.work(office.hire(url=restored))
    with engine.reading(engine.reader(restored)) as connection:
        assert stored(connection) == expected(office.outbox()) and len(receipts(connection)) == 9


def test_a_spool_restored_from_a_backup_loses_no_event_of_the_ledger_and_doubles_none(office, look, tmp_path):
    office.happen(3)
    bookkeeper = office.hire()
    office.work(bookkeeper)
    backup(office.home, tmp_path / "backup")
    office.happen(3)
    office.work(bookkeeper)
    known = look(stored)
    office.bury()
    office.spool.close()
    restore(office.home, tmp_path / "backup", clock=office.clock)
    office.spool = office._open_spool()
    office.happen(2)
    office.work(office.hire())
    assert set(known) < set(look(stored)) and set(expected(office.outbox())) <= set(look(stored))
    ids = [one[2] for one in look(stored)]
    assert len(ids) == len(set(ids)) and len(look(receipts)) == 8


@pytest.mark.slow
def test_a_bookkeeper_killed_again_and_again_while_events_stream_in_writes_each_once(office, look, request):
    chance = random.Random(5)
    office.work(office.hire())
    kills = 100 if request.config.getoption("--soak") else 40
    for _ in range(kills):
        pid = os.fork()
        if pid == 0:
            _carry_until_killed(office)
        end = time.monotonic() + chance.uniform(0.0, 0.12)
        while time.monotonic() < end:
            office.happen(3)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    while True:  # a server may still hold the last one's lock for a moment
        try:
            office.work(office.hire())
            break
        except AssertionError:
            continue
    assert look(stored) == expected(office.outbox()) and len(look(receipts)) == office._number
    assert len(look(receipts)) > 3 * kills / 2


def _carry_until_killed(office):
    """A child of its own: it must not touch what the parent holds."""
    try:
        mine = Office(office.home, office.url)
        bookkeeper = mine.hire()
        while True:
            bookkeeper.one_pass([])
            mine.clock.advance(0.6)
    finally:
        os._exit(1)


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_ledger_whose_file_somebody_moves_away_under_it_gets_every_event_again(tmp_path, how):
    file = tmp_path / "ledger.sqlite3"
    office = Office(tmp_path / "home", f"sqlite:///{file}")
    try:
        bookkeeper = office.hire()
        office.happen(5)
        office.work(bookkeeper)
        with sqlite3.connect(file) as connection:
            connection.execute(f"VACUUM INTO '{tmp_path / 'older'}'")
        office.happen(5)
        office.work(bookkeeper)
        for one in tmp_path.glob("ledger.sqlite3*"):
            one.unlink()
        if how == "replaced":
            (tmp_path / "older").rename(file)
        office.happen(5)
        office.work(bookkeeper)
        assert ids_in(file) == [one.id for one in office.outbox()]
        assert told(office) == ["ledger.down", "ledger.up"]
        assert office.spool.notices.alerts() == {}, "there is no hole: the outbox had all of it"
    finally:
        office.close()
