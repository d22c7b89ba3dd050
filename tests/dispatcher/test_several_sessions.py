"""One delivery over several sessions at once: answers come in any order, and the books are right all the same."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from dispatcher_fakes import (
    FakeConnection,
    FixedRouting,
    SilentLog,
    deliveries,
    make_slot,
    receive,
    route,
    series,
    wait_for,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.targets.interface import Answer
from protocol.errors import AssociationAborted, AssociationRejected, PeerTimeout
from protocol.spool.deliveries import ImageResult
from protocol.testing.crash import Scenario, run_at_every_point
from protocol.testing.fakes import OUT_OF_RESOURCES, REFUSED, digest
from protocol.testing.world import World, worlds

RETRY = {"first_s": 1.0, "factor": 1.0, "max_s": 1.0, "max_attempts": 3}
ROUTING = FixedRouting({"a": {"retry": RETRY}})
WAIT_S = 60.0


class Wide(FakeConnection):
    """A target for several sessions; `store` may be replaced, and runs in the session's thread."""

    sessions = 3
    lock = threading.Lock()

    def open(self, images, alive):
        with self.lock:
            self.fake.connect()
        made = type(self)(self.fake, self.fs)
        made.open_now, made.script = True, getattr(self, "script", None)
        return made

    def send(self, image, following=None):
        if self.script is not None:
            self.script(image)
        with self.lock:
            return super().send(image, following)


def slot_of(world, script=None, sessions=3, **more):
    connection = Wide(world.target("a"), world.spool.fs)
    connection.script, connection.sessions = script, sessions
    return make_slot(world.spool, ROUTING, world.clock, world.target, make=lambda settings: connection, **more)


def send(world, images):
    arrival = receive(world.spool, series(1, images))
    route(world.spool, arrival, "a")
    return arrival


def number(image) -> int:
    return int(image.sop_instance_uid.split(".")[-1])


def marks(world):
    with world.spool.database.read() as connection:
        rows = connection.execute("SELECT position, state FROM delivery_image ORDER BY position").fetchall()
    return [(row["position"], row["state"]) for row in rows]


def test_every_image_goes_once_over_all_sessions(world):
    together = threading.Barrier(3, timeout=WAIT_S)  # breaks unless three send at the same time
    slot = slot_of(world, lambda image: together.wait())
    send(world, 30)
    assert slot.run_once()
    (row,) = deliveries(world.spool)
    target = world.target("a")
    assert (row["state"], row["sent"], row["progress"]) == ("delivered", 30, 30) and marks(world) == []
    assert target.associations == 3 and target.images == 30 and target.repeated == 0
    assert target.received == {image.sop_uid: [digest(image.dataset())] for image in series(1, 30)}
    assert world.spool.accounting.balance() == []


def test_a_slow_image_holds_up_no_other_and_is_marked_while_later_ones_are_recorded(world):
    seen = []

    def script(image):
        if number(image) == 1:
            step = threading.Event().wait
            wait_for(lambda: deliveries(world.spool)[0]["progress"] >= 150, WAIT_S, step)
            seen.append(marks(world))

    slot = slot_of(world, script, sessions=2)
    send(world, 200)
    slot.run_once()
    # This image, the one its session has as its next, and one of the other session.
    assert (1, "again") in seen[0] and len(seen[0]) <= 3
    assert deliveries(world.spool)[0]["state"] == "delivered" and marks(world) == []


def test_after_a_death_only_what_was_not_recorded_goes_again(world):
    route(world.spool, receive(world.spool, series(1, 10)), "a")
    claim = world.spool.deliveries.claim("dead", {"a": 1}, world.clock.now())
    by_position = {image.position: image for image in claim.images}
    answered = [4, 1, 6]
    world.spool.deliveries.confirm(
        claim,
        [ImageResult(n, by_position[n].file.receipt, 0, True) for n in answered],
        [by_position[n] for n in (2, 3, 5, 7)],
    )
    world.spool.deliveries.reap("dead")
    again = world.spool.deliveries.claim("next", {"a": 1}, world.clock.now())
    assert [image.position for image in again.images] == [2, 3, 5, 7, 8, 9, 10]
    world.spool.deliveries.confirm(again, [ImageResult(i.position, i.file.receipt, 0, True) for i in again.images])
    world.spool.deliveries.complete(again)
    assert marks(world) == [] and deliveries(world.spool)[0]["sent"] == 10


def test_a_target_that_takes_fewer_associations_still_gets_everything(world):
    target = world.target("a")
    connect = target.connect

    def only_one():
        if target.associations:
            raise AssociationRejected("local limit exceeded")
        connect()

    target.connect = only_one
    slot = slot_of(world)
    send(world, 20)
    slot.run_once()
    assert deliveries(world.spool)[0]["state"] == "delivered" and target.associations == 1 and target.images == 20


def test_an_association_that_never_comes_about_is_not_waited_for(world):
    target = world.target("a")
    connect, never, opened = target.connect, threading.Event(), []

    def second_hangs():
        opened.append(1)
        if len(opened) > 1:
            target_lock_free.release()
            never.wait(WAIT_S)
        connect()

    target_lock_free = threading.Semaphore(0)
    target.connect = second_hangs

    class Unlocked(Wide):
        def open(self, images, alive):
            self.fake.connect()
            made = Unlocked(self.fake, self.fs)
            made.open_now, made.script = True, None
            ended.append(made)
            return made

    ended: list[Unlocked] = []
    connection = Unlocked(target, world.spool.fs)
    connection.sessions = 2
    slot = make_slot(world.spool, ROUTING, world.clock, world.target, make=lambda settings: connection)
    send(world, 20)
    slot.run_once()
    assert deliveries(world.spool)[0]["state"] == "delivered" and not never.is_set()
    line = [thread for thread in threading.enumerate() if thread.name.startswith("line-")]
    never.set()
    for thread in line:
        thread.join(WAIT_S)
    assert len(ended) == 2 and not ended[1].open_now, "it came too late and was closed"


def test_none_at_all_is_a_failed_attempt(world):
    world.target("a").away = True
    slot = slot_of(world)
    send(world, 5)
    slot.run_once()
    (row,) = deliveries(world.spool)
    assert (row["state"], row["error"]) == ("retrying", "a is away")


def test_all_images_at_which_sessions_broke_go_last_and_the_error_names_its_own(world):
    both, first, others = threading.Barrier(2, timeout=WAIT_S), [], []

    def script(image):
        if number(image) == 1:
            first.append(threading.current_thread())
            both.wait()
            raise AssociationAborted("it died of this image")
        others.append(number(image))
        both.wait()
        first[0].join(WAIT_S)
        raise PeerTimeout("it was dead by then")

    send(world, 10)
    assert slot_of(world, script, sessions=2).run_once()
    (row,) = deliveries(world.spool)
    assert (row["state"], row["error"]) == ("retrying", "it died of this image (image 1 of the arrival)")
    world.clock.advance(2)
    claim = world.spool.deliveries.claim("next", {"a": 1}, world.clock.now())
    assert [image.position for image in claim.images][-2:] == [1, *others]


def test_an_orderly_stop_lets_each_session_finish_its_image(world):
    stop, inside = threading.Event(), threading.Barrier(4, timeout=WAIT_S)
    calls = []

    def script(image):
        calls.append(number(image))
        if len(calls) <= 3:
            inside.wait()
            assert stop.wait(WAIT_S)

    def stopping():
        if len(calls) == 3 and not stop.is_set():
            inside.wait()
            stopping.asked = True
        if stopping.asked and not stop.is_set():
            threading.Timer(0.05, stop.set).start()
        return stopping.asked

    stopping.asked = False
    slot = slot_of(world, script, stopping=stopping)
    send(world, 30)
    slot.run_once()
    (row,) = deliveries(world.spool)
    assert (row["state"], row["attempts"]) == ("waiting", 0) and 3 <= row["sent"] <= 6
    slot_of(world).run_once()
    assert deliveries(world.spool)[0]["state"] == "delivered" and world.target("a").repeated == 0


def test_who_lost_the_delivery_stops_all_sessions(world):
    log = SilentLog()

    def script(image):
        if number(image) == 5:
            world.spool.deliveries.reap("dispatcher/0-0/test")

    slot = slot_of(world, script, log=log)
    send(world, 300)
    assert slot.run_once() and "delivery_lost" in log.actions()
    assert world.target("a").images < 300 and deliveries(world.spool)[0]["state"] == "waiting"


FAULTS = st.sampled_from([*["ok"] * 6, "warning", "refused", "full", "abort", "abort kept", "hang", "bug"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=st.lists(FAULTS, max_size=40), images=st.integers(1, 12), sessions=st.integers(2, 4))
def test_whatever_several_sessions_meet_the_books_say_what_the_target_said(tmp_path_factory, faults, images, sessions):
    world = World(tmp_path_factory.mktemp("world"))
    left, told, lock = list(faults), {}, threading.Lock()

    class Moody(Wide):
        def send(self, image, following=None):
            with lock:
                fault = left.pop() if left else "ok"
                if fault in ("ok", "warning", "abort kept"):
                    FakeConnection.send(self, image)
                if fault.startswith("abort"):
                    raise AssociationAborted("aborted")
                if fault == "hang":
                    raise PeerTimeout("hangs")
                if fault == "bug":
                    raise ValueError("bug")
                status = {"ok": 0, "warning": 0xB000, "refused": REFUSED, "full": OUT_OF_RESOURCES}[fault]
                told[image.sop_instance_uid] = status
                return Answer(status, fault in ("ok", "warning"), fault, retryable=fault == "full")

    try:
        target, connection = world.target("a"), Moody(world.target("a"), world.spool.fs)
        connection.sessions = sessions
        slot = make_slot(world.spool, ROUTING, world.clock, world.target, make=lambda settings: connection)
        send(world, images)
        for _ in range(30):
            if not slot.run_once():
                world.clock.advance(2)
        (row,) = deliveries(world.spool)
        assert row["state"] in ("delivered", "parked")
        expected = {image.sop_uid: digest(image.dataset()) for image in series(1, images)}
        assert all(expected[uid] == got for uid, copies in target.received.items() for got in copies)
        has = {uid for uid, status in told.items() if status in (0, 0xB000)}
        assert row["sent"] == len(has) and row["refused"] == sum(status == REFUSED for status in told.values())
        states = Counter(state for _, state in marks(world))
        assert states["warning"] == sum(status == 0xB000 for status in told.values())
        if row["state"] == "delivered":
            assert has == set(expected) and not states["again"]
        assert world.spool.accounting.balance() == []
    finally:
        world.close()


# ---- deaths ----------------------------------------------------------------------------------------------------------
def prepare(world):
    """One series of 6 images for a target that aborts once and refuses one image for good."""
    route(world.spool, receive(world.spool, series(1, 6)), "a")
    world.target("a").abort_at = 2
    world.target("a").refuse = {series(1, 6)[3].sop_uid: REFUSED}


def work(world, name):
    owner = world.spool.workers.enter("dispatcher", name).owner
    slot = slot_of(world, sessions=2, owner=owner)
    for _ in range(20):
        if not slot.run_once():
            world.clock.advance(1.1)


def check(world):
    for owner in world.spool.workers.dead("dispatcher"):
        world.spool.deliveries.reap(owner)
    work(world, "0-1")
    (row,) = deliveries(world.spool)
    target, images = world.target("a"), series(1, 6)
    assert (row["state"], row["sent"], row["refused"]) == ("parked", 5, 1)
    assert [state for _, state in marks(world)] == ["refused"]
    assert {uid: set(got) for uid, got in target.received.items()} == {
        image.sop_uid: {digest(image.dataset())} for number, image in enumerate(images) if number != 3
    }
    assert world.spool.accounting.balance() == []


@pytest.mark.parametrize("power", [False, True])
def test_a_slot_that_dies_at_any_effect_is_continued_and_nothing_is_lost(tmp_path, power, monkeypatch):
    # By number alone: with the time of a busy machine the steps would not be the same each time.
    monkeypatch.setattr("actors.dispatcher.attempt.GROUP_S", 1e9)
    scenario = Scenario(
        "deliver over two", worlds(tmp_path), lambda world: work(world, "0-0"), check, prepare, in_order=False
    )
    assert run_at_every_point(scenario, power=power, every=5 if power else 2) > 10
