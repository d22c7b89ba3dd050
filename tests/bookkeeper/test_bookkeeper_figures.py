"""The bookkeeper counts the figures by itself: also while the ledger is away, and from where the file says after a death."""

import sqlite3

import pytest

from actors.base import passes
from actors.bookkeeper import figures
from protocol.errors import SpoolDamaged
from protocol.ledger import engine
from protocol.spool.maintenance import backup, restore
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


def test_a_backup_carries_the_statistics_and_they_go_on_with_the_restored_outbox(office, tmp_path):
    bookkeeper = office.hire()
    office.happen(3)
    office.work(bookkeeper)
    office.happen(2)  # stand in the copy of the outbox, not yet in that of the statistics
    backup(office.home, tmp_path / "copies")
    office.happen(4)  # are in neither
    office.clock.advance(2)
    office.work(bookkeeper)
    assert counted(office) == 9
    office.bury()
    office.spool.close()
    office.spool.places.figures.unlink()  # as on a new machine
    restore(office.home, tmp_path / "copies", clock=office.clock)
    office.spool = office._open_spool()
    office.work(office.hire())
    assert counted(office) == 5
    office.happen(1)
    office.clock.advance(2)
    office.work(office.hire())
    assert counted(office) == 6


def test_statistics_that_are_damaged_stop_a_restore_before_anything_is_changed(office, tmp_path):
    office.happen(1)
    office.work(office.hire())
    backup(office.home, tmp_path / "copies")
    office.happen(1)
    head = office.spool.outbox.head()
    office.bury()
    office.spool.close()
    (tmp_path / "copies" / "figures.sqlite3").write_bytes(b"SQLite format 3" + bytes(5000))
    with pytest.raises(SpoolDamaged, match="remove that file"):
        restore(office.home, tmp_path / "copies", clock=office.clock)
    office.spool = office._open_spool()
    assert office.spool.outbox.head() == head
    (tmp_path / "copies" / "figures.sqlite3").unlink()
    office.spool.close()
    restore(office.home, tmp_path / "copies", clock=office.clock)
    office.spool = office._open_spool()
    assert office.spool.outbox.head().epoch > head.epoch
