"""Everything the spool does, in any order, with deaths and power cuts anywhere: promises hold after every step."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from protocol.spool.arrivals import Verdict
from protocol.spool.cleaning import Retention
from protocol.testing.crash import Died
from protocol.testing.fakes import REFUSED
from protocol.testing.images import TestImage
from protocol.testing.promises import check_end, check_promises
from protocol.testing.spoolworld import TARGETS, SpoolWorld

IN_MEMORY = Path("/dev/shm")
images = st.builds(
    TestImage, series=st.integers(1, 2), instance=st.integers(1, 3), content=st.sampled_from([b"one", b"other"])
)
deaths = st.one_of(st.just(0), st.integers(1, 60))  # 0 lives; else at which effect
target_names = st.sampled_from(TARGETS)


class SpoolMachine(RuleBasedStateMachine):
    """A node whose spool is driven by chance; `dies_in` arms a death so many effects ahead of the next act."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
        self.world = SpoolWorld(self.folder / "home")
        self.associations: list = []
        self.claims: list = []
        self.dies_in = 0
        self.power = False

    def teardown(self) -> None:
        self.world.close()
        shutil.rmtree(self.folder)

    @initialize(seed=st.integers(0, 1000))
    def start(self, seed: int) -> None:
        self.world.seed = seed

    def act(self, what) -> None:
        """Do it, perhaps dying in the middle; then the node starts again."""
        if not self.dies_in:
            what()
            return
        self.world.points.arm(self.dies_in)
        try:
            what()
        except Died:
            self.start_again()
        self.world.points.disarm()
        self.dies_in = 0

    def start_again(self) -> None:
        self.world.kill()
        if self.power:
            self.world.power_cut(Random(self.world.seed + len(self.world.promises)))
        self.world.points.disarm()
        self.world.restart()
        self.associations, self.claims = [], []
        self.world.recover(every_day=True)  # the clock jumps by days here

    # the world outside

    @rule(effects=st.integers(1, 40), power=st.booleans())
    def die_during_the_next_act(self, effects, power) -> None:
        self.dies_in, self.power = effects, power

    @rule(power=st.booleans())
    def die_now(self, power) -> None:
        self.power = power
        self.start_again()

    @rule(seconds=st.sampled_from([1, 61, 4000, 90_000]))
    def time_passes(self, seconds) -> None:
        self.world.clock.advance(seconds)

    @rule(seconds=st.sampled_from([-90_000, -5, 90_000]))
    def the_clock_jumps(self, seconds) -> None:
        self.world.clock.jump_wall(seconds)

    @rule(name=target_names, fault=st.sampled_from(["away", "hang_at", "abort_at", "refuse", "well"]))
    def a_target_changes(self, name, fault) -> None:
        target = self.world.targets[name]
        target.away, target.hang_at, target.abort_at = fault == "away", 0, 0
        target.refuse.clear()
        if fault in ("hang_at", "abort_at"):
            setattr(target, fault, 2)
        elif fault == "refuse":
            target.refuse[TestImage(instance=2).sop_uid] = REFUSED

    # whole ways, which chance alone would seldom put together

    @rule(
        sent=st.lists(images, min_size=1, max_size=4),
        calling_ae=st.sampled_from(["CT1", "MR1"]),
        dies=deaths,
        power=st.booleans(),
    )
    def a_series_comes(self, sent, calling_ae, dies, power) -> None:
        self.dies_in, self.power = dies, power
        self.act(lambda: self.world.receive(*sent, calling_ae=calling_ae))

    @rule(dies=deaths, power=st.booleans())
    def the_router_works(self, dies, power) -> None:
        self.dies_in, self.power = dies, power
        self.act(lambda: (self.world.close_arrivals(), self.world.decide()))

    @rule(dies=deaths, power=st.booleans(), group=st.integers(1, 3))
    def the_dispatcher_works(self, dies, power, group) -> None:
        def go() -> None:
            while claim := self.world.claim():
                self.world.deliver(claim, group=group)

        self.dies_in, self.power = dies, power
        self.act(go)

    # receiving

    @precondition(lambda self: len(self.associations) < 3)
    @rule(calling_ae=st.sampled_from(["CT1", "MR1"]))
    def connect(self, calling_ae) -> None:
        self.act(lambda: self.associations.append(self.world.connect(calling_ae)))

    @precondition(lambda self: self.associations)
    @rule(sent=st.lists(images, min_size=1, max_size=3), reason=st.sampled_from([None, None, None, "cannot be read"]))
    def send(self, sent, reason) -> None:
        association = self.associations[-1]
        self.act(lambda: self.world.send(association, *sent, reason=reason))

    @precondition(lambda self: self.associations)
    @rule(how=st.sampled_from(["released", "aborted"]))
    def disconnect(self, how) -> None:
        association = self.associations.pop()
        self.act(lambda: self.world.hang_up(association, how))

    # routing

    @rule()
    def close(self) -> None:
        self.act(self.world.close_arrivals)

    @rule()
    def decide(self) -> None:
        self.act(self.world.decide)

    @rule()
    def set_aside(self) -> None:
        for arrival in self.world.spool.arrivals.undecided(1):
            self.act(lambda id=arrival: self.world.spool.arrivals.decide(id, Verdict("hold", 1, reason="by rule")))

    # delivering

    @rule()
    def claim(self) -> None:
        def take() -> None:
            claim = self.world.claim()
            if claim is not None:
                self.claims.append(claim)

        self.act(take)

    @precondition(lambda self: self.claims)
    @rule(group=st.integers(1, 3))
    def deliver(self, group) -> None:
        claim = self.claims.pop(0)
        self.act(lambda: self.world.deliver(claim, group=group))

    @precondition(lambda self: self.claims)
    @rule(how=st.sampled_from(["give_back", "hold_claimed", "park", "retry"]))
    def leave_off(self, how) -> None:
        claim = self.claims.pop(0)
        deliveries = self.world.spool.deliveries
        arguments = {"give_back": (), "retry": (self.world.clock.now() + 60, "test")}.get(how, ("test",))
        self.act(lambda: getattr(deliveries, how)(claim, *arguments))

    # people and cleaning

    @rule()
    def a_person_releases_everything(self) -> None:
        self.act(self.world.release_all)

    @rule(dies=deaths, power=st.booleans())
    def clean(self, dies, power) -> None:
        def go() -> None:
            cleaning = self.world.spool.cleaning
            retention = Retention(self.world.clock.now() - 3600, self.world.clock.now() - 3600)
            for arrival in cleaning.deletable(retention):
                if cleaning.mark(arrival, retention):
                    cleaning.remove_files(arrival)

        self.world.clock.advance(4000)
        self.dies_in, self.power = dies, power
        self.act(go)

    # always

    @invariant()
    def promises_hold(self) -> None:
        if not self.associations and not self.claims:
            self.world.recover(every_day=True)  # what an orderly start would do changes nothing that matters
        check_promises(self.world)

    @rule()
    def everything_is_delivered_in_the_end(self) -> None:
        self.power = False
        self.start_again()
        self.world.finish()
        check_end(self.world)


TestSpoolMachine = SpoolMachine.TestCase
TestSpoolMachine.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


@pytest.mark.soak
def test_the_same_for_long() -> None:
    run_state_machine_as_test(SpoolMachine, settings=settings(max_examples=3000, stateful_step_count=50, deadline=None))
