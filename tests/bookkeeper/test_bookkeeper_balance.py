"""The bookkeeper looks at the balance all the time: what does not add up raises an alert that names it, and clears it again."""

import pytest
from sqlalchemy import delete, update

from protocol.ledger import tables
from tests.bookkeeper.office import Office
from tests.spool.test_way_of_a_series import incoming, receive


@pytest.fixture
def office(tmp_path):
    made = Office(tmp_path / "home", f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    yield made
    made.close()


@pytest.fixture
def images(office):
    found = receive(office.spool, *(incoming(f"1.2.3.{n}") for n in (1, 2, 3)))
    return [one.receipt.hex() for one in found]


def alerts(office):
    return office.spool.notices.alerts("accounting.")


def later(office, bookkeeper, seconds):
    office.clock.advance(seconds)
    for _ in range(3):  # compare, look again at what differs, tell
        office.work(bookkeeper)


def test_a_spool_that_adds_up_raises_nothing(office, images):
    bookkeeper = office.hire()
    office.work(bookkeeper)
    later(office, bookkeeper, 90_000)
    later(office, bookkeeper, 90_000)
    assert alerts(office) == {}
    assert office.spool.notices.standing("accounting.compared")


def test_an_image_whose_row_is_gone_is_named_within_a_minute_and_cleared_when_it_is_back(office, images):
    bookkeeper = office.hire()
    office.work(bookkeeper)
    with office.spool.database.write() as tx:
        row = tuple(tx.one("SELECT * FROM image WHERE receipt = ?", (bytes.fromhex(images[1]),)))
        tx.execute("DELETE FROM image WHERE receipt = ?", (bytes.fromhex(images[1]),))
    later(office, bookkeeper, 61)
    assert images[1] in alerts(office)["accounting.imbalance"]
    later(office, bookkeeper, 61)
    assert [one.type for one in office.outbox()].count("alert.raised") == 1
    with office.spool.database.write() as tx:
        tx.execute(f"INSERT INTO image VALUES ({','.join('?' * len(row))})", row)
    later(office, bookkeeper, 61)
    assert alerts(office) == {}


def test_what_is_wrong_with_an_arrival_is_not_forgotten_while_others_are_looked_at(office, images, monkeypatch):
    from actors.bookkeeper import balance
    from protocol.spool import balancing

    monkeypatch.setattr(balancing, "PAGE", 1)
    monkeypatch.setattr(balance, "PAGES", 1)
    for n in range(3):
        receive(office.spool, incoming(f"1.5.{n}.1", series=f"1.5.{n}"))
    with office.spool.database.write() as tx:
        tx.execute("UPDATE arrival SET bytes = bytes + 1 WHERE id = (SELECT min(id) FROM arrival)")
    bookkeeper = office.hire()
    for _ in range(6):
        later(office, bookkeeper, 61)
        assert alerts(office), "cleared though it still does not add up"


@pytest.mark.parametrize("what", ["image unknown", "image lost", "state"])
def test_once_a_day_the_ledger_is_held_against_the_spool(office, images, what):
    bookkeeper = office.hire()
    office.work(bookkeeper)
    later(office, bookkeeper, 700)
    assert alerts(office) == {}
    engine = bookkeeper._ledger._engine
    with engine.begin() as connection:
        if what == "image unknown":
            connection.execute(delete(tables.image).where(tables.image.c.receipt == images[0]))
        elif what == "image lost":
            connection.execute(tables.image.insert().values(
                node="node1", receipt="f" * 32, arrival=office.spool.arrivals.open_ones()[0].id))  # fmt: skip
        else:
            connection.execute(update(tables.arrival).values(state="delivered"))
    later(office, bookkeeper, 86_500)
    named = {
        "image unknown": images[0],
        "image lost": "f" * 32,
        "state": "is open in the spool, delivered in the ledger",
    }
    assert named[what] in alerts(office)["accounting.ledger"]
    with engine.begin() as connection:
        connection.execute(delete(tables.image).where(tables.image.c.receipt == "f" * 32))
        connection.execute(update(tables.arrival).values(state="open"))
        if what == "image unknown":
            values = {"node": "node1", "receipt": images[0], "arrival": office.spool.arrivals.open_ones()[0].id}
            connection.execute(tables.image.insert().values(values))
    later(office, bookkeeper, 3700)
    assert alerts(office) == {}, "who put it right hears so within an hour"


def test_whoever_starts_compares_again_within_the_hour_what_differed(office, images):
    bookkeeper = office.hire()
    office.work(bookkeeper)
    with bookkeeper._ledger._engine.begin() as connection:
        connection.execute(update(tables.arrival).values(state="delivered"))
    later(office, bookkeeper, 700)
    assert alerts(office)
    bookkeeper.stop()
    bookkeeper = office.hire()
    office.work(bookkeeper)
    with bookkeeper._ledger._engine.begin() as connection:
        connection.execute(update(tables.arrival).values(state="open"))
    later(office, bookkeeper, 3700)
    assert alerts(office) == {}


def test_what_is_only_under_way_is_no_difference(office, images):
    """The comparison sees images whose events are not in the ledger yet; it asks again when they are."""
    bookkeeper = office.hire()
    office.work(bookkeeper)
    office.clock.advance(700)
    receive(office.spool, incoming("1.2.3.7"))
    bookkeeper._balance.round(bookkeeper._stored)
    bookkeeper._balance.round(bookkeeper._stored)
    assert bookkeeper._balance._found, "the comparison was to run before the ledger has the image"
    office.work(bookkeeper)
    later(office, bookkeeper, 5)
    assert alerts(office) == {} and office.spool.notices.standing("accounting.compared")
