"""Two versions of an image on their way to one target at once: the newer one has to be the last that it gets."""

from __future__ import annotations

from dispatcher_fakes import FakeConnection, FixedRouting, make_slot, receive, route, states

from protocol.testing.fakes import digest
from protocol.testing.images import TestImage

OLD = [TestImage(instance=number, content=b"first version") for number in (1, 2, 3)]
NEW = TestImage(instance=3, content=b"second version")


class Node:
    """Two slots; `meanwhile` happens once, while the first one sends its first image."""

    def __init__(self, world):
        self.world, self.spool = world, world.spool
        routing = FixedRouting({"pacs": {"concurrency": 2}, "other": {"concurrency": 2}})
        self.meanwhile = lambda: None
        self.one, self.two = (
            make_slot(self.spool, routing, world.clock, world.target, owner=f"dispatcher/{n}-0/x", make=self._make)
            for n in (0, 1)
        )

    def _make(self, settings):
        node = self

        class Connection(FakeConnection):
            def send(self, image, following=None):
                answer = super().send(image, following)
                what, node.meanwhile = node.meanwhile, lambda: None
                what()
                return answer

        return Connection(self.world.target(settings.called_ae.lower()), self.spool.fs)

    def work(self):
        for slot in (self.two, self.one):
            while slot.run_once():
                pass


def digests(target, image):
    return target.received[image.sop_uid]


def test_a_newer_version_waits_until_the_delivery_that_has_the_older_one_in_hand_is_done(world):
    node = Node(world)
    route(node.spool, receive(node.spool, OLD), "pacs")
    taken = []

    def newer_comes():
        route(node.spool, receive(node.spool, [NEW]), "pacs")
        taken.append(node.two.run_once())

    node.meanwhile = newer_comes
    assert node.one.run_once()
    for _ in range(10):
        world.clock.advance(5)
        node.work()
    assert states(node.spool) == ["delivered", "delivered"]
    assert digests(world.target("pacs"), NEW)[-1] == digest(NEW.dataset()), "the older one came last"
    assert taken == [False]


def test_nothing_else_waits_for_that(world):
    """Neither what is behind it for the same target, nor the newer version for another target."""
    node = Node(world)
    route(node.spool, receive(node.spool, OLD), "pacs")

    def newer_comes():
        route(node.spool, receive(node.spool, [NEW]), "pacs", "other")
        route(node.spool, receive(node.spool, [TestImage(series=9)]), "pacs")
        while node.two.run_once():
            pass

    node.meanwhile = newer_comes
    assert node.one.run_once()
    assert digests(world.target("other"), NEW) == [digest(NEW.dataset())]
    assert TestImage(series=9).sop_uid in world.target("pacs").received
    assert digests(world.target("pacs"), NEW) == [digest(OLD[2].dataset())]


def test_late_images_that_replace_nothing_do_not_wait(world):
    node = Node(world)
    route(node.spool, receive(node.spool, OLD), "pacs")
    late = TestImage(instance=4)

    def comes():
        route(node.spool, receive(node.spool, [late]), "pacs")
        node.taken = node.two.run_once()

    node.meanwhile = comes
    assert node.one.run_once()
    assert node.taken and late.sop_uid in world.target("pacs").received


def test_a_delivery_that_newer_versions_left_nothing_of_asks_its_target_to_commit_to_nothing(world):
    asked = []
    ask = lambda spool, claim, *others: asked.append(spool.confirmations.ask(claim).images)  # noqa: E731
    routing = FixedRouting({"pacs": {"commitment": True}})
    slot = make_slot(world.spool, routing, world.clock, world.target, ask=ask)
    for image in (OLD[2], NEW):
        route(world.spool, receive(world.spool, [image]), "pacs")
    while slot.run_once():
        pass
    assert states(world.spool) == ["delivered", "confirming"]
    assert asked == [[(NEW.sop_class_uid, NEW.sop_uid)]]
