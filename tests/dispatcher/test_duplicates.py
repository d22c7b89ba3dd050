"""A target that skips duplicates gets each version of an image once in a row, and never keeps an older one for a newer."""

from __future__ import annotations

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
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from protocol.errors import AssociationAborted
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.deliveries import ImageResult
from protocol.testing.crash import Scenario, moments_of_one, run_at_every_point
from protocol.testing.fakes import REFUSED, digest
from protocol.testing.images import TestImage
from protocol.testing.world import World, worlds

SKIP = {"retry": FAST, "duplicates": "skip"}


class Node:
    def __init__(self, world, targets=None, owner="dispatcher/0-0/test", **more):
        self.world, self.spool, self.clock, self.log = world, world.spool, world.clock, SilentLog()
        self.routing = FixedRouting(targets or {"a": SKIP})
        self.slot = make_slot(self.spool, self.routing, self.clock, world.target, owner=owner, log=self.log, **more)
        self.senders = 0

    def send(self, images, *targets, sender=None):
        """Each time by another sender, so that the receiver takes it for no duplicate."""
        self.senders += 1
        arrival = receive(self.spool, images, sender or f"CT{self.senders}")
        route(self.spool, arrival, *(targets or ("a",)))
        return arrival

    def run(self):
        while self.slot.run_once():
            pass

    @property
    def last(self):
        return deliveries(self.spool)[-1]


def events(spool, kind):
    return [event.data for event in spool.outbox.read(spool.outbox.head()._replace(seq=0)) if event.type == kind]


def version(content: bytes) -> list[TestImage]:
    return [TestImage(series=1, instance=1, content=content)]


def test_what_a_target_was_sent_before_is_not_sent_again_and_counts_as_sent(world):
    node = Node(world)
    node.send(series(1, 3))
    node.run()
    first = node.last["id"]
    arrival = node.send(series(1, 5))
    node.run()
    target = world.target("a")
    assert target.images == 5 and target.repeated == 0
    row = node.last
    assert (row["state"], row["sent"], row["skipped"], row["images"]) == ("delivered", 5, 3, 5)
    (told,) = events(node.spool, "delivery.images.skipped")
    assert told["delivery"] == row["id"] and [before for _, before in told["images"]] == [first] * 3
    assert node.spool.arrivals.story(arrival)["deliveries"][0]["skipped"] == 3
    assert node.spool.accounting.balance() == [] and "images_skipped" in node.log.actions()


def test_a_series_that_is_there_whole_needs_no_connection_and_says_nothing_of_the_target(world):
    node = Node(world)
    node.send(series(1, 3))
    node.run()
    world.target("a").away = True
    node.spool.targets.leave_alone("a", node.clock.now())
    node.send(series(1, 3))
    node.run()
    assert states(node.spool) == ["delivered"] * 2 and world.target("a").associations == 1
    assert node.spool.targets.all()["a"].breaker != "closed", "nobody has asked it"


def test_without_the_setting_everything_is_sent_again(world):
    node = Node(world, {"a": {"retry": FAST}})
    for _ in range(2):
        node.send(series(1, 3))
        node.run()
    assert world.target("a").repeated == 3


def test_another_version_in_between_is_sent_and_the_first_one_after_it_again(world):
    node = Node(world)
    for content in (b"A1", b"A1", b"B2", b"A1", b"A1"):
        node.send(version(content))
        node.run()
    (got,) = world.target("a").received.values()
    assert got == [digest(version(content)[0].dataset()) for content in (b"A1", b"B2", b"A1")]


def test_each_target_and_each_place_it_was_at_counts_for_itself(world):
    node = Node(world, {"a": SKIP, "b": SKIP})
    node.send(series(1, 2), "a")
    node.run()
    node.send(series(1, 2), "a", "b")
    node.run()
    assert world.target("b").images == 2 and world.target("a").repeated == 0
    node.routing.change({"a": {**SKIP, "concurrency": 1, "bandwidth_mbit_s": 5.0}, "b": SKIP})
    node.send(series(1, 2), "a")
    node.run()
    assert world.target("a").repeated == 0, "the policy may change"
    node.routing.change({"a": {**SKIP, "host": "127.0.0.2"}, "b": SKIP})
    node.send(series(1, 2), "a")
    node.run()
    assert world.target("a").repeated == 2, "a new host has nothing"


def test_what_a_person_routes_is_sent_whole(world):
    node = Node(world)
    arrival = node.send(series(1, 3))
    node.run()
    command = node.spool.commands.ask("series.route", "anna", {"arrival": arrival, "targets": ["a"]})
    node.spool.arrivals.decide(arrival, Verdict("route", 1, [TargetChoice("a")], command=command))
    node.run()
    assert world.target("a").repeated == 3 and node.last["skipped"] == 0


def test_an_image_that_was_refused_or_never_answered_for_is_no_duplicate(world):
    node = Node(world)
    refused = series(1, 3)[1].sop_uid
    world.target("a").refuse = {refused: REFUSED}
    node.send(series(1, 3))
    node.run()
    world.target("a").refuse = {}
    node.send(series(1, 3))
    node.run()
    assert world.target("a").images == 3 and node.last["skipped"] == 2


def test_an_image_that_the_target_does_not_commit_to_is_sent_again(world):
    node = Node(world)
    node.send(series(1, 2))
    claim = node.spool.deliveries.claim("me", {"a": 1}, node.clock.now())
    claim = node.spool.repeats.begin(claim, f"a\0{node.routing.configuration.targets['a'].place}")
    target = world.target("a")
    for image in series(1, 2):
        target.store(image.sop_uid, image.dataset())
    node.spool.deliveries.confirm(claim, [ImageResult(i.position, i.file.receipt, 0, True) for i in claim.images])
    node.spool.confirmations.ask(claim)
    node.spool.confirmations.confirming(claim, node.clock.now() + 60)
    lost = series(1, 2)[1].sop_uid
    node.spool.confirmations.failed(claim.delivery, {lost: 0x0112}, "not committed", node.clock.now())
    node.run()
    assert states(node.spool) == ["delivered"] and target.repeated == 1 and len(target.received[lost]) == 2


def test_a_version_whose_fate_is_unknown_makes_the_one_before_unknown_too(world):
    node = Node(world)
    node.send(version(b"A1"))
    node.run()
    world.target("a").abort_at = 1  # it keeps B2 and does not say so
    node.send(version(b"B2"))
    node.slot.run_once()
    node.spool.deliveries.change([node.last["id"]], "cancel", node.spool.commands.ask("queue.cancel", "test", {}))
    node.clock.advance(60)
    node.send(version(b"A1"))
    node.run()
    (got,) = world.target("a").received.values()
    assert len(got) == 3 and got[-1] == got[0]


def test_of_two_that_send_an_instance_at_once_neither_is_taken_for_the_last_one(world):
    node = Node(world, {"a": {**SKIP, "concurrency": 2}})
    other = Node(world, {"a": {**SKIP, "concurrency": 2}}, owner="dispatcher/1-0/test")
    target = world.target("a")
    store = target.store

    def storing(*image):
        target.store = store
        node.send(version(b"B2"))
        other.run()
        return store(*image)

    target.store = storing
    node.send(version(b"A1"))
    node.run()
    (got,) = target.received.values()
    assert len(got) == 2
    for content in (b"B2", b"A1", b"A1"):
        node.send(version(content))
        node.run()
    assert len(got) == 4, "both again, then the last one is known"


def test_what_is_known_is_forgotten_with_old_records(world):
    node = Node(world)
    node.send(version(b"A1"))
    node.run()
    node.spool.purging.records(node.clock.now() + 1)
    node.send(version(b"A1"))
    node.run()
    assert world.target("a").repeated == 1


def test_what_a_database_knew_before_it_was_restored_counts_no_more(world):
    node = Node(world)
    node.send(version(b"A1"))
    node.run()
    node.spool.outbox.begin_epoch("restored from a backup")
    node.send(version(b"A1"))
    node.run()
    assert world.target("a").repeated == 1


# ---- whatever happens -----------------------------------------------------------------------------------------------
class Faulty(FakeConnection):
    """Before it stores: abort, with or without keeping the image; or another slot works meanwhile."""

    def __init__(self, fake, fs, faults, meanwhile):
        super().__init__(fake, fs)
        self.faults, self.meanwhile = faults, meanwhile

    def send(self, image, following=None):
        fault = self.faults.pop() if self.faults else "ok"
        if fault == "other first":
            self.meanwhile()
        if fault == "abort":
            raise AssociationAborted("aborted")
        answer = super().send(image)
        if fault == "other then":
            self.meanwhile()
        if fault == "abort kept":
            raise AssociationAborted("aborted")
        return answer


FAULTS = st.lists(st.sampled_from(["ok", "ok", "abort", "abort kept", "other first", "other then"]), max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    contents=st.lists(st.sampled_from([b"A1", b"B2"]), min_size=1, max_size=6), faults=FAULTS, late=st.integers(0, 5)
)
@example(contents=[b"A1", b"B2", b"A1"], faults=["abort kept", "ok"], late=0)
def test_an_image_is_only_skipped_where_the_target_has_this_version_as_its_last(
    tmp_path_factory, contents, faults, late
):
    world = World(tmp_path_factory.mktemp("world"))
    try:
        left, target = list(faults), world.target("a")
        said = {"a": {**SKIP, "concurrency": 2, "retry": {**FAST, "max_attempts": 2}}}
        nodes: list[Node] = []

        def node(owner, other):
            make = lambda s: Faulty(target, world.spool.fs, left, lambda: nodes[other].slot.run_once())  # noqa: E731
            return Node(world, said, owner=owner, make=make)

        nodes += [node("dispatcher/0-0/test", 1), node("dispatcher/1-0/test", 0)]
        skip = world.spool.repeats.begin

        def begin(claim, place):
            after = skip(claim, place)
            if len(after.images) < len(claim.images):
                expected = version(sent[claim.arrival])[0]
                assert target.received[expected.sop_uid][-1] == digest(expected.dataset())
            return after

        world.spool.repeats.begin = begin
        sent: dict[int, bytes] = {}
        for number, content in enumerate(contents):
            sent[nodes[0].send(version(content), sender=f"CT{number}")] = content
            if number >= late:
                nodes[0].run()
                world.clock.advance(2)
        for _ in range(len(contents) * 3):
            nodes[0].run()
            world.clock.advance(2)
        assert set(states(world.spool)) <= {"delivered", "parked"}
    finally:
        world.close()


def prepare(world: World) -> None:
    node = Node(world)
    node.send(series(1, 4))
    node.run()
    node.senders = 10
    node.send(series(1, 6))


def work(world: World, owner: str) -> None:
    node = Node(world, owner=owner)
    for _ in range(4):
        node.run()
        node.clock.advance(2)


def run(world: World) -> None:
    work(world, world.spool.workers.enter("dispatcher", "0-0").owner)


def check(world: World) -> None:
    for owner in world.spool.workers.dead("dispatcher"):
        world.spool.deliveries.reap(owner)
    work(world, world.spool.workers.enter("dispatcher", "0-1").owner)
    assert states(world.spool) == ["delivered"] * 2
    last = deliveries(world.spool)[-1]
    assert (last["sent"], last["skipped"]) == (6, 4)
    skipped = [one for told in events(world.spool, "delivery.images.skipped") for one in told["images"]]
    assert len(skipped) == 4
    assert world.target("a").images == 6 and world.spool.accounting.balance() == []
    expected = {image.sop_uid: digest(image.dataset()) for image in series(1, 6)}
    assert {uid: got[-1] for uid, got in world.target("a").received.items()} == expected


def test_a_slot_that_dies_around_the_skipping_skips_each_image_once_and_loses_none(tmp_path):
    scenario = Scenario("skip", worlds(tmp_path), run, check, prepare)
    assert run_at_every_point(scenario, power=False, points=moments_of_one) > 10


def test_a_power_cut_around_the_skipping_loses_nothing(tmp_path):
    scenario = Scenario("skip", worlds(tmp_path), run, check, prepare)
    assert run_at_every_point(scenario, power=True, every=2) > 5
