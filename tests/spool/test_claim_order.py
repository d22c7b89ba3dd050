"""In which order deliveries are claimed: priority over all targets, aging, off-peak hours, the lane of urgent ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.claiming import Order
from protocol.states import Priority
from protocol.testing.images import TestImage
from protocol.testing.spoolworld import SpoolWorld

URGENT, NORMAL, OFFPEAK = Priority.URGENT, Priority.NORMAL, Priority.OFFPEAK
LIMITS = {"archive": 9, "pacs": 9, "research": 9}
HOUR = 3600.0


class Queue:
    """Deliveries of one image each, made one after the other."""

    def __init__(self, world: SpoolWorld) -> None:
        self.world, self._made = world, 0

    def add(self, target: str, priority: Priority = NORMAL) -> None:
        self._made += 1
        self.world.receive(TestImage(study=self._made))
        self.world.close_arrivals()
        (arrival,) = self.world.spool.arrivals.undecided()
        self.world.spool.arrivals.decide(arrival, Verdict("route", 1, [TargetChoice(target, priority=priority)]))
        self.world.clock.advance(1)

    def take(self, order: Order, start_after: str = "", limits: dict[str, int] = LIMITS) -> Any:
        claim = self.world.spool.deliveries.claim("me", limits, self.world.clock.now(), start_after, order=order)
        return None if claim is None else claim.target

    def all(self, order: Order) -> list[str]:
        return list(iter(lambda: self.take(order), None))


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    world = SpoolWorld(tmp_path)
    yield Queue(world)
    world.close()


def test_the_highest_priority_of_all_targets_goes_first(queue: Queue) -> None:
    for target, priority in (("archive", OFFPEAK), ("archive", NORMAL), ("pacs", NORMAL), ("research", URGENT)):
        queue.add(target, priority)
    assert queue.all(Order()) == ["research", "archive", "pacs", "archive"]


def test_among_equals_targets_take_turns(queue: Queue) -> None:
    for target in ("archive", "archive", "pacs", "research"):
        queue.add(target)
    assert [queue.take(Order(), after) for after in ("archive", "pacs", "research")] == ["pacs", "research", "archive"]


def test_22_what_waits_long_enough_is_as_good_as_urgent(queue: Queue) -> None:
    """known-failures 22: urgent ones, and no normal one ever goes."""
    queue.add("archive", OFFPEAK)
    queue.world.clock.advance(HOUR)
    queue.add("pacs", URGENT)
    assert queue.take(Order(aging_s=2 * HOUR)) == "pacs"
    queue.add("pacs", URGENT)
    queue.world.clock.advance(HOUR)
    queue.add("pacs", URGENT)
    assert queue.take(Order(aging_s=HOUR)) == "archive", "two hours old: two priorities higher"


def test_off_peak_deliveries_wait_for_their_hours_but_not_for_ever(queue: Queue) -> None:
    """known-failures 22: off-peak is ignored."""
    queue.add("archive", OFFPEAK)
    day = Order(offpeak=False, offpeak_after_s=24 * HOUR)
    now = queue.world.clock.now()
    assert queue.take(day) is None and not queue.world.spool.deliveries.ready(LIMITS, now, day)
    assert queue.world.spool.deliveries.ready(LIMITS, now, Order(offpeak=True))
    queue.add("pacs")
    assert queue.take(day) == "pacs"
    queue.world.clock.advance(24 * HOUR)
    assert queue.take(day) == "archive"


def test_the_urgent_lane_takes_nothing_else_and_may_go_one_beyond_a_share(queue: Queue) -> None:
    lane = Order(only_urgent=True, urgent_more={"pacs": 1})
    queue.add("pacs")
    assert queue.take(lane) is None
    assert queue.take(Order(), limits={"pacs": 1}) == "pacs"
    queue.add("pacs", URGENT)
    assert queue.take(Order(), limits={"pacs": 1}) is None
    assert queue.take(lane, limits={"pacs": 1}) == "pacs"


@given(
    st.integers(0, 2), st.floats(0, 1e6), st.one_of(st.none(), st.floats(1, 1e5)), st.booleans(), st.floats(1, 1e6),
)  # fmt: skip
def test_age_never_lowers_a_priority_and_nothing_waits_for_ever(
    rank: int, age_s: float, aging_s: float | None, offpeak: bool, after_s: float
) -> None:
    order = Order(aging_s, offpeak, after_s)
    assert 0 <= order.rank(rank, age_s + 1) <= order.rank(rank, age_s) <= rank
    assert order.takes(rank, after_s + age_s)
    if aging_s:
        assert order.rank(rank, 2 * aging_s) == 0
