"""The wall clock is set back while deliveries wait for their next try: they wait no longer than they were meant to."""

from __future__ import annotations

import pytest
from router_rig import CT, Rig

HOUR_S = 3600.0


@pytest.fixture
def failed(rig) -> Rig:
    """A delivery is tried again in ten minutes, its target is left alone for a minute."""
    node: Rig = rig(CT)
    node.series()
    claim, now = node.world.claim(), node.world.clock.now()
    node.spool.deliveries.retry(claim, now + 600, "no answer")
    node.spool.targets.leave_alone("pacs", now + 60)
    node.after(1)
    return node


def waits(node: Rig) -> tuple[int, int]:
    """Seconds that the delivery and its target still wait."""
    now = node.world.clock.now()
    (delivery,) = node.spool.deliveries.list()
    return round(delivery["due"] - now), round(node.spool.targets.all()["pacs"].not_before - now)


@pytest.mark.parametrize("step_s", [HOUR_S, 400 * 86_400.0])
def test_a_step_back_prolongs_no_wait(failed: Rig, step_s: float) -> None:
    failed.world.clock.jump_wall(-step_s)
    failed.after(1)
    assert waits(failed) == (598, 58)
    assert "clock_set_back" in failed.log.actions()


def test_what_is_due_stays_due_and_a_second_step_counts_by_itself(failed: Rig) -> None:
    failed.after(100)
    assert waits(failed)[1] < 0
    failed.world.clock.jump_wall(-50)
    failed.after(1)
    failed.world.clock.jump_wall(-HOUR_S)
    failed.after(1)
    assert waits(failed) == (497, 0)


def test_a_step_forward_and_small_corrections_change_no_time(failed: Rig) -> None:
    for step_s in (HOUR_S / 100, -2.0, 1.0):
        failed.world.clock.jump_wall(step_s)
        failed.after(1)
    assert "clock_set_back" not in failed.log.actions()
