"""Two versions of an image in two arrivals: whatever people and targets do, a target gets the newer one last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.binding import Binding
from protocol.spool.deliveries import ImageResult
from protocol.testing.fakes import digest
from protocol.testing.images import TestImage
from protocol.testing.spoolworld import SpoolWorld

OLDER, NEWER = TestImage(content=b"the first picture"), TestImage(content=b"the corrected picture")
GROUP = {"pair": Binding("failover", ["pacs", "archive"])}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SpoolWorld]:
    world = SpoolWorld(tmp_path, 1)
    world.route_to = ("pacs",)
    yield world
    world.close()


def come(world: SpoolWorld, image: TestImage) -> None:
    world.receive(image)
    world.close_arrivals()
    world.decide()


def ids(world: SpoolWorld) -> list[int]:
    return sorted(row["id"] for row in world.spool.deliveries.list(limit=10))


def ask(world: SpoolWorld, deliveries: list[int], act: str, to: TargetChoice | None = None) -> None:
    command = world.spool.commands.ask(f"queue.{act}", "tester", {"ids": deliveries})
    world.spool.deliveries.change(deliveries, act, command, to=to)


def deliver(world: SpoolWorld) -> None:
    for _ in range(10):
        while (claim := world.claim()) is not None:
            world.deliver(claim)
        world.clock.advance(61)


def newest_came_last(world: SpoolWorld, target: str) -> bool:
    return world.targets[target].received[OLDER.sop_uid][-1] == digest(NEWER.dataset())


def test_a_cancelled_delivery_is_tried_after_the_newer_one_went(world: SpoolWorld) -> None:
    come(world, OLDER)
    (first,) = ids(world)
    ask(world, [first], "cancel")
    come(world, NEWER)
    deliver(world)
    ask(world, [first], "retry")
    deliver(world)
    assert newest_came_last(world, "pacs") and world.spool.accounting.balance() == []


def test_a_refused_one_is_tried_after_the_newer_one_went(world: SpoolWorld) -> None:
    come(world, OLDER)
    claim = world.claim()
    come(world, NEWER)  # while the older one is on its way
    image = claim.images[0]
    world.spool.deliveries.confirm(claim, [ImageResult(image.position, image.file.receipt, 0xC000, False)])
    world.spool.deliveries.park(claim, "refused")
    deliver(world)
    ask(world, [claim.delivery], "retry")
    deliver(world)
    assert newest_came_last(world, "pacs")


def test_both_are_redirected_and_the_first_attempt_fails(world: SpoolWorld) -> None:
    come(world, OLDER)
    come(world, NEWER)
    ask(world, ids(world), "redirect", TargetChoice("archive"))
    world.targets["archive"].hang_at = 1
    deliver(world)
    assert newest_came_last(world, "archive")


def test_a_person_routes_both_and_the_first_attempt_fails(world: SpoolWorld) -> None:
    come(world, OLDER)
    come(world, NEWER)
    deliver(world)
    for row in sorted(world.spool.arrivals.list(limit=10), key=lambda row: row["id"]):
        command = world.spool.commands.ask("series.route", "tester", {"arrival": row["id"]})
        chosen = Verdict("route", 1, [TargetChoice("research")], reason="asked", command=command)
        world.spool.arrivals.decide(row["id"], chosen)
    world.targets["research"].hang_at = 1
    deliver(world)
    assert newest_came_last(world, "research")


def test_both_go_to_another_member_of_their_group_and_the_first_attempt_fails(world: SpoolWorld) -> None:
    spool = world.spool

    def claim(target: str):  # type: ignore[no-untyped-def]
        return spool.deliveries.claim(world.worker("dispatcher").owner, {target: 1}, world.clock.now(), "", GROUP)

    def decided(choice: TargetChoice) -> None:
        world.close_arrivals()
        for arrival in spool.arrivals.undecided():
            spool.arrivals.decide(arrival, Verdict("route", 1, [choice]))

    world.receive(OLDER)
    decided(TargetChoice("pair", True))
    spool.deliveries.retry(claim("pacs"), world.clock.now() + 60, "away")
    world.receive(NEWER)
    decided(TargetChoice("pacs", False, group="pair"))
    spool.deliveries.unbind(GROUP, ["archive"], {"pair": 0.0})
    world.targets["archive"].hang_at = 1
    for _ in range(5):
        while (taken := claim("archive")) is not None:
            world.deliver(taken)
        world.clock.advance(61)
    assert newest_came_last(world, "archive")
