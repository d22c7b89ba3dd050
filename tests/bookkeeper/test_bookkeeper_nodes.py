"""Several nodes write one PostgreSQL: their bookkeepers start together, stream at once and are killed, and no history mixes.

Both clocks begin alike, so both nodes give their arrivals the same numbers: what does not keep the node apart shows.
"""

import json
import os
import random
import signal
import threading
import time

import pytest
from click.testing import CliRunner
from sqlalchemy import select, text

from actors.base import passes
from protocol.ledger import tables
from protocol.ledger.compare import compare
from protocol.ledger.engine import reader, reading, writer
from protocol.ledger.history import Filter, image_history, search_arrivals, timeline
from protocol.ledger.queries import counts, flagged, open_alerts, position
from protocol.wire import events as e
from tests.bookkeeper.office import Office, expected
from tests.ledger.ledger_events import example
from tests.spool.test_way_of_a_series import incoming, receive

EAST, WEST = "east", "west"


class Pair:
    """Two nodes and the one database."""

    def __init__(self, folder, url):
        self.url = url
        self.offices = {node: Office(folder / node, url, node) for node in (EAST, WEST)}
        self.arrivals = {node: self._series(node) for node in self.offices}

    def _series(self, node):
        """A series of the same numbers on both, told apart by its study."""
        spool = self.offices[node].spool
        study = {EAST: "1.2.1", WEST: "1.2.2"}[node]
        found = receive(spool, *(incoming(f"1.2.3.{n}", data=f"{node} {n}".encode(), study=study) for n in (1, 2, 3)))
        (arrival,) = {one.arrival for one in found}
        return arrival

    def ask(self, function, *arguments):
        with reading(reader(self.url)) as connection:
            return function(connection, *arguments)

    def close(self):
        for office in self.offices.values():
            office.close()


@pytest.fixture
def pair(postgres, tmp_path):
    made = Pair(tmp_path, postgres.database())
    yield made
    made.close()


def stored(connection, node):
    order = select(tables.event.c.epoch, tables.event.c.seq, tables.event.c.id).where(tables.event.c.node == node)
    return [tuple(row) for row in connection.execute(order.order_by(tables.event.c.epoch, tables.event.c.seq))]


def bookkeeper_of(office):
    """A process of its own that carries until it is killed; it must not touch what the parent holds."""
    pid = os.fork()
    if pid:
        return pid
    try:
        mine = Office(office.home, office.url, office.node)
        bookkeeper = mine.hire()
        while True:
            bookkeeper.one_pass([])
            mine.clock.advance(0.6)
    finally:
        os._exit(1)


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def to_the_end(office):
    """A server may still hold the last one's lock for a moment."""
    for _ in range(50):
        try:
            return office.work(office.hire())
        except AssertionError:
            continue
    raise AssertionError("never came to an end")


@pytest.mark.slow
def test_two_nodes_that_start_together_and_die_meanwhile_write_each_event_once_into_one_database(pair):
    chance, running = random.Random(3), {}
    try:
        for node, office in pair.offices.items():  # both find an empty database: the steps are raced
            running[node] = bookkeeper_of(office)
        for _ in range(12):
            end = time.monotonic() + chance.uniform(0.05, 0.2)
            while time.monotonic() < end:
                for office in pair.offices.values():
                    office.happen(2)
            kill(running.pop(WEST))
            running[WEST] = bookkeeper_of(pair.offices[WEST])
    finally:
        for pid in running.values():
            kill(pid)
    for node, office in pair.offices.items():
        to_the_end(office)
        assert pair.ask(stored, node) == expected(office.outbox()), node
        assert pair.ask(position, node) == office.spool.outbox.head()
        assert compare(pair.url, node, office.spool.accounting) == []
        assert pair.ask(counts, node)["events"] == len(office.outbox()) > 30


@pytest.fixture
def carried(pair):
    for office in pair.offices.values():
        office.work(office.hire())
    return pair


def test_series_of_one_number_on_two_nodes_keep_their_histories_apart(carried):
    east, west = carried.arrivals[EAST], carried.arrivals[WEST]
    assert east == west, "the test wants one number on both"
    for node, study in ((EAST, "1.2.1"), (WEST, "1.2.2")):
        (row,) = carried.ask(search_arrivals, node, Filter()).rows
        assert (row["node"], row["study_uid"]) == (node, study)
        assert len(carried.ask(timeline, node, east)) == len(carried.ask(timeline, WEST, west)) > 0
        (image,) = carried.ask(image_history_of, node, "1.2.3.1")
        assert image["arrival"]["study_uid"] == study
    both = carried.ask(search_arrivals, None, Filter()).rows
    assert {row["node"] for row in both} == {EAST, WEST}


def image_history_of(connection, node, sop_uid):
    return image_history(connection, node, sop_uid=sop_uid)


def test_pages_of_both_nodes_together_show_each_series_once(carried):
    seen, mark = [], None
    while True:
        page = carried.ask(search_arrivals, None, Filter(), mark, 1)
        seen += [(row["node"], row["arrival"]) for row in page.rows]
        mark = page.next
        if mark is None:
            break
    assert sorted(seen) == sorted((node, arrival) for node, arrival in carried.arrivals.items())


def test_alerts_flags_and_balance_of_one_node_are_not_the_other_s(carried):
    west = carried.offices[WEST]
    west.spool.outbox.record(example(e.AssociationOpened, calling_ae="SCAN\x00NER"))
    west.work(west.hire())
    with writer(carried.url).begin() as connection:
        connection.execute(text("DELETE FROM image WHERE node = 'west'"))
    assert [row["alert"] for row in carried.ask(open_alerts, WEST)] == ["ledger.refused"]
    assert carried.ask(open_alerts, EAST) == [] == carried.ask(flagged, EAST)
    assert len(compare(carried.url, WEST, west.spool.accounting)) == 3
    assert compare(carried.url, EAST, carried.offices[EAST].spool.accounting) == []
    assert carried.ask(counts, EAST)["flagged"] == 0 and sum(carried.ask(counts, EAST)["images"].values()) == 3


def test_the_command_finds_both_and_names_the_node(carried, tmp_path):
    environment = {
        "SCANPOST_HOME": str(tmp_path / "home"),
        "SCANPOST_LEDGER__URL": carried.url,
        "SCANPOST_NODE__NAME": EAST,
    }

    def scanpost(*arguments):
        from scanpost.main import cli

        done = CliRunner().invoke(cli, arguments, env=environment)
        assert done.exit_code == 0, done.output
        return done.stdout

    here = json.loads(scanpost("history", "search", "--json"))["arrivals"]
    assert [row["node"] for row in here] == [EAST]
    shown = scanpost("history", "search", "--all-nodes")
    assert "node" in shown and EAST in shown and WEST in shown
    number = str(carried.arrivals[WEST])
    theirs = json.loads(scanpost("history", "show", number, "--node", WEST, "--json"))
    assert theirs["node"] == WEST and theirs["timeline"]
    images = json.loads(scanpost("history", "image", "1.2.3.1", "--node", WEST, "--json"))
    assert [one["arrival"]["study_uid"] for one in images] == ["1.2.2"]


@pytest.mark.slow
def test_a_database_that_restarts_in_the_middle_of_the_first_steps_is_brought_to_its_end_by_either(postgres, tmp_path):
    """The steps are one transaction: what a crash leaves is either nothing or everything."""
    from protocol.ledger.migrate import NEWEST, revision

    url = postgres.database()
    pair = Pair(tmp_path, url)
    holder = writer(url).connect()
    try:
        # given: the lock of the steps is held, so that both bookkeepers wait in the middle of their first opening
        holder.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": 0x5CA47057})
        waiting = [threading.Thread(target=passes, args=(office.hire(),)) for office in pair.offices.values()]
        for thread in waiting:
            thread.start()
        # if the server crashes and comes back
        postgres.stop("immediate")
        postgres.start()
        for thread in waiting:
            thread.join(60)
        # I expect that both finish, one after the other
        for office in pair.offices.values():
            office.clock.advance(31)
            to_the_end(office)
            assert pair.ask(stored, office.node) == expected(office.outbox())
        assert pair.ask(revision) == NEWEST
    finally:
        holder.invalidate()
        holder.close()
        pair.close()
