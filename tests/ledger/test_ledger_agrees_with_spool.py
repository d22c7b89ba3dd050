"""What the ledger projects from the events is what the spool holds, after every step that people and actors can take."""

import random
import time
import uuid

import pytest
from sqlalchemy import select

from protocol.clock import ManualClock
from protocol.errors import StepRefused
from protocol.header.scan import Header, scan
from protocol.ledger import tables
from protocol.ledger.compare import compare
from protocol.ledger.queries import counts
from protocol.spool import open_spool
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.deliveries import ImageResult
from protocol.spool.images import Incoming
from protocol.spool.maintenance import rebuild
from protocol.spool.outbox import Cursor
from protocol.testing.images import TestImage
from tests.ledger.ledger_events import NODE

TARGETS = ("a", "b")


class Site:
    """Random acts on a spool, each carried into the ledger."""

    def __init__(self, folder, ledger, seed):
        self.spool, self.ledger = open_spool(folder, create=True), ledger
        self.chance, self.at, self.images = random.Random(seed), Cursor(0, 0), 0

    def carry(self):
        batch = self.spool.outbox.read(self.at)
        if batch:
            before, self.at = self.at, Cursor(batch[-1].epoch, batch[-1].seq)
            assert self.ledger.record(batch, before, self.at).flagged == []

    def any_arrival(self, *states):
        found = [row["id"] for state in states for row in self.spool.arrivals.list(state=state, limit=500)]
        return self.chance.choice(found) if found else None

    def command(self):
        return self.spool.commands.ask("series.hold", "test", {})

    # ---- acts
    def receive(self):
        self.images += 1
        series, sop = f"1.2.{self.chance.randrange(4)}", f"1.3.{self.chance.randrange(30)}"
        header = Header(
            {"StudyInstanceUID": "1.2", "SeriesInstanceUID": series, "SOPInstanceUID": sop, "PatientID": "P"}
        )
        incoming = Incoming(uuid.uuid4().bytes, "CT", "ROUTER", "127.0.0.1", None, "1.2.840.10008.5.1.4.1.1.2", sop,
                            "1.2.840.10008.1.2.1", b"%d" % self.chance.randrange(self.images), header)  # fmt: skip
        self.spool.images.commit([self.spool.images.save(incoming)])

    def take(self, image):
        """A real image, which a rebuild can read."""
        data, syntax = image.dataset(), image.transfer_syntax_uid
        incoming = Incoming(uuid.uuid4().bytes, "CT", "ROUTER", "127.0.0.1", None, image.sop_class_uid, image.sop_uid, syntax,
                            data, scan(data, syntax))  # fmt: skip
        self.spool.images.commit([self.spool.images.save(incoming)])

    def close_one(self):
        open_ones = self.spool.arrivals.open_ones()
        if open_ones:
            self.spool.arrivals.close(self.chance.choice(open_ones).id, "idle")

    def verdict(self, command=0):
        outcome = self.chance.choice(["route", "route", "hold", "discard", "wait"])
        targets = [TargetChoice(name) for name in TARGETS if self.chance.random() < 0.7] or [TargetChoice("a")]
        return Verdict(outcome, 1, targets if outcome == "route" else [], command=command)

    def decide(self):
        id = self.any_arrival("closed")
        if id:
            self.spool.arrivals.decide(id, self.verdict())

    def decide_by_command(self):
        id = self.any_arrival("held", "discarded", "delivered", "waiting")
        if id:
            self.spool.arrivals.decide(id, self.verdict(self.command()))

    def hold(self):
        id = self.any_arrival("closed", "in_delivery", "delivered")
        if id:
            self.spool.arrivals.hold(id, "test", self.command())

    def release(self):
        id = self.any_arrival("held")
        if id:
            self.spool.arrivals.release(id, self.command())

    def release_by_rules(self):
        id = self.any_arrival("held")
        if id:
            self.spool.arrivals.decide(id, self.verdict(self.command()), released=True)

    def reroute(self):
        id = self.any_arrival("held", "discarded", "delivered")
        if id:
            self.spool.arrivals.reroute(id, self.command())

    def discard(self):
        id = self.any_arrival("held", "closed")
        if id:
            self.spool.arrivals.discard(id, "test", self.command())

    def send(self):
        deliveries = self.spool.deliveries
        claim = deliveries.claim("me", dict.fromkeys(TARGETS, 9), time.time() + 1e6)
        if claim is None:
            return
        deliveries.confirm(claim, [ImageResult(i.position, i.file.receipt, 0, True) for i in claim.images])
        end = self.chance.choice(["complete", "complete", "retry", "park", "give_back", "hold"])
        if end == "complete":
            deliveries.complete(claim)
        elif end == "retry":
            deliveries.retry(claim, 0, "away")
        elif end == "park":
            deliveries.park(claim, "used up")
        elif end == "give_back":
            deliveries.give_back(claim)
        else:
            deliveries.hold_claimed(claim, "target gone")

    def change_delivery(self):
        found = self.spool.deliveries.list(limit=500)
        if found:
            act = self.chance.choice(["retry", "hold", "release", "cancel"])
            self.spool.deliveries.change([self.chance.choice(found)["id"]], act, self.command())

    def redirect(self):
        found = self.spool.deliveries.list(limit=500)
        if found:
            to = TargetChoice(self.chance.choice(TARGETS))
            self.spool.deliveries.change([self.chance.choice(found)["id"]], "redirect", self.command(), to=to)

    def acts(self):
        often = [self.receive] * 6 + [self.close_one, self.decide] * 3 + [self.send] * 6
        return [
            *often,
            self.decide_by_command,
            self.hold,
            self.release,
            self.release_by_rules,
            self.reroute,
            self.discard,
            self.change_delivery,
            self.redirect,
        ]


@pytest.mark.parametrize("seed", range(2))
def test_after_every_act_the_ledger_holds_the_same_states_as_the_spool(open_ledger, look, url, tmp_path, seed):
    site = Site(tmp_path / "home", open_ledger(), seed)
    try:
        for _ in range(150):
            act = site.chance.choice(site.acts())
            try:
                act()
            except StepRefused:
                continue
            site.carry()
            if act not in (site.receive,):
                assert states(site) == look(ledger_states), act.__name__
        assert compare(url, NODE, site.spool.accounting) == []
        figures, counted = site.spool.accounting.figures(), look(counts, NODE)
        assert counted["duplicates"] == figures.duplicates and sum(counted["images"].values()) > 20
        assert sum(counted["images"].values()) + counted["superseded"] == figures.received
    finally:
        site.spool.close()


def test_what_was_sent_twice_on_purpose_is_one_series_again_after_a_rebuild(open_ledger, look, url, tmp_path):
    """The bytes are there twice, since the first series had been discarded; the rebuild finds a repetition."""
    site = Site(tmp_path / "home", open_ledger(), 0)
    for _ in range(2):
        site.take(TestImage())
        site.spool.arrivals.close(site.spool.arrivals.open_ones()[0].id, "idle")
        site.discard()
    site.carry()
    site.spool.close()
    for place in (tmp_path / "home" / "spool").glob("spool.sqlite3*"):
        place.unlink()
    clock = ManualClock(time.time() + 1000)
    assert rebuild(tmp_path / "home", node=NODE, clock=clock).arrivals == 1
    site.spool = open_spool(tmp_path / "home", clock=clock)
    site.carry()
    try:
        assert states(site)[0].items() <= look(ledger_states)[0].items()
        assert sorted(look(ledger_states)[0].values()) == ["deleted", "deleted", "held"]
        assert compare(url, NODE, site.spool.accounting) == []
    finally:
        site.spool.close()


def states(site):
    arrivals = {row["id"]: row["state"] for row in site.spool.arrivals.list(limit=1000)}
    rows = site.spool.deliveries.list(limit=1000)
    return arrivals, {row["id"]: facts(row["state"], row["target"], row["cause"]) for row in rows}


def facts(state, target, cause):
    """A cancelled delivery may keep the cause that it had before."""
    return (state, target, None if state == "cancelled" else cause or None)


def ledger_states(connection):
    arrivals = connection.execute(select(tables.arrival.c.arrival, tables.arrival.c.state))
    d = tables.delivery.c
    deliveries = connection.execute(select(d.delivery, d.state, d.target, d.cause))
    return {row[0]: row[1] for row in arrivals}, {row[0]: facts(*row[1:]) for row in deliveries}
