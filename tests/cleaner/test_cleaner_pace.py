"""Deleting is held to a rate, so that nobody feels it; a disk short of space lifts that."""

from __future__ import annotations

import pytest
from cleaner_rig import AT_ONCE, Rig
from hypothesis import given
from hypothesis import strategies as st

from actors.base import passes
from actors.cleaner import actor as module
from actors.cleaner.pace import BURST_S, Pace

SLOW = {**AT_ONCE, "cleaner.files_per_s": 10.0}


@given(st.floats(0.1, 10_000), st.lists(st.tuples(st.floats(0, 5), st.integers(0, 5000)), max_size=40))
def test_never_more_than_the_rate_and_one_burst(rate, steps):
    pace, now, went = Pace(rate, 0.0), 0.0, 0
    for passed, wanted in steps:
        now += passed
        files = min(wanted, pace.allows(now))
        pace.spend(files)
        went += files
        assert went <= now * rate + max(1.0, rate * BURST_S) + 1e-6


@given(st.floats(0.1, 10_000))
def test_after_the_wait_something_may_go(rate):
    pace, now = Pace(rate, 0.0), 0.0
    for _ in range(5):
        pace.spend(pace.allows(now))
        now += pace.wait_s() * 1.000001
        assert pace.allows(now) >= 1


def test_without_a_rate_any_number_goes_at_once():
    pace = Pace(None, 0.0)
    assert pace.allows(1.0) is None and pace.wait_s() == 0.0


def test_a_large_series_goes_in_parts_at_the_rate(cleaner):
    node: Rig = cleaner(**SLOW)
    node.series(1, images=30)
    node.world.clock.advance(1)
    left = []
    while node.files():
        passes(node.cleaner)
        left.append(node.files())
        node.world.clock.advance(0.5)
    assert left[0] == 28, "a burst is two files"
    assert len(left) >= 14 and all(a - b <= 5 for a, b in zip(left, left[1:], strict=False))
    passes(node.cleaner)
    assert node.spool.cleaning.marked() == [] and node.spool.accounting.balance(files=True) == []


def test_pressure_lifts_the_rate(cleaner):
    node: Rig = cleaner(**SLOW)
    node.series(1, images=30)
    node.world.clock.advance(1)
    node.free_gb(4)
    node.work()
    assert node.files() == 0


def test_in_a_hurry_a_pass_has_an_end_so_that_a_sign_of_life_comes_in_between(cleaner, monkeypatch):
    monkeypatch.setattr(module, "FILES_AT_ONCE", 12)
    node: Rig = cleaner(**SLOW)
    node.series(1, images=30)
    node.world.clock.advance(1)
    node.free_gb(4)
    waits, left = [], []
    for _ in range(3):
        waits.append(node.cleaner.one_pass([]))
        left.append(node.files())
    assert left == [18, 6, 0] and waits == [0.0] * 3


def test_a_step_of_the_wall_clock_changes_no_rate(cleaner):
    node: Rig = cleaner(**SLOW)
    node.series(1, images=30)
    node.world.clock.advance(1)
    node.work()
    node.world.clock.jump_wall(1800)  # less than what pauses cleaning
    node.work()
    assert node.files() == 28


def test_between_two_parts_it_waits_and_does_not_spin(cleaner):
    node: Rig = cleaner(**SLOW)
    node.series(1, images=30)
    node.world.clock.advance(1)
    node.work()
    wait = node.cleaner.one_pass([])
    assert 0.05 <= wait <= 1.0
    node.world.clock.advance(wait + 1e-6)
    assert node.files() == 28
    node.work()
    assert node.files() < 28


def test_a_death_in_the_middle_of_a_series_is_finished_at_the_next_start(cleaner):
    node: Rig = cleaner(**SLOW)
    arrival = node.series(1, images=30)
    node.world.clock.advance(1)
    node.work()
    assert (node.state(arrival), node.files()) == ("deleted", 28)
    assert node.new_cleaner().recover()["deletions_finished"] == 1
    assert node.files() == 0 and node.spool.accounting.balance(files=True) == []


@pytest.mark.parametrize("durability", ["fsync", "relaxed"])
def test_the_mark_survives_what_its_files_do_not(folder, durability):
    """With relaxed durability the power may take the mark back, but then no file is gone either."""
    from random import Random

    from protocol.testing.spoolworld import SpoolWorld

    for seed in range(5):
        node = Rig(
            folder / f"{durability}-{seed}",
            SpoolWorld(folder / f"{durability}-{seed}", seed, durability=durability),
            **SLOW,
        )
        arrival = node.series(1, images=6)
        node.world.clock.advance(1)
        node.work()
        node.world.kill()
        node.world.power_cut(Random(seed))
        node.world.restart()
        if node.state(arrival) != "deleted":
            assert node.files() == 6
        node.world.close()


@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("durability", ["fsync", "relaxed"])
def test_dying_anywhere_while_a_series_goes_in_parts_leaves_all_or_nothing(folder, durability, power):
    from itertools import count

    from protocol.testing.crash import Scenario, run_at_every_point
    from protocol.testing.spoolworld import SpoolWorld

    numbers = count()

    def prepare(world):
        Rig(folder, world, **SLOW).series(1, images=5)
        world.make_durable()
        world.clock.advance(1)

    def clean(world):
        node = Rig(folder, world, **SLOW)
        for _ in range(4):
            node.after(0.5)

    def check(world):
        node = Rig(folder, world, **SLOW)
        node.cleaner.recover()
        clean(world)
        (arrival,) = node.spool.arrivals.list()
        assert arrival["state"] == "deleted" and node.files() == 0 and node.spool.cleaning.marked() == []
        assert len(node.events("arrival.deleted")) == 1
        assert node.spool.accounting.balance(files=True) == []

    def make(seed):
        return SpoolWorld(folder / f"world-{next(numbers)}", seed, durability=durability)

    assert run_at_every_point(Scenario("clean", make, clean, check, prepare), power=power, every=2) > 10
