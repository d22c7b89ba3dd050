"""A target that was away and answers again: what waited for it goes at once, in order; one that hiccups changes nothing."""

from __future__ import annotations

from dispatcher_fakes import FAST, FixedRouting, deliveries, make_slot, receive, route, series

from actors.dispatcher import working
from protocol.spool import targets

PATIENT = {**FAST, "first_s": 100.0, "max_s": 3600.0, "factor": 2.0}


class Node:
    def __init__(self, world):
        self.world, self.spool, self.clock = world, world.spool, world.clock
        self.routing = FixedRouting({"pacs": {"retry": PATIENT}})
        self.slot = make_slot(self.spool, self.routing, self.clock, world.target)
        self.target = world.target("pacs")

    def send(self, count):
        for number in range(len(deliveries(self.spool)), len(deliveries(self.spool)) + count):
            route(self.spool, receive(self.spool, series(number + 1, 1)), "pacs")
            self.clock.advance(1)

    def due(self):
        return [row["due"] <= self.clock.now() for row in deliveries(self.spool) if row["state"] == "retrying"]

    def probe(self):
        """The target is there again, and the newest of its deliveries, which alone is due, finds it out."""
        self.target.away = False
        self.clock.advance(3600)
        with self.spool.database.write() as tx:
            tx.execute("UPDATE delivery SET state = 'retrying', due = ?", (tx.now + 1000,))
            tx.execute("UPDATE delivery SET due = ? WHERE id = (SELECT max(id) FROM delivery)", (tx.now,))
        assert self.slot.run_once() and self.target.images == 1

    def run(self):
        while self.slot.run_once():
            pass


def away(world, fails=working.OUTAGE_FAILS):
    """A node with five deliveries whose target has failed so often, all waiting for their time."""
    node = Node(world)
    node.target.away = True
    node.send(5)
    while world.spool.targets.all().get("pacs") is None or world.spool.targets.all()["pacs"].fails < fails:
        node.slot.run_once()
        node.clock.advance(120)
    return node


def test_all_that_waited_goes_at_once_when_one_of_them_gets_through(world):
    node = away(world)
    node.probe()
    assert node.due() == [True] * 4
    node.run()
    assert node.target.images == 5 and node.target.repeated == 0
    came = list(node.target.received)
    assert came[1:] == sorted(came[1:]), "the oldest first, behind the one that found it back"


def test_few_failures_may_be_the_fault_of_one_delivery_and_wake_nobody(world):
    """Else one delivery that its target always refuses would be tried again after each one that gets through."""
    node = away(world, working.OUTAGE_FAILS - 1)
    node.probe()
    assert node.due() == [False] * 4


def test_very_many_are_told_in_chunks_between_deliveries(world, monkeypatch):
    node = away(world)
    monkeypatch.setattr(targets.Targets.wake, "__defaults__", (0, 2))
    node.probe()
    assert node.due() == [True, True, False, False]
    node.run()
    assert node.target.images == 5


def test_being_woken_makes_no_delivery_younger(world):
    node = away(world)
    first = {row["id"]: row["first_tried"] for row in deliveries(world.spool)}
    node.probe()
    rows = [row for row in deliveries(world.spool) if row["state"] == "retrying"]
    assert all(row["due"] == row["created"] for row in rows)
    assert {row["id"]: row["first_tried"] for row in rows}.items() <= first.items()


def test_other_targets_and_other_states_are_left_alone(world):
    node = away(world)
    node.routing.change({"pacs": {"retry": PATIENT}, "other": {}})
    route(node.spool, receive(node.spool, series(50, 1)), "other")
    with node.spool.database.write() as tx:
        tx.execute("UPDATE delivery SET state = 'retrying', due = ?", (tx.now + 1000,))
        tx.execute("UPDATE delivery SET state = 'parked' WHERE id = (SELECT min(id) FROM delivery)")
    before = {row["id"]: row["due"] for row in deliveries(node.spool)}
    assert node.spool.targets.wake("pacs") == 0
    changed = [row for row in deliveries(node.spool) if row["due"] != before[row["id"]]]
    assert len(changed) == 4 and {(row["target"], row["state"]) for row in changed} == {("pacs", "retrying")}
