"""The database may be away, locked, hanging or refusing for any time: the bookkeeper waits, tells it once, loses nothing."""

import sqlite3
import threading

import pytest
from sqlalchemy import text

from actors.base import passes
from actors.bookkeeper.hand import ThreadHand
from protocol.errors import LedgerUnavailable
from protocol.ledger import engine
from protocol.ledger.engine import reader, reading
from protocol.ledger.queries import flagged, open_alerts
from protocol.ledger.record import Ledger
from protocol.wire.nudges import Nudge
from tests.bookkeeper.office import Office, expected, stored
from tests.ledger.ledger_events import NODE
from tests.postgres import session_ended


@pytest.fixture(autouse=True)
def short_wait(monkeypatch):
    monkeypatch.setattr(engine, "SQLITE_WAIT_S", 0.02)


def told(office):
    return [one.type for one in office.outbox() if one.type.startswith("ledger.")]


class Absence:
    """Takes the database away and gives it back, in the manner of its kind."""

    def __init__(self, office, request):
        self._path, self._server = office.url.removeprefix("sqlite:///"), None
        if office.url.startswith("postgresql"):
            self._server = request.getfixturevalue("postgres")

    def begin(self):
        if self._server:
            self._server.stop("immediate")
        else:
            self._locker = sqlite3.connect(self._path, isolation_level=None)
            self._locker.execute("BEGIN IMMEDIATE")

    def end(self):
        if self._server:
            self._server.start()
        else:
            self._locker.close()


@pytest.fixture
def absence(office, request):
    made = Absence(office, request)
    yield made
    if made._server:
        made._server.stop("immediate")
        made._server.start()


def test_a_database_that_goes_and_comes_back_gets_everything_once(office, look, absence):
    bookkeeper = office.hire()
    office.happen(3)
    office.work(bookkeeper)
    absence.begin()
    for _ in range(12):
        office.happen(2)
        passes(bookkeeper)
        office.clock.advance(31)
    assert told(office) == ["ledger.down"] and bookkeeper.figures()["away"] == 1
    assert bookkeeper.figures()["backlog"] == 27 and bookkeeper.figures()["lag_s"] > 300
    assert list(office.spool.notices.alerts()) == ["ledger.away", "ledger.lag"]
    absence.end()
    office.clock.advance(31)
    office.work(bookkeeper)
    office.clock.advance(6)
    office.work(bookkeeper)
    assert office.spool.notices.alerts() == {} and bookkeeper.figures()["lag_s"] == 0
    assert told(office) == ["ledger.down", "ledger.up"] and bookkeeper.figures()["away"] == 0
    assert look(stored) == expected(office.outbox())
    assert look(open_alerts, NODE) == []


def test_a_short_absence_alerts_nobody_and_a_long_one_once_until_it_is_over(office, absence):
    """The event says it at once; people are told when it lasts, though the next bookkeeper does not know since when."""
    office.work(office.hire())
    absence.begin()
    office.happen(1)
    bookkeeper = office.hire()
    for _ in range(5):
        passes(bookkeeper)
        office.clock.advance(10)
    assert told(office) == ["ledger.down"] and office.spool.notices.alerts() == {}
    office.clock.advance(15)
    passes(bookkeeper)
    assert list(office.spool.notices.alerts()) == ["ledger.away"]
    office.bury()
    bookkeeper = office.hire()
    passes(bookkeeper)
    assert list(office.spool.notices.alerts()) == ["ledger.away"]  # by its predecessor, and nothing is reached yet
    absence.end()
    office.clock.advance(31)
    office.work(bookkeeper)
    passes(bookkeeper)
    assert office.spool.notices.alerts() == {}
    assert [one.type for one in office.outbox() if one.subject.endswith("ledger.away")] == [
        "alert.raised",
        "alert.cleared",
    ]


def test_routing_is_not_asked_to_wait_and_tries_grow_rarer(office, absence):
    bookkeeper = office.hire()
    office.work(bookkeeper)
    absence.begin()
    office.happen(1)
    tries = []
    for _ in range(1500):  # tenths of a second
        failures = bookkeeper._failures
        assert bookkeeper.one_pass([Nudge("events")]) <= 1.0
        if bookkeeper._failures != failures:
            tries.append(office.clock.monotonic())
        office.clock.advance(0.1)
    absence.end()
    gaps = [later - earlier for earlier, later in zip(tries, tries[1:], strict=False)]
    assert 8 <= len(tries) <= 14 and gaps[0] < 1 and gaps[-1] > 20 and max(gaps) < 31


def test_a_bookkeeper_that_starts_without_its_database_waits_for_it(office, look, absence):
    office.work(office.hire())
    office.bury()
    absence.begin()
    office.happen(3)
    bookkeeper = office.hire()
    passes(bookkeeper)
    absence.end()
    office.clock.advance(31)
    office.work(bookkeeper)
    assert told(office) == ["ledger.down", "ledger.up"] and look(stored) == expected(office.outbox())


@pytest.mark.parametrize("carried", [True, False])
def test_who_comes_after_a_dead_bookkeeper_says_that_the_ledger_is_back(office, look, carried):
    """The first one said ledger.down and died; whether that is in the ledger already or not makes no difference."""
    office.work(office.hire())
    office.hire()._say_down("away")
    if carried:
        office.points.arm(3)  # barrier, ledger.before, ledger.after
        assert office.work_or_die(office.hire())
    office.bury()
    office.work(office.hire())
    assert told(office) == ["ledger.down", "ledger.up"] and look(open_alerts, NODE) == []


def test_the_actors_thread_goes_on_while_the_database_hangs(office, look):
    office.work(office.hire())
    office.bury()
    bookkeeper = office.hire(hand=ThreadHand(office.wire.wake))
    hangs, go_on = threading.Event(), threading.Event()
    write = bookkeeper._ledger.record

    def hang(*arguments):
        hangs.set()
        assert go_on.wait(60)
        return write(*arguments)

    bookkeeper._ledger.record = hang
    office.happen(2)
    office.until(bookkeeper, hangs.is_set)
    assert bookkeeper.one_pass([Nudge("events")]) == 1.0 and told(office) == []
    office.clock.advance(100)
    assert bookkeeper.one_pass([]) == 1.0 and told(office) == ["ledger.down"]
    assert bookkeeper.figures()["away"] == 1
    go_on.set()
    office.until(bookkeeper, lambda: len(look(stored)) == 6)  # two, down, raised, up, cleared
    assert told(office) == ["ledger.down", "ledger.up"] and look(stored) == expected(office.outbox())
    bookkeeper.stop()


def test_a_thread_carries_events_while_the_database_comes_and_goes(office, look, absence):
    bookkeeper = office.hire(hand=ThreadHand(office.wire.wake))
    office.happen(20)
    office.until(bookkeeper, lambda: bookkeeper.figures()["backlog"] == 0)
    for _ in range(2):
        absence.begin()
        office.happen(20)
        office.until(bookkeeper, lambda: bookkeeper.figures()["away"] == 1)
        absence.end()
        office.until(bookkeeper, lambda: bookkeeper.figures()["away"] == 0)
    office.until(bookkeeper, lambda: bookkeeper.figures()["backlog"] == 0)
    bookkeeper.stop()
    assert told(office) == ["ledger.down", "ledger.up"] * 2 and look(stored) == expected(office.outbox())


def test_a_stop_ends_with_the_batch_under_way_stored(office, look):
    bookkeeper = office.hire(hand=ThreadHand(office.wire.wake))
    office.happen(3)
    office.until(bookkeeper, lambda: bookkeeper._at is not None or office.spool.outbox.confirmed("bookkeeper"))
    bookkeeper.stop()
    assert look(stored) in ([], expected(office.outbox()))
    office.bury()
    office.work(office.hire())
    assert look(stored) == expected(office.outbox())


def test_poison_raises_one_alert_and_the_next_only_after_a_while(office, look):
    bookkeeper = office.hire()
    for _ in range(3):
        poison(office)
        office.work(bookkeeper)
    assert [one.type for one in office.outbox()].count("alert.raised") == 1
    office.clock.advance(601)
    poison(office)
    office.work(bookkeeper)
    assert [one.type for one in office.outbox() if one.type.startswith("alert.")] == ["alert.raised", "alert.updated"]
    assert office.spool.notices.alerts().keys() == {"ledger.refused"}
    assert len(look(flagged, NODE)) == 4 and look(stored) == expected(office.outbox())
    assert [row["alert"] for row in look(open_alerts, NODE)] == ["ledger.refused"]


def poison(office):
    from protocol.wire import events as e
    from tests.ledger.ledger_events import example

    office.spool.outbox.record(example(e.AssociationOpened, calling_ae="SCAN\x00NER"))


# ---- PostgreSQL alone -------------------------------------------------------------------------------------------
def test_a_node_has_one_bookkeeper(postgres):
    url = postgres.database()
    first, second, other = Ledger(url, "a"), Ledger(url, "a"), Ledger(url, "b")
    first.open()
    other.open()
    with pytest.raises(LedgerUnavailable, match="another bookkeeper"):
        second.open()
    first.close()
    session_ended(url, "a")
    second.open()
    second.close()
    other.close()


def test_a_predecessor_that_seems_to_live_for_a_moment_is_no_outage(postgres, tmp_path):
    office = Office(tmp_path / "home", postgres.database())
    try:
        bookkeeper, ghost = office.hire(), Ledger(office.url, NODE)
        ghost.open()
        for _ in range(2):
            passes(bookkeeper)
            office.clock.advance(1)
        ghost.close()
        office.happen(1)
        office.work(bookkeeper)
        assert told(office) == []
    finally:
        office.close()


def test_a_right_that_was_revoked_makes_it_wait_and_damages_no_event(postgres, tmp_path):
    url = postgres.database()
    postgres.execute("DO $$ BEGIN CREATE ROLE clerk LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    postgres.execute("GRANT ALL ON SCHEMA public TO clerk", url)
    office = Office(tmp_path / "home", url.replace("postgres@", "clerk@"))
    try:
        bookkeeper = office.hire()
        office.work(bookkeeper)
        postgres.execute("REVOKE INSERT ON image FROM clerk", url)
        office.happen(2)
        for _ in range(3):
            passes(bookkeeper)
            office.clock.advance(31)
        assert told(office) == ["ledger.down"]
        postgres.execute("GRANT INSERT ON image TO clerk", url)
        office.clock.advance(31)
        office.work(bookkeeper)
        with reading(reader(url)) as connection:
            assert stored(connection) == expected(office.outbox()) and flagged(connection, NODE) == []
            assert connection.execute(text("SELECT count(*) FROM image")).scalar() == 2
    finally:
        office.close()
