"""What may keep back every image, such as a right that is missing: it is found out by sending the others."""

from __future__ import annotations

import threading

import pytest
from dispatcher_fakes import FAST, FakeConnection, FixedRouting, deliveries, make_slot, receive, route, series

from actors.dicom import statuses
from actors.dispatcher.attempt import MOST_ALIKE, Attempt
from actors.targets.interface import Answer
from protocol.causes import Cause

DENIED = Answer(statuses.NOT_AUTHORISED, False, "not permitted", cause=Cause.NOT_PERMITTED, everywhere=True)


class Rights(FakeConnection):
    """A target that permits some images only; `denied` are SOP instance UIDs."""

    def __init__(self, fake, fs, denied):
        super().__init__(fake, fs)
        self.denied, self.asked = denied, 0

    def send(self, image, following=None):
        self.asked += 1
        return DENIED if image.sop_instance_uid in self.denied else super().send(image, following)


class Node:
    def __init__(self, world, images, denied=(), **more):
        self.world, self.spool, self.images = world, world.spool, series(1, images)
        self.denied = {self.images[number - 1].sop_uid for number in denied}
        self.routing = FixedRouting({"a": {"retry": dict(FAST)}})
        self.made = []
        self.slot = make_slot(self.spool, self.routing, world.clock, world.target, make=self.make)
        route(self.spool, receive(self.spool, self.images), "a")

    def make(self, settings):
        self.made.append(Rights(self.world.target("a"), self.spool.fs, self.denied))
        return self.made[-1]

    def run(self):
        while self.slot.run_once():
            pass

    def retry(self):
        self.world.clock.advance(100)
        self.spool.deliveries.change([self.row["id"]], "retry", self.spool.commands.ask("queue.retry", "ann", {}))
        self.run()

    @property
    def row(self):
        (row,) = deliveries(self.spool)
        return row

    @property
    def got(self):
        return self.world.target("a").images


@pytest.mark.parametrize("number", [1, 2, 4])
def test_one_image_that_is_not_permitted_is_named_and_all_others_arrive(world, number):
    node = Node(world, 4, [number])
    node.run()
    assert (node.row["state"], node.got, node.row["refused"]) == ("parked", 3, 1)
    assert f"image {number} of the arrival" in node.row["error"] and node.row["cause"] == Cause.NOT_PERMITTED
    assert node.spool.targets.all()["a"].breaker == "closed"
    node.retry()  # alone, it says nothing of the target either
    assert (node.row["state"], node.got) == ("parked", 3) and node.spool.targets.all()["a"].breaker == "closed"
    node.denied.clear()
    node.retry()
    assert (node.row["state"], node.got) == ("delivered", 4) and node.spool.accounting.balance() == []


def test_where_nothing_is_permitted_few_are_tried_and_the_target_is_left_alone(world):
    node = Node(world, 100, range(1, 101))
    node.run()
    assert (node.row["state"], node.row["refused"], node.made[0].asked) == ("parked", 0, MOST_ALIKE)
    assert "image 1 of the arrival and 19 more" in node.row["error"]
    assert node.spool.targets.all()["a"].breaker == "open"
    node.denied.clear()
    node.retry()
    assert (node.row["state"], node.got) == ("delivered", 100)


def test_a_short_delivery_of_which_nothing_is_permitted_refuses_no_image_by_itself(world):
    node = Node(world, 3, [1, 2, 3])
    node.run()
    assert (node.row["state"], node.row["refused"]) == ("parked", 0)
    assert node.spool.targets.all()["a"].breaker == "open"


def test_rights_that_end_in_the_middle_end_the_attempt(world):
    node = Node(world, 100, range(11, 101))
    node.run()
    assert (node.row["state"], node.got, node.made[0].asked) == ("parked", 10, 10 + MOST_ALIKE)
    node.denied.clear()
    node.retry()
    assert (node.row["state"], node.got, node.row["sent"]) == ("delivered", 100, 100)


def test_a_connection_that_breaks_before_others_were_tried_tells_nothing_and_all_are_sent_again(world):
    node = Node(world, 4, [1])
    world.target("a").abort_at = 1  # that is the second image
    node.run()
    assert (node.row["state"], node.row["refused"]) == ("retrying", 0)
    world.clock.advance(100)
    node.run()
    assert (node.row["state"], node.row["refused"]) == ("parked", 1)
    assert set(world.target("a").received) == {image.sop_uid for image in node.images[1:]}


def test_more_that_are_not_permitted_than_are_tried_in_a_row_let_the_others_by_when_it_is_tried_again(world):
    node = Node(world, 40, range(1, 26))
    node.run()
    assert (node.row["state"], node.got) == ("parked", 0)
    node.retry()
    assert (node.row["state"], node.got) == ("parked", 15) and "not permitted" in node.row["error"]
    node.denied.clear()
    node.retry()
    assert (node.row["state"], node.got, node.row["sent"]) == ("delivered", 40, 40)
    assert node.spool.accounting.balance() == []


def test_an_image_that_another_session_gets_through_just_after_so_many_in_a_row_costs_no_try_and_sends_nothing_twice(
    world, monkeypatch
):
    node = Node(world, 100, range(2, 23))
    enough, ending = threading.Event(), Attempt._ending

    def noted(attempt):
        if len(attempt._doubted) >= MOST_ALIKE:
            enough.set()
        return ending(attempt)

    class Two(Rights):
        sessions = 2
        lock = threading.Lock()

        def send(self, image, following=None):
            if image.sop_instance_uid not in self.denied:
                assert enough.wait(30)
            with self.lock:
                return super().send(image, following)

    monkeypatch.setattr(Attempt, "_ending", noted)
    made = []
    make = lambda settings: made.append(Two(world.target("a"), node.spool.fs, node.denied)) or made[-1]  # noqa: E731
    node.slot = make_slot(node.spool, node.routing, world.clock, world.target, make=make)
    assert node.slot.run_once() and (node.row["state"], node.row["attempts"]) == ("waiting", 0)
    node.run()
    assert (node.row["state"], node.row["refused"], node.got) == ("parked", 21, 79)
    assert sum(one.asked for one in made) == 100 and node.spool.targets.all()["a"].breaker == "closed"
