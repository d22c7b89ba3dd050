"""A slot dies at every effect of its deliveries, and targets fail as they like: no image is lost, none is forgotten."""

from __future__ import annotations

from collections import Counter

from dispatcher_fakes import FakeConnection, FixedRouting, deliveries, make_slot, receive, route, series, states
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from actors.targets.interface import Answer
from protocol.errors import AssociationAborted, PeerTimeout, TargetUnreachable
from protocol.testing.crash import Scenario, moments_of_one, run_at_every_point
from protocol.testing.fakes import OUT_OF_RESOURCES, REFUSED, digest
from protocol.testing.world import World, worlds

RETRY = {"first_s": 1.0, "factor": 1.0, "max_s": 1.0, "max_attempts": 3}
ROUTING = FixedRouting({"a": {"retry": RETRY}, "b": {"retry": RETRY}})
IMAGES = 4


def prepare(world: World) -> None:
    """One series for both targets: `a` aborts once, `b` refuses one image for good."""
    route(world.spool, receive(world.spool, series(1, IMAGES)), "a", "b")
    world.target("a").abort_at = 2
    world.target("b").refuse = {series(1, IMAGES)[1].sop_uid: REFUSED}


def work(world: World, owner: str) -> None:
    slot = make_slot(world.spool, ROUTING, world.clock, world.target, owner=owner)
    for _ in range(20):
        if not slot.run_once():
            world.clock.advance(1.1)


def run(world: World) -> None:
    work(world, world.spool.workers.enter("dispatcher", "0-0").owner)


def check(world: World) -> None:
    for owner in world.spool.workers.dead("dispatcher"):
        world.spool.deliveries.reap(owner)
    assert "sending" not in states(world.spool)
    work(world, world.spool.workers.enter("dispatcher", "0-1").owner)
    ended = {row["target"]: row["state"] for row in deliveries(world.spool)}
    assert ended == {"a": "delivered", "b": "parked"}
    expected = {image.sop_uid: digest(image.dataset()) for image in series(1, IMAGES)}
    assert {uid: got[0] for uid, got in world.target("a").received.items()} == expected
    assert set(world.target("b").received) == set(expected) - {series(1, IMAGES)[1].sop_uid}
    for name in "ab":
        # An interrupted group goes again, and the image that was aborted.
        assert all(count <= 3 for count in Counter(map(len, world.target(name).received.values())))
    assert world.spool.accounting.balance() == []


def test_a_slot_that_dies_at_any_effect_is_continued_and_nothing_is_lost(tmp_path):
    scenario = Scenario("deliver", worlds(tmp_path), run, check, prepare)
    assert run_at_every_point(scenario, power=False, points=moments_of_one) > 20


def test_a_power_cut_at_any_effect_loses_nothing(tmp_path):
    scenario = Scenario("deliver", worlds(tmp_path), run, check, prepare)
    assert run_at_every_point(scenario, power=True, every=3) > 20


# ---- arbitrary failures ---------------------------------------------------------------------------------------------
FAULTS = st.sampled_from(["ok", "ok", "ok", "warning", "refused", "full", "abort", "abort kept", "hang", "bug"])


class Moody(FakeConnection):
    """Does what the drawn faults say, one per connect or store; books what the target has and what it said."""

    def __init__(self, fake, fs, faults, told):
        super().__init__(fake, fs)
        self.faults, self.told = faults, told

    def _fault(self):
        return self.faults.pop() if self.faults else "ok"

    def open(self, images, alive):
        if self._fault() in ("abort", "hang", "full"):
            raise TargetUnreachable("away")
        return super().open(images, alive)

    def send(self, image, following=None):
        fault = self._fault()
        if fault in ("ok", "warning", "abort kept"):
            super().send(image)
        if fault.startswith("abort"):
            raise AssociationAborted("aborted")
        if fault == "hang":
            raise PeerTimeout("hangs")
        if fault == "bug":
            raise ValueError("bug")
        status = {"ok": 0, "warning": 0xB000, "refused": REFUSED, "full": OUT_OF_RESOURCES}[fault]
        self.told[image.sop_instance_uid] = status
        return Answer(status, fault in ("ok", "warning"), fault, retryable=fault == "full")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=st.lists(FAULTS, max_size=40), images=st.integers(1, 6), retries=st.integers(0, 2))
@example(faults=["full", "full", "full", "refused", "ok"], images=1, retries=1)
def test_whatever_a_target_does_each_image_is_delivered_as_recorded_or_its_delivery_is_parked(
    tmp_path_factory, faults, images, retries
):
    world = World(tmp_path_factory.mktemp("world"))
    try:
        told: dict[str, int] = {}
        left = list(faults)
        target = world.target("a")
        slot = make_slot(
            world.spool, ROUTING, world.clock, world.target, make=lambda s: Moody(target, world.spool.fs, left, told)
        )
        route(world.spool, receive(world.spool, series(1, images)), "a")
        for _ in range(retries + 1):
            for _ in range(20):
                if not slot.run_once():
                    world.clock.advance(2)
            (row,) = deliveries(world.spool)
            assert row["state"] in ("delivered", "parked"), "it never ends in between"
            _check_books(world, row, told, images)
            if row["state"] == "delivered":
                break
            command = world.spool.commands.ask("queue.retry", "test", {})
            world.spool.deliveries.change([row["id"]], "retry", command)
            for uid in [uid for uid, status in told.items() if status == REFUSED]:
                del told[uid]  # a retry asks again: the former refusal does not count any more
    finally:
        world.close()


def _check_books(world, row, told, images):
    target = world.target("a")
    expected = {image.sop_uid: digest(image.dataset()) for image in series(1, images)}
    assert all(expected[uid] == got for uid, copies in target.received.items() for got in copies)
    has = {uid for uid, status in told.items() if status in (0, 0xB000)}
    assert row["sent"] == len(has) and row["refused"] == sum(status == REFUSED for status in told.values())
    assert has <= set(target.received)
    if row["state"] == "delivered":
        assert has == set(expected)
    assert world.spool.accounting.balance() == []
