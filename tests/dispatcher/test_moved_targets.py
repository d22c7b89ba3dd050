"""A target whose settings change while deliveries to it are half sent: another host has nothing of them yet."""

from __future__ import annotations

import pytest
from dispatcher_fakes import FAST, FixedRouting, deliveries, make_slot, receive, route, series, states

from protocol.spool.arrivals import TargetChoice
from protocol.spool.outbox import Cursor
from protocol.spool.singles import Batch
from protocol.testing.fakes import digest
from protocol.testing.images import TestImage


class Node:
    """A world with the target `pacs` at the fake `old`, and one slot."""

    def __init__(self, world):
        self.world, self.spool, self.clock = world, world.spool, world.clock
        self.routing = FixedRouting({})
        self.set()
        self.slot = make_slot(self.spool, self.routing, self.clock, world.target)

    def set(self, called_ae="OLD", **more):
        self.routing.change({"pacs": {"called_ae": called_ae, "retry": dict(FAST), **more}})

    def send(self, images, number=1):
        arrival = receive(self.spool, series(number, images))
        route(self.spool, arrival, "pacs")
        return arrival

    def run(self):
        while self.slot.run_once():
            pass
        self.clock.advance(100)

    def ask(self, delivery, act):
        self.spool.deliveries.change([delivery], act, self.spool.commands.ask(f"queue.{act}", "ann", {}))

    def got(self, name):
        return self.world.target(name).received

    @property
    def delivery(self):
        """The only one."""
        (row,) = deliveries(self.spool)
        return row


def half_sent(world, **more):
    """Two of four images are at the old place."""
    node = Node(world)
    node.set(**more)
    world.target("old").abort_at = 3
    node.send(4)
    node.run()
    assert (node.delivery["state"], node.delivery["sent"]) == ("retrying", 2)
    return node


@pytest.mark.parametrize("duplicates", ["send", "skip"])
def test_a_target_that_moved_gets_all_images_of_what_was_half_sent_to_its_old_place(world, duplicates):
    node = half_sent(world, duplicates=duplicates)
    node.set("NEW", duplicates=duplicates)
    node.run()
    assert states(node.spool) == ["delivered"]
    assert len(node.got("new")) == 4
    assert (node.delivery["sent"], node.delivery["images"]) == (4, 4)
    assert node.spool.accounting.balance() == []


def test_the_same_place_with_other_patience_gets_only_the_rest(world):
    node = half_sent(world)
    node.set("OLD", dimse_timeout_s=120.0, associations=2, concurrency=1, max_pdu=0)
    node.run()
    assert states(node.spool) == ["delivered"] and node.world.target("old").images == 4


def test_what_was_refused_at_the_old_place_is_sent_whole_to_the_new_one_when_it_is_tried_again(world):
    node = Node(world)
    images = series(1, 3)
    world.target("old").refuse[images[1].sop_uid] = 0xC000
    node.send(3)
    node.run()
    assert node.delivery["state"] == "parked"
    node.set("NEW")
    node.spool.deliveries.change([node.delivery["id"]], "retry", node.spool.commands.ask("queue.retry", "ann", {}))
    node.run()
    assert states(node.spool) == ["delivered"] and len(node.got("new")) == 3


# ---- versions -------------------------------------------------------------------------------------------------------
CORRECTED = TestImage(series=1, instance=2, content=b"corrected")


def corrected_at_the_old_place(world, begun, commitment=False):
    """Of three images that wait, or of which the first is there (`begun`), the second was corrected; that version is delivered."""
    node = Node(world)
    if begun:
        world.target("old").abort_at = 2
    else:
        world.target("old").away = True
    node.send(3)
    node.run()
    world.target("old").away = False
    waiting = node.delivery["id"]
    node.ask(waiting, "hold")
    route(node.spool, receive(node.spool, [CORRECTED]), "pacs")
    node.run()
    assert states(node.spool) == ["held", "delivered"] and CORRECTED.sop_uid in node.got("old")
    return node, waiting


@pytest.mark.parametrize("begun", [True, False])
def test_a_corrected_image_that_is_at_the_old_place_follows_its_series_to_the_new_one(world, begun):
    node, waiting = corrected_at_the_old_place(world, begun)
    node.set("NEW")
    node.ask(waiting, "release")
    node.run()
    node.run()
    assert states(node.spool) == ["delivered", "delivered"]
    assert len(node.got("new")) == 3 and node.got("new")[CORRECTED.sop_uid] == [digest(CORRECTED.dataset())]
    assert node.spool.accounting.balance() == []
    events = [one.type for one in node.spool.outbox.read(Cursor(0, 0), 1000)]
    assert events.count("delivery.begun_anew") == (2 if begun else 1)


@pytest.mark.parametrize("begun", [True, False])
def test_a_corrected_image_at_a_target_that_has_not_moved_is_sent_once(world, begun):
    node, waiting = corrected_at_the_old_place(world, begun)
    node.ask(waiting, "release")
    node.run()
    node.run()
    assert states(node.spool) == ["delivered", "delivered"]
    assert node.got("old")[CORRECTED.sop_uid][-1] == digest(CORRECTED.dataset())
    assert node.got("old")[CORRECTED.sop_uid].count(digest(CORRECTED.dataset())) == 1
    assert "delivery.begun_anew" not in [one.type for one in node.spool.outbox.read(Cursor(0, 0), 1000)]


def test_of_two_corrections_the_last_one_follows(world):
    node, waiting = corrected_at_the_old_place(world, True)
    last = TestImage(series=1, instance=2, content=b"corrected twice")
    route(node.spool, receive(node.spool, [last]), "pacs")
    node.run()
    node.set("NEW")
    node.ask(waiting, "release")
    node.run()
    node.run()
    assert states(node.spool) == ["delivered"] * 3
    assert node.got("new")[last.sop_uid] == [digest(last.dataset())] and len(node.got("new")) == 3


def test_a_correction_whose_arrival_was_deleted_does_not_come_back(world):
    node, waiting = corrected_at_the_old_place(world, True)
    (later,) = [row["arrival"] for row in deliveries(node.spool) if row["state"] == "delivered"]
    with node.spool.database.write() as tx:
        tx.execute("UPDATE arrival SET state = 'deleted' WHERE id = ?", (later,))
    node.set("NEW")
    node.ask(waiting, "release")
    node.run()
    node.run()
    assert states(node.spool) == ["delivered", "delivered"]


def move_meanwhile(node, then):
    """While the next image is sent to the old place the target moves; `then` something happens, and another slot works."""
    other = make_slot(node.spool, node.routing, node.clock, node.world.target, owner="dispatcher/0-1/test")
    old = node.world.target("old")
    store = old.store

    def moved(sop_uid, data):
        old.store = store
        node.set("NEW", concurrency=2)
        then()
        while other.run_once():
            pass
        return store(sop_uid, data)

    old.store = moved


def test_a_correction_that_is_on_its_way_to_the_old_place_when_its_series_goes_to_the_new_one_follows_it(world):
    node = Node(world)
    node.set(concurrency=2)
    node.send(3)
    waiting = node.delivery["id"]
    node.ask(waiting, "hold")
    route(node.spool, receive(node.spool, [CORRECTED]), "pacs")
    move_meanwhile(node, lambda: node.ask(waiting, "release"))
    for _ in range(3):
        node.run()
    assert states(node.spool) == ["delivered", "delivered"] and CORRECTED.sop_uid in node.got("old")
    assert len(node.got("new")) == 3 and node.got("new")[CORRECTED.sop_uid] == [digest(CORRECTED.dataset())]
    assert node.spool.accounting.balance() == []


def test_single_images_that_go_to_the_new_place_take_no_correction_of_another_image_along(world):
    node = Node(world)
    arrival = receive(node.spool, series(1, 3))
    _, _, images = node.spool.singles.unseen(arrival)
    node.spool.singles.route(Batch(arrival, 3, 1, {TargetChoice("pacs"): images[:1]}, ["ahead"]))
    waiting = node.delivery["id"]
    node.ask(waiting, "hold")
    route(node.spool, arrival, "pacs")
    node.run()
    route(node.spool, receive(node.spool, [CORRECTED]), "pacs")
    node.run()
    assert states(node.spool) == ["held", "delivered", "delivered"]
    node.set("NEW")
    node.ask(waiting, "release")
    node.run()
    node.run()
    assert states(node.spool) == ["delivered"] * 3 and list(node.got("new")) == [series(1, 1)[0].sop_uid]


def test_a_series_whose_single_image_is_on_its_way_to_the_old_place_brings_it_to_the_new_one_too(world):
    node = Node(world)
    node.set(concurrency=2)
    arrival = receive(node.spool, series(1, 3))
    _, _, images = node.spool.singles.unseen(arrival)
    node.spool.singles.route(Batch(arrival, 3, 1, {TargetChoice("pacs"): images[:1]}, ["ahead"]))
    move_meanwhile(node, lambda: route(node.spool, arrival, "pacs"))
    for _ in range(3):
        node.run()
    assert states(node.spool) == ["delivered", "delivered"]
    assert (len(node.got("old")), len(node.got("new"))) == (1, 3)
