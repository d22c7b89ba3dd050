"""The router and the cleaner dying before and after each of their effects: what a new one does completes it, once."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from router_rig import CT, EVERYWHERE, RoutedWorld

from actors.base import make_context, passes
from actors.cleaner.actor import CleanerActor
from protocol.spool.outbox import Cursor
from protocol.testing.crash import Scenario, moments_of_one, run_at_every_point
from protocol.testing.images import TestImage
from protocol.testing.promises import check_end, check_promises
from protocol.testing.spoolworld import TARGETS

A, B, C = (TestImage(instance=number) for number in (1, 2, 3))
HOLD = {"name": "stop", "when": "Modality == 'CT'", "action": "hold"}
AT_ONCE = {"cleaner.window": "always", "cleaner.retention_delivered_h": 0.0, "cleaner.retention_discarded_h": 0.0,
           "spool.ballast_mb": 0.0}  # fmt: skip


def finished(world: RoutedWorld, *images: TestImage) -> None:
    world.receive(*images)
    world.rig.work()
    world.rig.after(5)


def close_and_decide(world: RoutedWorld) -> None:
    finished(world, A, B)


def late_image(world: RoutedWorld) -> None:
    finished(world, A)
    finished(world, B)


def held_by_a_person(world: RoutedWorld) -> None:
    finished(world, A)
    arrival = world.rig.newest()["id"]
    for kind in ("series.hold", "series.release"):
        world.spool.commands.ask(kind, "ann", {"arrival": arrival})
    for kind in ("queue.hold", "queue.release"):
        world.spool.commands.ask(kind, "ann", {"target": "pacs"})
    world.spool.commands.ask("target.pause", "ann", {"target": "pacs", "reason": "service"})
    world.spool.commands.ask("target.resume", "ann", {"target": "pacs"})
    world.rig.work()


def held_by_a_rule(world: RoutedWorld) -> None:
    world.rig.publish(HOLD, EVERYWHERE)
    finished(world, A)
    world.spool.commands.ask("series.release", "ann", {"arrival": world.rig.newest()["id"]})
    world.rig.work()


def routed_by_hand(world: RoutedWorld) -> None:
    world.rig.publish({**CT, "when": "Modality == 'MR'"})
    finished(world, A)
    world.spool.commands.ask("series.route", "ann", {"arrival": world.rig.newest()["id"], "targets": list(TARGETS)})
    world.rig.work()


def a_target_goes_and_comes_back(world: RoutedWorld) -> None:
    finished(world, A)
    targets = world.rig.router._routing.configuration.targets
    world.rig.publish({**CT, "targets": ["pacs"]}, targets={"pacs": targets["pacs"].model_dump()})
    world.rig.work()
    world.rig.publish(EVERYWHERE)
    world.rig.work()
    world.spool.commands.ask("queue.release", "ann", {"target": "archive"})
    world.rig.work()


def a_dispatcher_dies(world: RoutedWorld) -> None:
    finished(world, A, B)
    slot = world.spool.workers.enter("dispatcher", "0-0")
    claim = world.spool.deliveries.claim(slot.owner, dict.fromkeys(TARGETS, 1), world.clock.now())
    assert claim is not None
    slot._lock.release()
    world.rig.after(1)


STORIES = {
    story.__name__: story
    for story in (close_and_decide, late_image, held_by_a_person, held_by_a_rule, routed_by_hand,
                  a_target_goes_and_comes_back, a_dispatcher_dies)
}  # fmt: skip


def check(world: RoutedWorld) -> None:
    """The night after: the router starts again and does the rest; nothing was done twice."""
    world.recover()
    world.rig.router.recover()
    check_promises(world)
    world.rig.ask("target.resume", target="pacs")  # it may have died between pause and resume
    for _ in range(3):
        world.rig.after(60)
    check_promises(world)
    assert world.spool.commands.pending("router") == [], "a command was never answered"
    seen = world.spool.outbox.read(Cursor(0, 0), 10_000)
    for kind in ("arrival.completed", "command.answered", "delivery.created"):
        doubled = [
            name for name, count in Counter(one.subject for one in seen if one.type == kind).items() if count > 1
        ]
        assert not doubled, f"{kind} twice: {doubled}"
    pairs = Counter((row["arrival"], row["target"]) for row in world.spool.deliveries.list(limit=500))
    assert max(pairs.values(), default=1) == 1, f"two deliveries of one arrival to one target: {pairs}"
    decided = Counter(row["id"] for row in world.spool.arrivals.list() if row["state"] == "closed")
    assert not decided, f"undecided: {decided}"
    if any(row["state"] == "discarded" for row in world.spool.arrivals.list()):
        return  # died before the person asked; it waits for its retention
    world.finish()
    check_end(world)


@pytest.mark.parametrize("power", [False, True], ids=["kill", "power cut"])
@pytest.mark.parametrize("name", STORIES)
def test_a_router_that_dies_anywhere_is_completed_by_the_next(name, power, folder, request):
    count = iter(range(100_000))

    def world(seed: int) -> RoutedWorld:
        return RoutedWorld(folder / f"w{next(count)}", seed)

    every = 1 if request.config.getoption("--soak") else 3 if power else 2
    run_at_every_point(Scenario(name, world, STORIES[name], check), power=power, points=moments_of_one, every=every)


# ---- the cleaner


class CleanedWorld(RoutedWorld):
    def cleaner(self) -> CleanerActor:
        from protocol.settings import load_settings

        settings = load_settings(self.home, AT_ONCE, environ={})
        context = make_context(settings, self.spool, wire=self.network.wire(), log=self.rig.log, clock=self.clock,
                               fs=self.spool.fs, rng=Random(1))  # fmt: skip
        return CleanerActor(context)


def some_delivered_some_not(world: CleanedWorld) -> None:
    finished(world, A, B)
    world.rig.deliver_all()
    finished(world, TestImage(study=2))
    world.clock.advance(10)


def clean(world: CleanedWorld) -> None:
    world.purged |= {A.sop_uid, B.sop_uid}
    passes(world.cleaner())


def check_cleaned(world: CleanedWorld) -> None:
    world.spool.adoption.adopt()  # what the receiver does; the rest of the recovery is the cleaner's own
    cleaner = world.cleaner()
    cleaner.recover()
    world.clock.advance(61)
    passes(cleaner)
    check_promises(world)
    assert sorted(row["state"] for row in world.spool.arrivals.list()) == ["deleted", "in_delivery"]
    assert world.spool.cleaning.marked() == [], "files of a marked arrival are left"
    assert len([one for one in world.spool.outbox.read(Cursor(0, 0), 10_000) if one.type == "arrival.deleted"]) == 1
    world.finish()
    check_end(world)


@pytest.mark.parametrize("power", [False, True], ids=["kill", "power cut"])
def test_a_cleaner_that_dies_anywhere_is_completed_by_the_next(power, folder):
    count = iter(range(100_000))

    def world(seed: int) -> CleanedWorld:
        return CleanedWorld(folder / f"w{next(count)}", seed)

    scenario = Scenario("clean", world, clean, check_cleaned, some_delivered_some_not)
    run_at_every_point(scenario, power=power, points=moments_of_one)
