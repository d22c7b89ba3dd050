"""A ledger moves into another database: whole, resumable, and never over another history."""

import dataclasses

import pytest
from sqlalchemy import func, inspect, select, text

from protocol.errors import LedgerError
from protocol.ledger import copying
from protocol.ledger.copying import Copying
from protocol.ledger.engine import reader, reading
from protocol.ledger.queries import image_history, position
from protocol.ledger.record import Ledger
from protocol.ledger.tables import event, metadata
from protocol.wire import events as e
from tests.ledger.history.told import EPOCH, SOP, full_story, other_stories, tell_all
from tests.ledger.ledger_events import NODE, example, wrap_all
from tests.postgres import session_ended


@pytest.fixture
def source(tmp_path):
    url = f"sqlite:///{tmp_path / 'source.sqlite3'}"
    ledger = Ledger(url, NODE)
    ledger.open()
    tell_all(ledger, [*full_story(), *other_stories()])
    poison = dataclasses.replace(wrap_all(example(e.ActorStopped), first=900)[0], subject="x\0")
    ledger.record([poison], ledger.open().position, (EPOCH, 900))
    yield ledger, url
    ledger.close()


def successor_at(url):
    """The ledger of a bookkeeper that begins when the copy's session has ended for the server, too."""
    session_ended(url, NODE)
    return Ledger(url, NODE)


def rows(url):
    with reading(reader(url)) as connection:
        return {
            name: sorted(map(dict, connection.execute(select(table)).mappings()), key=lambda row: str(keyed(table, row)))
            for name, table in metadata.tables.items() if name != "cursor"
        }  # fmt: skip


def keyed(table, row):
    return [row[column.name] for column in table.primary_key]


def test_a_copy_holds_the_same_rows_and_goes_on_where_the_source_was(source, url):
    told = []
    counts = Copying(source[1], url).run(lambda done, total: told.append((done, total)))
    assert rows(source[1]) == rows(url)
    assert counts["event"]["source"] == counts["event"]["target"] > 30 and told[-1][0] == told[-1][1]
    with reading(reader(url)) as connection:
        assert position(connection, NODE) == (EPOCH, 900)
        assert len(image_history(connection, NODE, sop_uid=SOP)) == 2
    ledger = successor_at(url)
    assert ledger.open().position == (EPOCH, 900)
    ledger.close()


def test_the_copy_is_planned_by_what_is_in_it(source, postgres):
    """A PostgreSQL that was just filled took 800 ms for a question that took 1 ms after its first autovacuum."""
    url = postgres.emptied()
    Copying(source[1], url).run()
    with reading(reader(url)) as connection:
        known = connection.execute(text("SELECT reltuples FROM pg_class WHERE oid = 'event'::regclass")).scalar()
    assert known > 0


def test_it_goes_there_and_back_and_everything_is_equal(source, url, tmp_path):
    """Every row of every table, where each node is, and the shape of the tables."""
    Copying(source[1], url).run()
    back = f"sqlite:///{tmp_path / 'back.sqlite3'}"
    Copying(url, back).run()
    assert rows(back) == rows(source[1]) and cursors(back) == cursors(source[1]) and shape(back) == shape(source[1])


def test_what_changed_since_a_former_copy_is_brought_as_it_is_now(source, url, tmp_path, monkeypatch):
    """A copy is gone on with, weeks later perhaps: its cursor is handed over, so none of its rows may be of before."""
    monkeypatch.setattr(copying, "STRIDE", 1)
    Copying(source[1], url).run()
    back = f"sqlite:///{tmp_path / 'back.sqlite3'}"
    Copying(url, back).run()
    late, before = wrap_all(example(e.ArrivalReleased, arrival=4), first=901), (EPOCH, 900)
    there = successor_at(url)
    there.open()
    there.record(late, before, (EPOCH, 901))
    there.close()
    Copying(url, back).run()
    assert rows(back) == rows(url) and cursors(back) == cursors(url) != cursors(source[1])


def cursors(url):
    with reading(reader(url)) as connection:
        return sorted((row.node, row.epoch, row.seq) for row in connection.execute(select(metadata.tables["cursor"])))


def shape(url):
    with reading(reader(url)) as connection:
        found = inspect(connection)
        return {
            name: ([one["name"] for one in found.get_columns(name)], sorted(one["name"] or "" for one in found.get_indexes(name)))
            for name in found.get_table_names() if name in metadata.tables
        }  # fmt: skip


def test_a_copy_that_was_broken_off_goes_on_and_repeats_little(source, url, monkeypatch):
    monkeypatch.setattr(copying, "PAGE", 4)
    monkeypatch.setattr(copying, "STRIDE", 8)
    written, put = [], copying.put

    def counting(connection, table, found, first=()):
        written.extend(found)
        put(connection, table, found, first)

    monkeypatch.setattr(copying, "put", counting)

    def break_off(done, total):
        if done > 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Copying(source[1], url).run(break_off)
    with reading(reader(url)) as connection:
        assert position(connection, NODE) is None  # not handed over: no bookkeeper would go on with half of it
    before = len(written)
    Copying(source[1], url).run()
    assert rows(source[1]) == rows(url)
    total = sum(len(found) for found in rows(url).values()) + 1
    assert total <= len(written) < before + total - 8


def test_a_source_in_use_is_copied_as_far_as_it_was_and_the_rest_follows(source, url, monkeypatch):
    ledger, origin = source
    late = wrap_all(example(e.ArrivalReleased, arrival=4), example(e.ArrivalDelivered, arrival=4), first=901)
    begin = Copying._counts

    def counts(self, engine):
        if len(late) == 2:
            ledger.record([late.pop(0)], (EPOCH, 900), (EPOCH, 901))  # while the copy is under way
        return begin(self, engine)

    monkeypatch.setattr(Copying, "_counts", counts)
    Copying(origin, url).run()
    successor = successor_at(url)
    assert successor.open().position == (EPOCH, 900)
    again = wrap_all(example(e.ArrivalReleased, arrival=4), *[example(e.ArrivalDelivered, arrival=4)], first=901)
    assert successor.record(again, (EPOCH, 900), (EPOCH, 902)).written == 2
    successor.close()
    ledger.record(late, (EPOCH, 901), (EPOCH, 902))
    both = rows(origin), rows(url)
    for found in both:
        found.pop("event")  # `recorded` differs
    assert both[0] == both[1]


def test_the_history_of_another_node_is_not_added_to_unless_asked(source, url):
    other = Ledger(url, "other")
    other.open()
    one = dataclasses.replace(wrap_all(example(e.ArrivalOpened))[0], id="theirs")
    other.record([one], (0, 0), (EPOCH, 1))
    other.close()
    with pytest.raises(LedgerError, match=r"history of other; .*--join"):
        Copying(source[1], url).run()
    Copying(source[1], url, join=True).run()
    with reading(reader(url)) as connection:
        assert connection.execute(select(func.count()).where(event.c.node == NODE)).scalar() > 30


def test_a_target_that_is_ahead_or_in_use_is_refused(source, postgres):
    url = postgres.emptied()
    busy = Ledger(url, NODE)
    busy.open()
    with pytest.raises(LedgerError, match=f"bookkeeper of {NODE} writes .*; stop it first"):
        Copying(source[1], url).run()
    busy.record(wrap_all(example(e.ActorStopped), first=901), (0, 0), (EPOCH, 901))
    busy.close()
    with pytest.raises(LedgerError, match="is ahead of the source"):
        Copying(source[1], url).run()


def test_a_copy_waits_a_moment_for_a_bookkeeper_that_just_stopped(source, postgres, monkeypatch):
    """The server ends a session a moment after who had it is gone: no reason to tell people to stop what is stopped."""
    url = postgres.emptied()
    leaving = Ledger(url, NODE)
    leaving.open()
    paused = []

    def pause(pause_s):
        paused.append(pause_s)
        leaving.close()
        session_ended(url, NODE)

    monkeypatch.setattr(copying, "sleep", pause)
    counts = Copying(source[1], url).run()
    assert counts["event"]["source"] == counts["event"]["target"] and len(paused) == 1


def test_a_source_that_is_none_is_refused(tmp_path, url):
    empty = f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    (tmp_path / "empty.sqlite3").touch()
    with pytest.raises(LedgerError, match="of another version"):
        Copying(empty, url).run()
    with pytest.raises(LedgerError, match="same database"):
        Copying(empty, empty)


def test_rows_that_went_missing_are_named_and_nothing_is_handed_over(source, url, monkeypatch):
    monkeypatch.setattr(Copying, "_pages", lambda self, origin, table, after: iter(()))
    with pytest.raises(LedgerError, match=r"rows are missing in the copy: .*event \(0 of"):
        Copying(source[1], url).run()
    with reading(reader(url)) as connection:
        assert position(connection, NODE) is None
