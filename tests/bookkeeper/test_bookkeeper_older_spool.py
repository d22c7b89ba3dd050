"""A spool that is older than the ledger, the audit and the statistics, because somebody put a copy in place by hand (a snapshot of
the machine, a folder out of a backup): what happens from then on is on record all the same.
"""

import shutil

import pytest
from sqlalchemy import text

from protocol.accounts import Accounts
from protocol.ledger.compare import compare
from protocol.ledger.queries import open_alerts
from tests.bookkeeper.office import NODE, Office, expected, stored
from tests.spool.test_way_of_a_series import incoming, receive

_IMAGES = text("SELECT count(*) FROM image WHERE node = :node")


@pytest.fixture
def older(office, tmp_path):
    """The office with the spool as it was when the ledger had five events; now it has fifteen."""
    office.happen(5)
    office.work(office.hire())
    office.bury()
    office.spool.close()
    shutil.copytree(office.home / "spool", tmp_path / "copy")
    office.spool = office._open_spool()
    office.happen(10)
    office.known = office.outbox()
    office.work(office.hire())
    office.bury()
    office.spool.close()
    for name in ("spool.sqlite3", "spool.sqlite3-wal", "spool.sqlite3-shm"):  # the statistics stay as they are
        (office.home / "spool" / name).unlink(missing_ok=True)
        if (tmp_path / "copy" / name).exists():
            shutil.copyfile(tmp_path / "copy" / name, office.home / "spool" / name)
    office.spool = office._open_spool()
    office._number += 100  # other images than those that came the first time
    return office


@pytest.mark.parametrize("before", [0, 3, 30])
def test_every_event_of_an_older_spool_gets_into_the_ledger(older, look, before):
    """`before`: so many happen before the bookkeeper starts; with 30 the spool is further than the ledger was."""
    office: Office = older
    office.happen(before)
    bookkeeper = office.hire()
    office.work(bookkeeper)
    assert "ledger.ahead" in [row["alert"] for row in look(open_alerts, NODE)]
    office.happen(20)
    office.work(bookkeeper)
    assert sorted(look(stored)) == sorted({*expected(office.outbox()), *expected(office.known)})
    assert office.spool.outbox.confirmed("bookkeeper") == office.spool.outbox.head()


def test_a_bookkeeper_that_starts_again_after_that_finds_nothing_odd(older, look):
    older.happen(30)
    older.work(older.hire())
    older.spool.alerts.acknowledge("ledger.ahead", "ann")
    older.happen(3)
    older.work(older.hire())
    assert older.spool.notices.alerts() == {}
    assert set(expected(older.outbox())) <= set(look(stored))


def test_two_nodes_that_were_given_one_name_are_told_and_lose_no_event(tmp_path, postgres):
    from protocol.ledger.engine import reader, reading

    url = postgres.emptied()
    first, second = Office(tmp_path / "first", url), Office(tmp_path / "second", url)
    try:
        first.happen(20)
        first.work(first.hire())
        first.bury()
        second.happen(8)
        second.work(second.hire())
        assert "ledger.ahead" in second.spool.notices.alerts()
        with reading(reader(url)) as connection:
            assert set(expected(second.outbox())) <= set(stored(connection))
    finally:
        first.close()
        second.close()


def test_acts_and_figures_go_on_with_an_older_spool(older):
    office: Office = older
    bookkeeper = office.hire()
    office.work(bookkeeper)
    seen = office.spool.statistics.total("received_images")
    office.happen(3)
    office.spool.commands.ask("target.pause", "ann", {"target": "pacs", "reason": "moved"})
    for _ in range(3):
        office.clock.advance(2)
        office.work(bookkeeper)
    assert office.spool.statistics.total("received_images") == seen + 3
    accounts = Accounts(office.home / "accounts.sqlite3", office.clock)
    try:
        assert [one.action for one in accounts.trail.search()] == ["target.pause"]
    finally:
        accounts.close()


def test_a_node_that_was_renamed_or_copied_finds_its_images_in_the_ledger(office, look):
    """Its events stand there already, under the name of the other one."""
    receive(office.spool, *(incoming(f"1.2.3.{number}") for number in (1, 2, 3)))
    office.work(office.hire())
    office.bury()
    before = look(stored)
    office.node = "another"
    receive(office.spool, incoming("1.2.3.4"))
    office.work(office.hire())
    for node in (NODE, "another"):
        mine = look(lambda connection, name=node: connection.execute(_IMAGES, {"node": name}).scalar_one())
        assert mine == (3 if node == NODE else 4)
    assert compare(office.url, "another", office.spool.accounting) == []
    assert set(before) <= set(look(stored)) and len(look(stored)) == len(office.outbox())
