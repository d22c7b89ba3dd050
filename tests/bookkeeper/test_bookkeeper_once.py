"""Each event is in the ledger exactly once, wherever the bookkeeper dies."""

import random

import pytest

from actors.bookkeeper import actor as module
from actors.clocks import BELIEVED
from protocol.ledger.queries import open_alerts, position
from protocol.spool.outbox import Cursor
from tests.bookkeeper.hearsay import HearsayBookkeeper
from tests.bookkeeper.office import expected, receipts, stored
from tests.ledger.ledger_events import NODE


def types(office):
    return [envelope.type for envelope in office.outbox()]


def test_events_go_into_the_ledger_in_order_with_the_cursor(office, look):
    office.happen(5)
    office.work(office.hire())
    assert look(stored) == expected(office.outbox()) and len(look(receipts)) == 5
    assert look(position, NODE) == office.spool.outbox.head() == office.spool.outbox.confirmed("bookkeeper")


def test_a_death_before_or_after_any_step_loses_and_doubles_nothing(office, look, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 2)  # so that a run has several batches
    office.work(office.hire())
    steps, n = [], 1
    while True:
        office.happen(5)
        office.points.arm(n)
        died = office.work_or_die(office.hire())
        steps = list(office.points.names)
        office.bury()
        office.work(office.hire())
        assert look(stored) == expected(office.outbox()), f"after a death at step {n}, {steps[-1]}"
        assert len(look(receipts)) == 5 * n
        if not died:
            break
        n += 1
    assert n > len(steps) > 12 and {"ledger.before", "ledger.after", "barrier.after", "commit.after"} <= set(steps)


@pytest.mark.parametrize("seed", range(3))
def test_deaths_and_new_epochs_at_random_lose_and_double_nothing(office, look, monkeypatch, seed):
    monkeypatch.setattr(module, "BATCH", 3)
    chance = random.Random(seed)
    bookkeeper = office.hire()
    for _ in range(40):
        office.happen(chance.randrange(5))
        if chance.random() < 0.15:
            office.spool.outbox.begin_epoch("test")
        if chance.random() < 0.5:
            office.points.arm(chance.randrange(1, 20))
            died = office.work_or_die(bookkeeper)
            office.points.disarm()
            if died:
                office.bury()
                bookkeeper = office.hire()
    office.work(bookkeeper)
    assert look(stored) == expected(office.outbox())
    assert len(look(receipts)) == len(set(look(receipts))) == types(office).count("image.received")


def test_a_new_epoch_is_followed_without_a_gap(office, look):
    office.happen(2)
    bookkeeper = office.hire()
    office.work(bookkeeper)
    office.happen(1)
    epoch = office.spool.outbox.begin_epoch("restore")
    office.happen(2)
    office.work(bookkeeper)
    assert look(stored) == expected(office.outbox()) and look(position, NODE)[0] == epoch


def test_two_batches_between_passes_are_one_transaction(office):
    bookkeeper = office.hire()
    office.work(bookkeeper)
    office.points.disarm()
    office.happen(40)
    office.work(bookkeeper)
    assert office.points.names.count("ledger.after") == 1


@pytest.mark.parametrize(("share", "batches"), [(0.1, 12), (4.0, 3)])
def test_a_batch_is_bounded_in_bytes_and_never_empty(office, look, monkeypatch, share, batches):
    """Header values of one series may have megabytes: a thousand such events at once would be more than the memory."""
    bookkeeper = office.hire()
    office.work(bookkeeper)
    office.points.disarm()
    office.happen(12)
    largest = max(len(one.body) for one in office.spool.outbox.raw(Cursor(0, 0)))
    monkeypatch.setattr(module, "MOST_BYTES", share * largest)
    office.work(bookkeeper)
    assert look(stored) == expected(office.outbox())
    assert office.points.names.count("ledger.after") == batches


def test_a_part_of_the_outbox_says_whether_it_was_cut_off(office):
    office.happen(4)
    outbox, begin = office.spool.outbox, Cursor(0, 0)
    size = len(outbox.raw(begin)[0].body)
    everything = outbox.read(begin)
    assert outbox.batch(begin, 10, 10 * size) == (everything, False)
    assert outbox.batch(begin, 4, 10 * size) == (everything, True), "there may be more"
    assert outbox.batch(begin, 10, 2 * size) == (everything[:2], True)
    assert outbox.batch(begin, 10, 1) == (everything[:1], True)
    assert outbox.batch(outbox.head(), 10, 1) == ([], False)


def test_a_spool_that_counts_from_an_earlier_time_is_read_from_its_beginning(office, look):
    ledger_first = office.hire()
    office.happen(1)
    office.work(ledger_first)
    before = office.outbox()
    ledger_first.stop()
    with office.spool.database.write() as tx:  # a spool made anew while the clock was wrong
        tx.execute("UPDATE meta SET value = 5 WHERE key = 'epoch'")
        tx.execute("DELETE FROM event")
        tx.execute("DELETE FROM consumer")
    office.happen(3)
    office.work(office.hire())
    assert look(stored) == sorted(expected(office.outbox()) + expected(before))
    assert "ledger.ahead" in [row["alert"] for row in look(open_alerts, NODE)]


def test_a_ledger_that_forgot_what_it_confirmed_raises_an_alert(office, look):
    office.happen(3)
    office.work(office.hire())
    office.bury()
    office.clock.advance(8 * 86_400)
    head = office.spool.outbox.head()
    office.happen(1)
    assert office.spool.outbox.trim(office.clock.now() - 86_400, {"bookkeeper"}) == head.seq
    with writer_of(office).begin() as connection:
        connection.exec_driver_sql("DELETE FROM event")
        connection.exec_driver_sql("DELETE FROM cursor")
    office.work(office.hire())
    assert "ledger.gap" in [row["alert"] for row in look(open_alerts, NODE)]
    assert look(stored) == expected(office.outbox())


def writer_of(office):
    from protocol.ledger.engine import writer

    return writer(office.url)


def test_old_events_leave_the_outbox_only_when_the_ledger_has_them(office, look):
    office.happen(3)
    bookkeeper = office.hire()
    office.work(bookkeeper)
    office.clock.advance(8 * 86_400)
    office.happen(1)  # young
    office.work(bookkeeper)
    assert types(office) == ["image.received", "outbox.trimmed"]
    assert len(look(receipts)) == 4
    office.clock.advance(8 * 86_400)
    office.spool.outbox.trim(office.clock.now(), {"bookkeeper"})
    office.happen(1)
    unread = office.spool.outbox.head()
    office.clock.advance(8 * 86_400)
    office.spool.outbox.trim(office.clock.now(), {"bookkeeper"})
    assert unread in [Cursor(one.epoch, one.seq) for one in office.outbox()]


def test_a_bookkeeper_that_only_listens_loses_what_it_did_not_hear(office, look):
    """The negative control works: without deaths it looks right, a missed message is gone for good."""
    hearsay = office.hire(kind=HearsayBookkeeper)
    office.happen(2)
    tell(hearsay, office.outbox())
    assert look(stored) == expected(office.outbox())
    office.happen(2)
    tell(hearsay, office.outbox()[-1:])
    assert len(look(stored)) == 3 < len(office.outbox())


def tell(bookkeeper, envelopes):
    from protocol.wire.nudges import Nudge

    bookkeeper.one_pass([Nudge("events", one.to_map()) for one in envelopes])


def test_an_event_larger_than_any_message_blocks_nothing(office, look):
    from protocol.wire import events as e
    from tests.ledger.ledger_events import example

    with office.spool.database.write() as tx:
        tx.emit(example(e.ArrivalCompleted), phi={"header": {"PatientID": "x" * (1 << 20)}})
    office.happen(2)
    office.work(office.hire())
    assert look(stored) == expected(office.outbox()) and len(look(receipts)) == 2


def test_header_values_are_forgotten_after_the_days_that_the_settings_give(office, look):
    from sqlalchemy import func, select

    from protocol.ledger.forgetting import CHUNK
    from protocol.ledger.tables import header
    from tests.ledger.test_ledger_headers import completed

    def kept(connection):
        return connection.execute(select(func.count()).select_from(header)).scalar()

    now = office.clock.now()
    with office.spool.database.write() as tx:
        for number in range(1, CHUNK + 20):
            one = completed(number, number, opened=now)
            tx.emit(type_of(one)(**one.data), phi=one.phi)
    bookkeeper = office.hire()
    office.work(bookkeeper)
    assert look(kept) == CHUNK + 19
    office.clock.advance(364 * 86_400.0)
    office.work(bookkeeper)
    assert look(kept) == CHUNK + 19
    office.clock.advance(2 * 86_400.0)
    for _ in range(6):
        office.work(bookkeeper)
    assert look(kept) == 0


def test_a_clock_that_jumps_years_ahead_makes_the_ledger_forget_nothing(office, look):
    from sqlalchemy import func, select

    from protocol.ledger.tables import header
    from tests.ledger.test_ledger_headers import completed

    def kept(connection):
        return connection.execute(select(func.count()).select_from(header)).scalar()

    with office.spool.database.write() as tx:
        one = completed(1, 1, opened=office.clock.now())
        tx.emit(type_of(one)(**one.data), phi=one.phi)
    bookkeeper = office.hire()
    office.work(bookkeeper)
    seen = office.clock.now()
    office.spool.notices.tell(BELIEVED, f"{seen:.0f} 0")
    office.clock.jump_wall(2 * 365 * 86_400.0)
    for _ in range(3):
        office.clock.advance(700)
        office.work(bookkeeper)
    assert look(kept) == 1
    office.work(office.hire())  # as after a boot with such a clock
    assert look(kept) == 1, "the cleaner does not believe it yet"
    office.spool.notices.tell(BELIEVED, f"{office.clock.now():.0f} 0")
    office.work(office.hire())
    assert look(kept) == 0


def test_mining_rows_of_the_past_are_made_while_it_idles_wherever_it_dies(office, look, monkeypatch):
    from sqlalchemy import select

    from protocol.ledger.mining import filling
    from protocol.ledger.tables import cursor, series
    from tests.ledger.test_ledger_headers import completed

    def state(connection):
        return len(connection.execute(select(series.c.arrival)).fetchall())

    monkeypatch.setattr(filling.fill, "__defaults__", (2,))
    with office.spool.database.write() as tx:
        for number in range(1, 8):
            one = completed(number, number, opened=office.clock.now())
            tx.emit(type_of(one)(**one.data), phi=one.phi)
    office.work(office.hire())
    with writer_of(office).begin() as connection:  # as a ledger from before the mining tables
        connection.execute(series.delete())
        connection.execute(cursor.delete().where(cursor.c.consumer == filling.FILLER))
    deaths = 0
    for n in range(1, 60):
        office.points.arm(n)
        died = office.work_or_die(office.hire())
        office.bury()
        if not died:
            break
        deaths += 1
    office.work(office.hire())
    office.clock.advance(2)
    office.work(office.hire())
    assert deaths > 3 and look(state) == 7


def type_of(envelope):
    from protocol.wire.messages import REGISTRY

    return REGISTRY[envelope.type]
