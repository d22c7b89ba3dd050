"""What a slot makes of a delivery, with targets that do what they are told; in process, on the simulated disk."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dispatcher_fakes import (
    FAST,
    FakeConnection,
    FixedRouting,
    SilentLog,
    deliveries,
    make_slot,
    receive,
    route,
    series,
    states,
)

from protocol.errors import AssociationRejected, NetworkError, TargetBusy, TargetUnreachable
from protocol.routing.syntaxes import name_of
from protocol.spool.deliveries import ImageResult
from protocol.states import Priority
from protocol.testing.fakes import OUT_OF_RESOURCES, REFUSED, digest

JPEG_LS = "1.2.840.10008.1.2.4.80"


class Node:
    """A world with routing to targets of these names and one slot."""

    def __init__(self, world, *names, retry=FAST, **more):
        self.world, self.spool, self.clock = world, world.spool, world.clock
        self.routing = FixedRouting({name: {"retry": dict(retry)} for name in names})
        self.log = SilentLog()
        self.slot = make_slot(self.spool, self.routing, self.clock, world.target, log=self.log, **more)

    def send(self, *targets, images=3, number=1, **more):
        arrival = receive(self.spool, series(number, images))
        route(self.spool, arrival, *targets, **more)
        return arrival

    def run(self):
        """Until nothing is due; how many attempts."""
        count = 0
        while self.slot.run_once():
            count += 1
            assert count < 1000
        return count

    @property
    def delivery(self):
        (row,) = deliveries(self.spool)
        return row


def events(spool, kind):
    head = spool.outbox.head()
    return [event.data for event in spool.outbox.read(head._replace(seq=0)) if event.type == kind]


def test_each_image_arrives_once_bit_by_bit_and_the_delivery_is_complete(world):
    node = Node(world, "a")
    node.send("a", images=5)
    assert node.run() == 1 and states(node.spool) == ["delivered"]
    expected = {image.sop_uid: [digest(image.dataset())] for image in series(1, 5)}
    assert world.target("a").received == expected and world.target("a").associations == 1
    assert node.spool.accounting.balance() == []


def test_images_that_were_changed_on_their_way_are_counted_and_told_by_what_they_became(world):
    class Changing(FakeConnection):
        def send(self, image, following=None):
            answer = super().send(image, following)
            return replace(answer, syntax=JPEG_LS) if self.fake.images % 2 else answer

    node = Node(world, "a", make=lambda settings: Changing(world.target("a"), world.spool.fs))
    node.send("a", images=5)
    node.run()
    assert (node.delivery["state"], node.delivery["sent"], node.delivery["transcoded"]) == ("delivered", 5, 3)
    told = [values for action, values in node.log.lines if action == "images_transcoded"]
    assert [(one["images"], one["to"]) for one in told] == [(3, name_of(JPEG_LS))]


def test_answers_are_recorded_in_groups_also_after_one_that_was_long_in_coming(world):
    class Slow(FakeConnection):
        def send(self, image, following=None):
            if not self.fake.images:
                world.clock.advance(1)
            return super().send(image, following)

    node = Node(world, "a", make=lambda settings: Slow(world.target("a"), world.spool.fs))
    node.send("a", images=5)
    node.run()
    assert [len(one["images"]) for one in events(node.spool, "delivery.images.sent")] == [1, 4]


@pytest.mark.parametrize("bad", [[0], [2], [4], [1, 2]])
def test_images_at_which_the_target_aborts_do_not_keep_the_others_from_it(world, bad):
    node = Node(world, "a", retry={**FAST, "max_attempts": 4})
    node.send("a", images=5)
    images = [image.sop_uid for image in series(1, 5)]
    world.target("a").chokes = {images[at] for at in bad}
    for _ in range(20):
        node.run()
        node.clock.advance(2)
    assert world.target("a").images == 5 - len(bad) and world.target("a").repeated == 0
    assert node.delivery["state"] == "parked" and "(image " in node.delivery["error"]
    assert any(f"(image {at + 1} of the arrival)" in node.delivery["error"] for at in bad)
    world.target("a").chokes.clear()  # mended
    command = node.spool.commands.ask("queue.retry", "tester", {"ids": [node.delivery["id"]]})
    node.spool.deliveries.change([node.delivery["id"]], "retry", command)
    node.run()
    assert world.target("a").images == 5 and node.delivery["state"] == "delivered"
    assert node.spool.accounting.balance() == []


def at_two_and_three(target, error):
    """These images of a series of five are answered so, each time, until what is returned is called."""
    images = [image.sop_uid for image in series(1, 5)][1:3]
    if isinstance(error, int):
        target.refuse = dict.fromkeys(images, error)
        return target.refuse.clear
    store = target.store

    def bad(uid, data):
        if uid in images:
            raise error
        return store(uid, data)

    target.store = bad
    return images.clear


BAD_FOR_NOW = [
    0x0110, OUT_OF_RESOURCES, NetworkError("HTTP 504"), TargetUnreachable("no room for it"), TargetBusy("HTTP 503", 0.0),
]  # fmt: skip


@pytest.mark.parametrize("error", BAD_FOR_NOW, ids=str)
def test_images_that_are_refused_for_now_again_and_again_do_not_keep_the_others_from_the_target(world, error):
    node = Node(world, "a", retry={**FAST, "max_attempts": 4})
    target = world.target("a")
    mend = at_two_and_three(target, error)
    node.send("a", images=5)
    for _ in range(30):
        node.run()
        node.clock.advance(70)
    assert target.images == 3 and target.repeated == 0 and node.delivery["state"] == "parked"
    named = any(f"(image {at} of the arrival)" in node.delivery["error"] for at in (2, 3))
    assert named is not isinstance(error, TargetBusy), "who is busy means no image"
    mend()
    command = node.spool.commands.ask("queue.retry", "tester", {"ids": [node.delivery["id"]]})
    node.spool.deliveries.change([node.delivery["id"]], "retry", command)
    node.run()
    assert target.images == 5 and target.repeated == 0 and node.delivery["state"] == "delivered"
    assert node.spool.accounting.balance() == []


def test_an_image_at_which_the_target_aborts_goes_last_when_a_person_has_the_parked_delivery_tried_again(world):
    node = Node(world, "a", retry={**FAST, "max_attempts": 1})
    node.send("a", images=3)
    world.target("a").chokes = {series(1, 3)[0].sop_uid}
    node.run()
    assert node.delivery["state"] == "parked" and world.target("a").images == 0
    command = node.spool.commands.ask("queue.retry", "tester", {"ids": [node.delivery["id"]]})
    node.spool.deliveries.change([node.delivery["id"]], "retry", command)
    node.run()
    assert world.target("a").images == 2


def test_a_target_that_ends_each_association_early_gets_everything_without_ever_longer_waits(world):
    node = Node(world, "a", retry={"first_s": 1.0, "factor": 10.0, "max_s": 10_000.0, "max_attempts": 3})
    node.send("a", images=20)
    began = node.clock.now()
    while node.delivery["state"] not in ("delivered", "parked"):
        world.target("a").abort_at = 2
        node.run()
        node.clock.advance(1)
    assert node.delivery["state"] == "delivered" and world.target("a").images == 20
    assert node.clock.now() - began < 20 * 3


def test_answers_are_recorded_in_groups_of_64_and_at_the_end(world):
    node = Node(world, "a")
    node.send("a", images=130)
    node.run()
    assert [len(told["images"]) for told in events(node.spool, "delivery.images.sent")] == [64, 64, 2]


def test_a_slow_target_is_recorded_image_by_image(world):
    node = Node(world, "a")
    target = world.target("a")
    store = target.store
    target.store = lambda *image: (node.clock.advance(0.2), store(*image))[1]
    node.send("a", images=3)
    node.run()
    assert [len(told["images"]) for told in events(node.spool, "delivery.images.sent")] == [1, 1, 1]


def test_a_target_that_is_away_is_retried_with_growing_waits_and_then_parked(world):
    node = Node(world, "a", retry={"first_s": 10.0, "factor": 2.0, "max_s": 3600.0, "max_attempts": 4})
    world.target("a").away = True
    node.send("a")
    waits = []
    while node.run() and node.delivery["state"] == "retrying":
        waits.append(node.delivery["due"] - node.clock.now())
        assert node.run() == 0, "not before it is due"
        node.clock.advance(waits[-1])
    assert [round(wait / 10) for wait in waits] == [1, 2, 4]
    assert node.delivery["state"] == "parked" and node.delivery["error"] == "a is away"
    failed = events(node.spool, "delivery.attempt.failed")
    assert [event["retry_at"] > 0 for event in failed] == [True, True, True, False]


def test_a_person_brings_a_parked_delivery_through(world):
    node = Node(world, "a", retry={**FAST, "max_attempts": 1})
    world.target("a").away = True
    node.send("a")
    node.run()
    assert node.delivery["state"] == "parked"
    world.target("a").away = False
    command = node.spool.commands.ask("queue.retry", "test", {})
    node.spool.deliveries.change([node.delivery["id"]], "retry", command)
    assert node.run() == 1 and node.delivery["state"] == "delivered"


def test_a_rejection_for_good_parks_at_once(world):
    node = Node(world, "a")

    def refuse():
        raise AssociationRejected("a does not know us", retryable=False)

    world.target("a").connect = refuse
    node.send("a")
    node.run()
    assert (node.delivery["state"], node.delivery["error"]) == ("parked", "a does not know us")


@pytest.mark.parametrize("sent_before", [0, 2])
def test_a_target_that_asks_to_be_left_alone_is_left_alone_for_so_long(world, sent_before):
    node = Node(world, "a", retry={"first_s": 1.0, "factor": 2.0, "max_s": 4.0})
    target = world.target("a")
    store = target.store

    def busy(*image):
        if target.images == sent_before:
            raise TargetBusy("HTTP 503: the server is busy", 300.0)
        return store(*image)

    target.store = busy
    node.send("a", images=3)
    node.send("a", images=3, number=2)
    assert node.run() == 1, "the other delivery is not even tried"
    assert sorted(states(node.spool)) == ["retrying", "waiting"]
    node.clock.advance(299.0)
    assert node.run() == 0
    target.store = store
    node.clock.advance(1.0)
    node.run()
    assert set(states(node.spool)) == {"delivered"}


def test_refused_images_park_with_their_reason_after_the_rest_was_sent_and_a_retry_sends_only_them(world):
    node = Node(world, "a")
    images = series(1, 5)
    target = world.target("a")
    target.refuse = {images[1].sop_uid: REFUSED, images[3].sop_uid: REFUSED}
    node.send("a", images=5)
    node.run()
    assert target.images == 3 and node.delivery["state"] == "parked"
    assert node.delivery["error"] == "2 images refused: C000 cannot understand (2)"
    target.refuse = {}
    command = node.spool.commands.ask("queue.retry", "test", {})
    node.spool.deliveries.change([node.delivery["id"]], "retry", command)
    node.run()
    assert node.delivery["state"] == "delivered" and target.images == 5 and target.repeated == 0


def test_the_free_text_of_a_target_is_never_logged_nor_in_a_reason(world):
    node = Node(world, "a")
    world.target("a").refuse = {series(1, 1)[0].sop_uid: REFUSED}
    node.send("a", images=1)
    node.run()
    assert node.log.lines and "free text" not in str(node.log.lines) + node.delivery["error"]


def test_images_refused_in_an_earlier_attempt_still_park_the_delivery(world):
    node = Node(world, "a")
    target, images = world.target("a"), series(1, 4)
    target.refuse = {images[0].sop_uid: REFUSED}
    target.hang_at = 3
    node.send("a", images=4)
    node.run()
    assert node.delivery["state"] == "retrying"
    node.clock.advance(2)
    node.run()
    assert node.delivery["state"] == "parked" and "1 image refused" in node.delivery["error"]
    assert node.delivery["cause"] == "images_refused"


def test_a_target_out_of_resources_is_tried_again_with_what_it_has_not_taken(world):
    node = Node(world, "a")
    target, images = world.target("a"), series(1, 4)
    target.refuse = {images[2].sop_uid: OUT_OF_RESOURCES}
    node.send("a", images=4)
    node.run()
    assert node.delivery["state"] == "retrying" and target.images == 2
    assert node.delivery["error"].startswith("A700 refused: out of resources")
    target.refuse = {}
    node.clock.advance(2)
    node.run()
    assert node.delivery["state"] == "delivered" and target.repeated == 0 and target.images == 4


@pytest.mark.parametrize("status", [0x0111, 0xB000, 0xB006, 0xB007])
def test_warnings_and_already_there_count_as_delivered(world, status):
    node = Node(world, "a")
    world.target("a").refuse = {series(1, 1)[0].sop_uid: status}
    node.send("a", images=2)
    node.run()
    assert (node.delivery["state"], node.delivery["warnings"]) == ("delivered", 1)


@pytest.mark.parametrize("fault", ["hang_at", "abort_at"])
def test_after_a_broken_association_it_goes_on_at_the_first_image_without_an_answer(world, fault):
    node = Node(world, "a")
    target = world.target("a")
    setattr(target, fault, 3)
    node.send("a", images=5)
    node.run()
    assert node.delivery["state"] == "retrying" and node.delivery["progress"] == 2
    node.clock.advance(2)
    node.run()
    assert node.delivery["state"] == "delivered" and target.images == 5
    assert target.repeated == (1 if fault == "abort_at" else 0), "only the image without an answer goes twice"


def test_a_dead_target_does_not_delay_the_others(world):
    node = Node(world, "a", "b")
    world.target("a").away = True
    for number in range(20):
        node.send("a", "b", number=number + 1)
    node.run()
    assert world.target("b").images == 60 and world.target("a").images == 0


def test_a_thousand_deliveries_do_not_each_try_a_dead_target(world):
    node = Node(world, "a", retry={"first_s": 10.0})
    tries = []
    target = world.target("a")
    target.away = True
    connect = target.connect
    target.connect = lambda: (tries.append(1), connect())
    for number in range(50):
        node.send("a", number=number + 1, images=1)
    node.run()
    assert len(tries) == 1
    node.clock.advance(11)
    node.run()
    assert len(tries) == 2
    target.away = False
    node.clock.advance(60)
    node.run()
    assert states(node.spool).count("delivered") == 50


def test_the_first_answer_lets_deliveries_go_in_numbers_again(world):
    node = Node(world, "a")
    target = world.target("a")
    target.away = True
    node.send("a", images=2)
    node.run()
    target.away = False
    node.clock.advance(2)
    seen = []
    store = target.store
    target.store = lambda *image: (seen.append(node.spool.targets.all()["a"].not_before), store(*image))[1]
    node.run()
    assert seen[0] > 0 and seen[1] == 0


def test_targets_take_turns(world):
    node = Node(world, "a", "b")
    for number in range(3):
        node.send("a", "b", number=number + 1, images=1)
    order = []
    for name in "ab":
        target = world.target(name)
        target.connect = lambda name=name: order.append(name)
    node.run()
    assert "".join(order) in ("ababab", "bababa")


def test_urgent_deliveries_go_first_then_normal_then_offpeak(world):
    node = Node(world, "a")
    wanted = [Priority.OFFPEAK, Priority.NORMAL, Priority.URGENT, Priority.NORMAL]
    for number, priority in enumerate(wanted):
        node.send("a", number=number + 1, images=1, priority=priority)
    node.run()
    order = [uid.split(".")[-2] for uid in world.target("a").received]
    assert order == ["3", "2", "4", "1"]


def test_a_target_that_is_not_configured_is_not_claimed(world):
    node = Node(world, "b")
    node.send("a")
    assert node.run() == 0 and node.delivery["state"] == "waiting"


def test_an_orderly_stop_finishes_the_image_and_gives_the_rest_back_without_using_up_an_attempt(world):
    target = world.target("a")
    node = Node(world, "a", stopping=lambda: target.images >= 2)
    node.send("a", images=5)
    assert node.slot.run_once()
    assert (node.delivery["state"], node.delivery["progress"], node.delivery["attempts"]) == ("waiting", 2, 0)
    Node(world, "a").run()
    assert node.delivery["state"] == "delivered" and target.images == 5 and target.repeated == 0


def test_all_images_confirmed_before_a_death_need_no_connection(world):
    node = Node(world, "a")
    node.send("a", images=2)
    claim = node.spool.deliveries.claim("dead", {"a": 1}, node.clock.now())
    node.spool.deliveries.confirm(claim, [ImageResult(i.position, i.file.receipt, 0, True) for i in claim.images])
    node.spool.deliveries.reap("dead")
    world.target("a").away = True
    node.run()
    assert node.delivery["state"] == "delivered"


def test_who_was_reaped_meanwhile_changes_nothing_and_goes_on(world):
    node = Node(world, "a")
    first = node.send("a", images=2)
    target = world.target("a")
    connect = target.connect

    def robbed():
        connect()
        target.connect = connect
        node.spool.deliveries.reap("dispatcher/0-0/test")

    target.connect = robbed
    assert node.slot.run_once()
    assert node.delivery["state"] == "waiting" and "delivery_lost" in node.log.actions()
    node.run()
    assert node.spool.arrivals.get(first)["state"] == "delivered"


def test_a_fault_of_ours_in_a_target_is_a_failed_attempt_not_the_end(world):
    node = Node(world, "a", "b")

    class Broken(FakeConnection):
        def send(self, image, following=None):
            raise ValueError("quotes a patient")

    node.slot._make = lambda settings: (Broken if settings.called_ae == "A" else FakeConnection)(
        world.target(settings.called_ae.lower()), node.spool.fs
    )
    node.send("a", "b")
    node.run()
    assert sorted(states(node.spool)) == ["delivered", "retrying"]
    (row,) = node.spool.deliveries.list(states=["retrying"])
    assert "ValueError" in row["error"] and "patient" not in row["error"]


def test_new_settings_of_a_target_are_used_for_the_next_attempt(world):
    node = Node(world, "a")
    world.target("old").away = True
    node.routing.change({"a": {"called_ae": "OLD", "retry": FAST}})
    node.send("a")
    node.run()
    node.routing.change({"a": {"called_ae": "NEW", "retry": FAST}})
    node.clock.advance(2)
    node.run()
    assert world.target("new").images == 3 and node.delivery["state"] == "delivered"


def test_a_targets_bandwidth_cap_is_that_of_the_settings_at_each_delivery_and_one_for_all_slots(world):
    made = []

    def make(settings):
        made.append(FakeConnection(world.target(settings.called_ae.lower()), world.spool.fs))
        return made[-1]

    node = Node(world, "a", make=make)
    for number, more in enumerate([{}, {"bandwidth_mbit_s": 8.0}, {"bandwidth_mbit_s": 80.0}]):
        node.routing.change({"a": {"retry": FAST, **more}})
        node.send("a", number=number)
        assert node.run() == 1
    free, slow, faster = (connection.pace for connection in made)
    assert free is None and (slow.piece, faster.piece) == (100_000, 1_000_000)
    slow.take(10_000_000)
    assert faster.take(1) > 0, "they keep one account"


def test_debug_lines_tell_the_steps_of_an_attempt_without_the_words_of_the_peer(world):
    node, steps = Node(world, "a"), []
    node.log.debug = lambda action, **values: steps.append((action, values))
    world.target("a").refuse = {series(1, 2)[1].sop_uid: REFUSED}
    node.send("a", images=2)
    node.run()
    names = [name for name, _ in steps]
    assert names == ["attempt_begun", "session_open", "image_answered", "image_answered", "attempt_over"]
    assert all(values["target"] == "a" and values["delivery"] == node.delivery["id"] for _, values in steps)
    assert [values["sop_instance"] for name, values in steps if name == "image_answered"] == [
        image.sop_uid for image in series(1, 2)
    ]
    assert [values["status"] for name, values in steps if name == "image_answered"] == ["0000", "C000"]
    assert "cannot understand" not in str(steps)
