"""When an actor works, looks and tells: a machine of states under virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.rhythm import LOOK_S, QUIET_AFTER_S, QUIET_S, REST_S, Rhythm, next_at

WAITS = st.sampled_from([0.0, 0.05, 0.7, LOOK_S, 2.3, REST_S])


class Actor:
    """Lives by a rhythm; notes what it did when."""

    def __init__(self, now: float, wait_s: float = REST_S, *, watches: bool = False) -> None:
        self.now, self.wait_s, self.rhythm, self.watches = now, wait_s, Rhythm(now), watches
        self.passes: list[float] = []
        self.looks: list[float] = []
        self.beats: list[float] = []

    def live(self, seconds: float, committed: tuple[float, ...] = ()) -> None:
        end, left = self.now + seconds, sorted(committed)
        while (later := self.now + self.rhythm.wait_s(self.now)) <= end:
            self.now = later
            self.turn(committed=bool(left and left[0] <= self.now))
            left = [one for one in left if one > self.now]
        self.now = end

    def turn(self, *, committed: bool) -> None:
        rhythm = self.rhythm
        if self.now >= rhythm.look:
            self.looks.append(self.now)
            rhythm.looked(self.now, hurry=committed, watched=self.watches and rhythm.calm(self.now))
            if committed:
                rhythm.stir(self.now)
        if self.now >= rhythm.due:
            self.passes.append(self.now)
            rhythm.passed(self.now, self.wait_s, failed=False)
        if self.now >= rhythm.beat:
            self.beats.append(self.now)
            rhythm.beaten(self.now)


def gaps(times: list[float]) -> list[float]:
    return [after - before for before, after in zip(times, times[1:], strict=False)]


def test_all_actors_wake_at_whole_seconds() -> None:
    # so that the bus, which every heartbeat wakes, wakes once for all of them
    assert next_at(100.0, 1.0) == 101.0 and next_at(100.999, 1.0) == 101.0 and next_at(101.5, 5.0) == 105.0
    actor = Actor(1234.567)
    actor.live(60)
    assert all(at == int(at) for at in [*actor.passes[2:], *actor.looks[1:], *actor.beats[1:]])


def test_where_nothing_happens_passes_and_heartbeats_become_seldom_and_looks_do_not() -> None:
    actor = Actor(1000.0)
    actor.live(10)
    assert max(gaps([at for at in actor.passes if at <= 1000 + QUIET_AFTER_S])) <= LOOK_S
    actor.passes, actor.looks, actor.beats = [], [], []
    actor.live(60)
    assert len(actor.passes) == len(actor.beats) == 60 / QUIET_S
    assert set(gaps(actor.looks)) == {LOOK_S}


def test_who_is_woken_by_the_next_commit_looks_seldom_until_it_comes() -> None:
    actor = Actor(1000.0, watches=True)
    actor.live(10)
    actor.passes, actor.looks, actor.beats = [], [], []
    actor.live(60)
    assert actor.looks == actor.passes == actor.beats and set(gaps(actor.looks)) == {QUIET_S}
    actor.live(1.5)  # then it is woken
    woken = actor.now
    actor.rhythm.stir(woken)
    actor.looks = []
    actor.live(30)
    assert (
        actor.looks[0] <= woken + LOOK_S and gaps(actor.looks)[:2] == [LOOK_S] * 2 and gaps(actor.looks)[-1] == QUIET_S
    )


@given(st.floats(0, 1e6), WAITS, st.lists(st.floats(0, 50), max_size=5))
def test_a_commit_is_answered_within_a_second_however_long_the_actor_wanted_to_rest(begin, wait_s, committed) -> None:
    actor = Actor(begin, wait_s)
    if wait_s == 0.0:
        actor.wait_s = 0.05  # who never wants to wait needs no look
    commits = tuple(begin + at for at in committed)
    actor.live(60, commits)
    for at in commits:
        assert any(at <= one <= at + LOOK_S + 1e-6 for one in actor.passes)


@given(st.floats(0, 1e6), st.sampled_from([0.05, 0.7, 1.0]))
def test_who_is_busy_tells_each_second_and_passes_when_it_asked_to(begin, wait_s) -> None:
    actor = Actor(begin, wait_s)
    actor.live(30)
    assert max(gaps(actor.passes)) <= LOOK_S + 1e-6
    if wait_s < LOOK_S:
        assert max(gaps(actor.beats)) <= LOOK_S + wait_s + 1e-6


def test_a_time_that_was_asked_for_is_kept_by_who_rests() -> None:
    actor = Actor(1000.0)
    actor.live(20)
    actor.wait_s = 2.3
    actor.live(5)
    actor.passes = []
    actor.live(30)
    assert gaps(actor.passes) == pytest.approx([2.3] * len(gaps(actor.passes)))


def test_after_a_failed_pass_the_next_comes_when_it_was_put_off_to() -> None:
    rhythm = Rhythm(1000.0)
    rhythm.looked(1000.0, hurry=False)
    rhythm.passed(1000.0, 30.0, failed=True)
    assert rhythm.due == 1030.0
