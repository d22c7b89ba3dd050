"""The newer version of an image does not go to a target after all: the target gets the older one, never none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from test_versions_of_an_image import NEWER, OLDER, ask, come, deliver, ids

from protocol.errors import StepRefused
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.binding import Binding
from protocol.testing.fakes import digest
from protocol.testing.images import TestImage
from protocol.testing.spoolworld import SpoolWorld

LATEST = TestImage(content=b"corrected once more")
OTHER = TestImage(instance=2, content=b"of which there is one version")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SpoolWorld]:
    world = SpoolWorld(tmp_path, 1)
    world.route_to = ("pacs",)
    yield world
    world.close()


def got(world: SpoolWorld, target: str) -> list[str]:
    names = {digest(OLDER.dataset()): "older", digest(NEWER.dataset()): "newer", digest(LATEST.dataset()): "latest"}
    return [names[one] for one in world.targets[target].received.get(OLDER.sop_uid, [])]


def send_first_empty(world: SpoolWorld) -> tuple[int, int]:
    """The older one is delivered without its image, as the newer one is to come; their deliveries."""
    come(world, OLDER)
    come(world, NEWER)
    first, second = ids(world)
    world.deliver(world.claim())
    assert world.spool.deliveries.get(first)["state"] == "delivered" and got(world, "pacs") == []
    return first, second


def states(world: SpoolWorld) -> list[str]:
    return [row["state"] for row in sorted(world.spool.arrivals.list(limit=10), key=lambda row: row["id"])]


@pytest.mark.parametrize("act", ["cancel", "redirect"])
def test_an_older_one_that_was_delivered_without_its_image_goes_on_when_the_newer_one_goes_elsewhere(
    world: SpoolWorld, act: str
) -> None:
    first, second = send_first_empty(world)
    ask(world, [second], act, TargetChoice("archive") if act == "redirect" else None)
    assert world.spool.deliveries.get(first)["state"] == "waiting" and states(world)[0] == "in_delivery"
    deliver(world)
    assert got(world, "pacs") == ["older"] and world.spool.deliveries.get(first)["sent"] == 1
    assert states(world) == ["delivered", "delivered" if act == "redirect" else "discarded"]
    assert world.spool.accounting.balance() == []


def test_an_older_one_that_still_waits_takes_its_image_back(world: SpoolWorld) -> None:
    come(world, OLDER)
    come(world, NEWER)
    ask(world, ids(world)[1:], "cancel")
    deliver(world)
    assert got(world, "pacs") == ["older"] and states(world) == ["delivered", "discarded"]


def test_one_that_is_being_sent_at_that_moment_goes_on_with_what_it_left_out(world: SpoolWorld) -> None:
    come(world, OLDER)
    come(world, NEWER)
    claim = world.claim()
    ask(world, ids(world)[1:], "cancel")
    world.deliver(claim)
    deliver(world)
    assert got(world, "pacs") == ["older"] and states(world) == ["delivered", "discarded"]


def test_only_the_image_that_came_back_is_sent_again(world: SpoolWorld) -> None:
    world.receive(OTHER)
    come(world, OLDER)
    come(world, NEWER)
    world.deliver(world.claim())
    ask(world, ids(world)[1:], "cancel")
    deliver(world)
    assert got(world, "pacs") == ["older"] and len(world.targets["pacs"].received[OTHER.sop_uid]) == 1
    row = world.spool.deliveries.get(ids(world)[0])
    assert (row["sent"], row["images"], row["bytes"]) == (2, 2, len(OTHER.dataset()) + len(OLDER.dataset()))


def test_discarding_the_newer_series_brings_the_older_one_back(world: SpoolWorld) -> None:
    send_first_empty(world)
    newer = max(row["id"] for row in world.spool.arrivals.list(limit=10))
    world.spool.arrivals.hold(newer, "wrong", world.spool.commands.ask("series.hold", "tester", {}))
    world.spool.arrivals.discard(newer, "wrong", world.spool.commands.ask("series.discard", "tester", {}))
    deliver(world)
    assert got(world, "pacs") == ["older"] and states(world) == ["delivered", "discarded"]


def test_the_newer_one_that_is_tried_again_still_comes_last(world: SpoolWorld) -> None:
    first, second = send_first_empty(world)
    ask(world, [second], "cancel")
    ask(world, [second], "retry")
    deliver(world)
    assert got(world, "pacs") == ["newer"], "nothing is left for the older one to send"
    assert world.spool.deliveries.get(first)["state"] == "delivered"


def test_of_three_versions_the_newest_that_is_left_goes(world: SpoolWorld) -> None:
    for image in (OLDER, NEWER, LATEST):
        come(world, image)
    world.deliver(world.claim())
    world.deliver(world.claim())
    ask(world, ids(world)[2:], "cancel")
    deliver(world)
    assert got(world, "pacs") == ["newer"]


def test_a_still_newer_one_for_another_target_does_not_bring_the_oldest_back(world: SpoolWorld) -> None:
    come(world, OLDER)
    come(world, NEWER)
    world.route_to = ("archive",)
    come(world, LATEST)
    deliver(world)
    assert (got(world, "pacs"), got(world, "archive")) == (["newer"], ["latest"])


def test_in_a_group_the_newer_one_at_another_member_is_enough(world: SpoolWorld) -> None:
    spool, group = world.spool, {"pair": Binding("failover", ["pacs", "archive"])}
    for image in (OLDER, NEWER):
        world.receive(image)
        world.close_arrivals()
        for arrival in spool.arrivals.undecided():
            spool.arrivals.decide(arrival, Verdict("route", 1, [TargetChoice("pair", True)]))
    owner = world.worker("dispatcher").owner
    for member in ("pacs", "archive"):
        world.deliver(spool.deliveries.claim(owner, {member: 1}, world.clock.now(), "", group))
    assert (got(world, "pacs"), got(world, "archive")) == ([], ["newer"])
    assert states(world) == ["delivered", "delivered"]


def test_a_person_cannot_have_a_delivered_one_tried_again(world: SpoolWorld) -> None:
    first, _ = send_first_empty(world)
    with pytest.raises(StepRefused, match="is delivered"):
        ask(world, [first], "retry")
