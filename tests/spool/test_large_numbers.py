"""What costs nothing with ten images must not cost seconds, under everybody's write lock, with ten thousand."""

from __future__ import annotations

import sqlite3
import time

import pytest

from protocol.header.scan import Header
from protocol.selection import Selection
from protocol.spool import open_spool
from protocol.spool.acts import Progress
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.cleaning import Retention
from protocol.spool.deliveries import ImageResult
from protocol.spool.forecast import forecast
from protocol.spool.images import Incoming
from protocol.spool.selecting import ARRIVALS, DELIVERIES
from protocol.spool.singles import Batch

EXPLICIT = "1.2.840.10008.1.2.1"
SMALL = {"meta", "total", "worker", "target_state", "consumer", "sqlite_sequence", "sighting", "tally"}
MANY = 3000


@pytest.fixture
def spool(tmp_path):
    spool = open_spool(tmp_path, create=True)
    yield spool
    spool.close()


def incoming(sop, data=b"bytes", series="1.2.3", association=bytes(16)):
    header = Header({"StudyInstanceUID": "1.2", "SeriesInstanceUID": series, "SOPInstanceUID": sop, "Modality": "CT"})
    return Incoming(association, "SCANNER", "SCANPOST", "127.0.0.1", None, "1.2.840.10008.5.1.4.1.1.2", sop, EXPLICIT,
                    data, header)  # fmt: skip


def receive(spool, *images):
    return spool.images.commit([spool.images.save(image) for image in images])


class Statements:
    """Every statement that a connection of the spool runs."""

    def __init__(self, spool):
        self.spool, self.seen = spool, set()
        for connection in (spool.database._writer, spool.database._reader):
            connection.set_trace_callback(self.seen.add)

    def walks(self):
        """Those that walk a whole table of the large ones."""
        for connection in (self.spool.database._writer, self.spool.database._reader):
            connection.set_trace_callback(None)
        found = []
        with self.spool.database.read() as connection:
            for statement in self.seen:
                if not statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
                    continue
                try:
                    plan = connection.execute("EXPLAIN QUERY PLAN " + statement).fetchall()
                except sqlite3.OperationalError:
                    continue
                steps = [row["detail"] for row in plan]
                found += [(step, statement) for step in steps if self._walk(step, statement)]
        return found

    @staticmethod
    def _walk(step, statement):
        words = step.split()
        if words[:2] == ["SCAN", "event"] and "ORDER BY seq" in statement and " LIMIT " in statement:
            return False
        if words[0] != "SCAN" or words[1] in SMALL or words[1].startswith("("):
            return False
        # A walk over an index that holds nothing but what is wanted now.
        return "delivery_ready" not in step and "arrival_unlink" not in step and "delivery_cause" not in step


def test_no_statement_of_daily_work_walks_through_a_whole_table(spool):
    statements = Statements(spool)
    now = time.time()
    owner = spool.workers.enter("dispatcher", "0").owner
    for version in (b"first", b"second"):
        association = b"%-16s" % version
        spool.images.association_opened(association, owner, "SCANNER", "SCANPOST", "127.0.0.1", None)
        (receipt,) = receive(spool, incoming("1.2.3.4", version, association=association))
        receive(spool, incoming("1.2.3.4", version, association=association))
        spool.images.association_closed(association, "released")
        (open_one,) = spool.arrivals.open_ones()
        assert spool.arrivals.close(receipt.arrival, "released", images=open_one.images)
        assert spool.arrivals.undecided() == [receipt.arrival] == spool.singles.behind()
        _, _, images = spool.singles.unseen(receipt.arrival)
        spool.singles.route(Batch(receipt.arrival, 1, 1, {TargetChoice("ai"): images}, ["rule"]))
        spool.arrivals.subject(receipt.arrival)
        verdict = Verdict("route", 1, [TargetChoice("pacs"), TargetChoice("ai")], waits=[("study", True)],
                          counted={"rule": "true"}, quotas=[("rule", "ever")])  # fmt: skip
        spool.arrivals.decide(receipt.arrival, verdict)
        assert spool.rules.used({"rule": "ever"})["rule"] and spool.rules.counts()
        (wait,) = spool.studies.open_ones()
        spool.studies.headers(wait)
        assert spool.studies.under_way(wait, revision=2) and spool.studies.conclude(
            wait, Verdict("route", 1, [TargetChoice("pacs")]), result="true", why="quiet", answer={}
        )
        for number in spool.studies.deciding():
            spool.studies.apply(number)
        assert spool.studies.answered_arrivals() == [] and spool.studies.waits_of(receipt.arrival)
        spool.studies.answers(receipt.arrival)
    for target in ("pacs", "pacs", "ai", "ai"):
        assert spool.deliveries.ready({target: 1}, now + 10) and spool.deliveries.count_ready(now + 10)
        spool.deliveries.next_due()
        claim = spool.deliveries.claim(owner, {target: 1}, now + 10)
        spool.deliveries.confirm(claim, [ImageResult(i.position, i.file.receipt, 0, True) for i in claim.images])
        spool.deliveries.complete(claim)
    spool.deliveries.reap("nobody")
    spool.images.abort_dead("nobody")
    spool.deliveries.targets_in_use()
    spool.deliveries.hold_orphans({"pacs"})
    spool.targets.queue()
    spool.commands.pending("router")
    spool.outbox.read(spool.outbox.head())
    spool.outbox.newest()
    late = Retention(now + 10, now + 10, now + 10, {"research": now})
    for id in spool.cleaning.deletable(late):
        assert spool.cleaning.mark(id, late)
    for id in spool.cleaning.marked():
        spool.cleaning.remove_files(id)
    spool.quarantine.expire(now + 10)
    assert spool.purging.headers(now + 100)
    assert spool.purging.arrivals(now + 100)
    assert len(statements.seen) > 60
    assert statements.walks() == []


UNFINISHED = ("waiting", "sending", "retrying", "confirming", "parked", "held")
FILTERS = [{"target": "pacs"}, {"source": "CT1"}, {"rule": "all"}, {"cause": "timeout"}, {"study": "1.2"}, {"series": "1.2.3"},
           {"modality": "CT"}, {"modality": "ct"}, {"since": 1.0, "until": 9e9}]  # fmt: skip


@pytest.mark.parametrize("filters", FILTERS, ids=lambda filters: next(iter(filters)))
def test_lists_of_the_queue_and_acts_on_all_that_match_do_not_walk_through_what_is_finished(spool, filters):
    (receipt,) = receive(spool, incoming("1.2.3.1"))
    spool.arrivals.close(receipt.arrival, "idle")
    spool.arrivals.decide(
        receipt.arrival, Verdict("route", 1, [TargetChoice("pacs"), TargetChoice("ai")], rules=["all"])
    )
    id = spool.commands.ask("queue.priority", "ann", {"priority": "urgent"})
    statements = Statements(spool)
    selection = Selection(states=UNFINISHED, **filters)
    assert spool.deliveries.select(selection) or "cause" in filters or "source" in filters
    spool.arrivals.select(Selection(states=("in_delivery", "held"), **filters))
    spool.deliveries.causes()
    spool.bulk.matching(DELIVERIES, selection)
    for kind in (DELIVERIES, ARRIVALS):
        states = UNFINISHED if kind is DELIVERIES else ("in_delivery",)
        part, progress = ([0], ()), Progress(2**40, 2)
        while part is not None:
            part = spool.bulk.next(spool.commands.find(id), kind, Selection(states=states, **filters), progress, 1)
            progress = progress if part is None else progress.at(part[1])
    assert statements.walks() == []


def test_an_act_on_all_that_match_reads_each_row_once(spool):
    (receipt,) = receive(spool, incoming("1.2.3.1"))
    spool.arrivals.close(receipt.arrival, "idle")
    targets = [TargetChoice(name) for name in ("ai", "pacs")]
    spool.arrivals.decide(receipt.arrival, Verdict("route", 1, targets))
    with spool.database.write() as tx:
        names = ", ".join(row[0] for row in tx.all("SELECT name FROM pragma_table_info('delivery') WHERE name <> 'id'"))
        tx.execute(f"WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {MANY // 2 - 1})"
                   f" INSERT INTO delivery ({names}) SELECT {names} FROM delivery, n ORDER BY n.n")  # fmt: skip
    command = spool.commands.find(spool.commands.ask("queue.priority", "ann", {}))
    selection, progress, found = Selection(states=("waiting",)), Progress(2**40, MANY), []

    def walk():
        nonlocal progress
        while (part := spool.bulk.next(command, DELIVERIES, selection, progress, 50)) is not None:
            found.extend(part[0])
            progress = progress.at(part[1])

    steps = [0]

    def count():
        steps[0] += 1
        return 0

    spool.database._reader.set_progress_handler(count, 100)
    walk()
    spool.database._reader.set_progress_handler(None, 0)
    assert len(found) == len(set(found)) == MANY
    assert steps[0] * 100 < 60 * MANY


def rows_visited(spool, work):
    """Steps of SQLite's machine on the writing connection: unlike time, the same on every computer."""
    steps = [0]

    def count():
        steps[0] += 1
        return 0

    spool.database._writer.set_progress_handler(count, 100)
    work()
    spool.database._writer.set_progress_handler(None, 0)
    return steps[0] * 100


def fill(spool, arrival, first, count):
    """Rows of more images, without files."""
    with spool.database.write() as tx:
        tx.many(
            "INSERT INTO image (receipt, arrival, position, association, sop_uid, sop_class_uid, transfer_syntax_uid, bytes,"
            " digest, file, offset, stored) VALUES (?,?,?,?,?,'1.2','1.2',1,?,'x',1,1)",
            [
                (b"%010d%06d" % (arrival, n), arrival, n, bytes(16), f"1.2.3.9.{n}", b"d")
                for n in range(first, first + count)
            ],
        )
        tx.execute("UPDATE arrival SET positions = ?, images = images + ?, bytes = bytes + ? WHERE id = ?",
                   (first + count - 1, count, count, arrival))  # fmt: skip
        tx.add("received", count)


def test_an_image_of_a_large_series_costs_no_more_than_its_first(spool):
    (first,) = receive(spool, incoming("1.2.3.1"))
    saved = [spool.images.save(incoming("1.2.3.2"))]
    few = rows_visited(spool, lambda: spool.images.commit(saved))
    fill(spool, first.arrival, 3, MANY)
    saved = [spool.images.save(incoming("1.2.3.3"))]
    many = rows_visited(spool, lambda: spool.images.commit(saved))
    assert many < few + 1000


def test_a_large_addendum_to_a_large_series_is_not_compared_image_by_image(spool):
    arrivals = []
    for _ in range(2):
        (receipt,) = receive(spool, incoming(f"1.2.3.{len(arrivals) + 1}"))
        fill(spool, receipt.arrival, 2, MANY)
        spool.arrivals.close(receipt.arrival, "idle")
        arrivals.append(receipt.arrival)
    spool.arrivals.decide(arrivals[0], Verdict("discard", 1))
    work = rows_visited(spool, lambda: spool.arrivals.decide(arrivals[1], Verdict("route", 1, [TargetChoice("pacs")])))
    assert work < 500 * MANY
    assert spool.arrivals.get(arrivals[0])["superseded"] == MANY
    assert spool.accounting.balance() == []


def test_a_claim_of_a_large_delivery_holds_the_write_lock_no_longer_than_one_of_a_small(spool):
    for count in (1, MANY):
        (receipt,) = receive(spool, incoming("1.2.3.1", series=f"1.2.3.{count}"))
        fill(spool, receipt.arrival, 2, count)
        spool.arrivals.close(receipt.arrival, "idle")
        spool.arrivals.decide(receipt.arrival, Verdict("route", 1, [TargetChoice("pacs")]))
    claims = []
    work = [
        rows_visited(spool, lambda: claims.append(spool.deliveries.claim("me", {"pacs": 9}, time.time() + 9)))
        for _ in range(2)
    ]
    assert [len(claim.images) for claim in claims] == [2, MANY + 1]
    assert work[1] < work[0] + 1000


def test_purging_a_large_arrival_is_done_in_parts_and_the_books_balance_after_each(spool):
    (receipt,) = receive(spool, incoming("1.2.3.1"))
    fill(spool, receipt.arrival, 2, 1200)
    spool.arrivals.close(receipt.arrival, "idle")
    spool.arrivals.decide(receipt.arrival, Verdict("discard", 1))
    late = time.time() + 100
    assert spool.cleaning.mark(receipt.arrival, Retention(late, late))
    spool.cleaning.remove_files(receipt.arrival)
    parts = []
    while removed := spool.purging.arrivals(late):
        parts.append(removed)
        assert spool.accounting.balance() == []
    assert parts == [500, 500, 202]
    assert spool.accounting.figures().images["deleted"] == 1201


def test_a_decision_for_many_targets_does_not_count_the_images_for_each(spool):
    (receipt,) = receive(spool, incoming("1.2.3.1"))
    fill(spool, receipt.arrival, 2, MANY)
    spool.arrivals.close(receipt.arrival, "idle")
    targets = [TargetChoice(f"pacs{number}") for number in range(10)]
    assert rows_visited(spool, lambda: spool.arrivals.decide(receipt.arrival, Verdict("route", 1, targets))) < 10 * MANY
    assert {row["images"] for row in spool.deliveries.list()} == {MANY + 1}


def finished(spool, count, target, since):
    """Rows of arrivals that were delivered, each a second after the one before."""
    with spool.database.write() as tx:
        tx.many(
            "INSERT INTO arrival (series_key, study_uid, series_uid, calling_ae, called_ae, address, state, opened, last_image,"
            " since, images, bytes, reached) VALUES (?,'1.2','1.2','A','B','C','delivered',1,1,?,10,1000,?)",
            [(b"%s%d" % (target.encode(), n), since + n, target) for n in range(count)],
        )


def test_what_a_target_keeps_for_long_costs_the_search_for_what_may_go_nothing(spool):
    """A target that keeps everything for a year has most of what is there, and all of it older than the rest."""
    finished(spool, 100, "pacs", 1e9)
    late = Retention(1e9 + 50, 1e9 + 50, targets={"archive": 10.0})

    def steps():
        seen = [0]
        spool.database._reader.set_progress_handler(lambda: seen.__setitem__(0, seen[0] + 1), 10)
        found = spool.cleaning.candidates(late, 20)
        spool.database._reader.set_progress_handler(None, 0)
        assert len(found) == 20 and found[0].since == 1e9
        return seen[0] * 10

    few = steps()
    finished(spool, 20 * MANY, "archive", 1000.0)
    assert steps() < few + 500
    told = forecast(spool.database, late, 1e9 + 100)
    assert told.total.series == 50 and sum(kept.amount.series for kept in told.kept) == 50 + 20 * MANY


def test_what_pages_show_of_series_and_queue_walks_through_no_table(spool):
    (receipt,) = receive(spool, incoming("1.2.3.1"))
    spool.arrivals.close(receipt.arrival, "idle")
    spool.arrivals.decide(receipt.arrival, Verdict("route", 1, [TargetChoice("pacs")], rules=["all"]))
    (delivery,) = spool.deliveries.of_arrival(receipt.arrival)
    statements, browsing = Statements(spool), spool.browsing
    for text in ("1.2.3", "CT1", "Doe", str(receipt.arrival)):
        browsing.search(Selection(modality="CT"), text, None, 50)
    assert browsing.arrivals([receipt.arrival])[receipt.arrival]["rules"] == ["all"]
    for look in (browsing.associations, browsing.reception, browsing.confirmations, browsing.images, browsing.header):
        look(receipt.arrival)
    browsing.about([receipt.arrival])
    browsing.problems(delivery["id"])
    for filters in FILTERS:
        browsing.counts(Selection(states=UNFINISHED, **filters))
    # The newest so many of all, from the end of the table.
    assert [walk for walk in statements.walks() if "WHERE 1 ORDER BY x.id DESC LIMIT 3000" not in walk[1]] == []
