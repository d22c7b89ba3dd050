"""The bookkeeper counts the figures by itself: also while the ledger is away, and from where the file says after a death."""

import sqlite3

import pytest

from actors.base import passes
from actors.bookkeeper import figures
from protocol.ledger import engine
from protocol.spool.outbox import Cursor
from tests.bookkeeper.office import Office


@pytest.fixture
def office(tmp_path):
    made = Office(tmp_path / "home", f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    yield made
    made.close()


def counted(office):
    return office.spool.statistics.total("received_images")


def test_each_event_counts_once_over_restarts(office):
    for number in range(1, 4):
        bookkeeper = office.hire()
        office.happen(2)
        office.work(bookkeeper)
        assert counted(office) == 2 * number
        bookkeeper.stop()


def test_figures_go_on_while_the_ledger_is_away(office, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "SQLITE_WAIT_S", 0.02)
    bookkeeper = office.hire()
    office.work(bookkeeper)
    away = sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)
    away.execute("BEGIN IMMEDIATE")
    before = office.spool.outbox.confirmed("bookkeeper")
    for number in range(1, 4):
        office.happen(5)
        office.clock.advance(1.5)
        passes(bookkeeper)
        assert counted(office) == 5 * number
    assert office.spool.outbox.confirmed("bookkeeper") == before, "the ledger was to be away"
    away.close()


def test_what_waits_is_counted_page_by_page_without_a_pause(office, monkeypatch):
    monkeypatch.setattr(figures, "PAGE", 4)
    office.happen(11)
    passes(office.hire())
    assert counted(office) == 11


def test_events_that_are_not_counted_are_not_dropped(office, monkeypatch):
    bookkeeper = office.hire()
    office.work(bookkeeper)
    monkeypatch.setattr(bookkeeper._figures, "round", lambda: False)
    office.happen(3)
    office.clock.advance(30 * 86400)
    office.work(bookkeeper)
    assert [one.type for one in office.spool.outbox.read(Cursor(0, 0))].count("image.received") == 3
    monkeypatch.undo()
    office.clock.advance(70)
    office.work(bookkeeper)
    assert counted(office) == 3
    office.clock.advance(70)
    office.work(bookkeeper)
    assert [one.type for one in office.spool.outbox.read(Cursor(0, 0))].count("image.received") == 0


def test_a_new_epoch_of_the_outbox_goes_on_counting(office):
    office.happen(2)
    office.work(office.hire())
    office.spool.outbox.begin_epoch("restored")
    office.happen(2)
    office.clock.advance(2)
    office.work(office.hire())
    assert counted(office) == 4


def test_a_damaged_file_is_set_aside_and_the_outbox_is_counted_again(office):
    office.happen(3)
    office.work(office.hire())
    office.bury()
    path = office.spool.places.figures
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    path.write_bytes(b"no database at all" * 500)
    bookkeeper = office.hire()
    office.work(bookkeeper)
    office.clock.advance(60)
    office.work(bookkeeper)
    assert counted(office) == 3
    assert list(path.parent.glob("figures.sqlite3.damaged-*"))
