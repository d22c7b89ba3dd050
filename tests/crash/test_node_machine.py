"""Everything that may happen to a node, in any order, through all actors; one process or all of them die anywhere.
The guarantees are looked at after every step, and that nothing is stuck whenever all came to rest.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from node_checks import check_always, check_end, check_rest
from node_in_memory import PROCESSES, Node, make_ledger, quick_ledgers

from actors.router.reaping import Reaper
from protocol.spool.adoption import Adoption
from protocol.testing.crash import Died
from protocol.testing.fakes import REFUSED
from protocol.testing.images import TestImage
from protocol.testing.spoolworld import TARGETS

IN_MEMORY = Path("/dev/shm")
MODALITIES = {1: "CT", 2: "MR", 3: "XA"}  # by study: a series has one


def image(study: int, instance: int, content: bytes) -> TestImage:
    return TestImage(study, 1, instance, content, MODALITIES[study])


images = st.builds(image, st.sampled_from([1, 1, 1, 2, 3]), st.integers(1, 3), st.sampled_from([b"one", b"other"]))
deaths = st.one_of(st.just(0), st.integers(1, 60))  # 0 lives; else at which effect
processes = st.sampled_from(PROCESSES)
hows = st.sampled_from(["alone", "all", "power"])


class NodeMachine(RuleBasedStateMachine):
    """A node driven by chance."""

    ledgers: Path  # folder of the empty ledger
    dispatchers = 1

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
        ledger = Path(shutil.copy(self.ledgers, self.folder))
        self.node = Node(self.folder / "home", ledger=ledger, dispatchers=self.dispatchers)

    def teardown(self) -> None:
        self.node.close()
        shutil.rmtree(self.folder)

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        self.node.seed = seed

    # ---- deaths ------------------------------------------------------------------------------------------------------
    def act(self, what, dies: int = 0, how: str = "all") -> None:
        """Do it, perhaps dying at an effect of it: one process alone, all, or by a power cut."""
        points = self.node.points
        points.alone = how == "alone"
        if dies:
            points.arm(dies)
        try:
            what()
        except Died:
            self.all_die(how)
        points.disarm()
        points.alone = False

    def all_die(self, how: str) -> None:
        self.node.kill()
        if how == "power":
            self.node.power_cut(Random(self.node.seed + len(self.node.promises)))
        self.node.points.disarm()
        self.node.points.alone = False
        self.node.restart()
        self.node.start()

    @rule(how=st.sampled_from(["all", "power"]))
    def everybody_dies(self, how) -> None:
        self.all_die(how)

    @rule(process=processes)
    def one_dies_between_two_passes(self, process) -> None:
        self.node.revive(process)

    # ---- the world outside -------------------------------------------------------------------------------------------
    @rule(
        sent=st.lists(images, min_size=1, max_size=4),
        calling_ae=st.sampled_from(["CT1", "MR1"]),
        ended=st.sampled_from(["released", "aborted"]),
        dies=deaths,
        how=hows,
    )
    def a_scanner_sends(self, sent, calling_ae, ended, dies, how) -> None:
        self.act(lambda: self.node.scan(*sent, calling_ae=calling_ae, how=ended), dies, how)

    @rule(dies=deaths, how=hows)
    def scanners_repeat(self, dies, how) -> None:
        self.act(self.node.repeat, dies, how)

    @rule(name=st.sampled_from(TARGETS), fault=st.sampled_from(["away", "hang_at", "abort_at", "refuse", "well"]))
    def a_target_changes(self, name, fault) -> None:
        target = self.node.targets[name]
        target.away, target.hang_at, target.abort_at = fault == "away", 0, 0
        target.refuse.clear()
        if fault in ("hang_at", "abort_at"):
            setattr(target, fault, 2)
            self.node.may_repeat += fault == "abort_at"
        elif fault == "refuse":
            target.refuse[TestImage(instance=2).sop_uid] = REFUSED

    @rule(seconds=st.sampled_from([1, 6, 21, 400, 4000]))
    def time_passes(self, seconds) -> None:
        self.node.clock.advance(seconds)

    # ---- people --------------------------------------------------------------------------------------------------------
    @rule(dies=deaths, how=hows)
    def new_rules(self, dies, how) -> None:
        self.act(lambda: self.node.publish(2), dies, how)

    @rule(kind=st.sampled_from(["retry", "hold", "release"]), name=st.sampled_from(TARGETS))
    def a_person_acts_on_the_queue(self, kind, name) -> None:
        self.node.ask(f"queue.{kind}", target=name)

    @rule(kind=st.sampled_from(["hold", "release", "reroute"]), which=st.integers(0, 3))
    def a_person_acts_on_a_series(self, kind, which) -> None:
        for arrival in self.node.arrivals()[-1 - which :][:1]:
            self.node.ask(f"series.{kind}", arrival=arrival["id"])

    @rule(kind=st.sampled_from(["queue.retry", "queue.hold", "queue.release", "series.hold", "series.release", "series.reroute"]),
          where=st.sampled_from([{"source": "CT1"}, {"modality": "CT"}, {"cause": "other"}, {"since": 0.0}]),
          narrow=st.booleans())  # fmt: skip
    def a_person_acts_on_all_that_match(self, kind, where, narrow) -> None:
        states = ["in_delivery"] if narrow and kind in ("series.hold", "series.reroute") else []
        self.node.ask(kind, where={**where, "states": states} if states else where, reason="test")

    @rule(name=st.sampled_from(TARGETS))
    def a_person_routes_what_was_discarded(self, name) -> None:
        for arrival in self.node.arrivals("discarded")[:1]:
            self.node.ask("series.route", arrival=arrival["id"], target=name)

    # ---- actors --------------------------------------------------------------------------------------------------------
    @rule(process=processes, dies=deaths, how=hows)
    def one_works(self, process, dies, how) -> None:
        self.act(lambda: self.node.work(process), dies, how)

    @rule(dies=deaths, how=hows)
    def all_work(self, dies, how) -> None:
        self.act(self.node.work, dies, how)

    @rule(dies=deaths, how=hows)
    def all_come_to_rest(self, dies, how) -> None:
        self.act(self.node.settle, dies, how)
        self.node.settle()
        check_rest(self.node)

    # whole ways, which chance alone would seldom put together

    @rule(sent=st.lists(images, min_size=1, max_size=4), dies=st.integers(0, 200), how=hows)
    def a_series_goes_through(self, sent, dies, how) -> None:
        self.act(lambda: (self.node.scan(*sent), self.node.settle()), dies, how)

    @rule(dies=deaths, how=hows)
    def retention_passes(self, dies, how) -> None:
        self.node.settle()
        self.node.clock.advance(4000)
        self.act(lambda: self.node.work("cleaner"), dies, how)

    @rule()
    def everything_is_delivered_in_the_end(self) -> None:
        self.node.repeat()
        self.node.settle()
        check_rest(self.node)
        check_end(self.node)

    @invariant()
    def guarantees_hold(self) -> None:
        check_always(self.node)


HURRY = settings(
    max_examples=25, stateful_step_count=30, deadline=None, report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
LONG = settings(HURRY, max_examples=2000, stateful_step_count=50)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[NodeMachine]:
    empty = make_ledger(tmp_path)
    quick_ledgers(monkeypatch)
    monkeypatch.setattr(NodeMachine, "ledgers", empty, raising=False)
    return NodeMachine


def test_guarantees_hold_whatever_happens_in_any_order(machine):
    run_state_machine_as_test(machine, settings=HURRY)


def no_adoption(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Adoption, "adopt", lambda self, **options: {})


def no_reaping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reaper, "round", lambda self, now: {})


@pytest.mark.parametrize("fault", [no_adoption, no_reaping])
def test_a_fault_is_found_by_chance_too(machine, monkeypatch, fault):
    fault(monkeypatch)
    search = settings(HURRY, max_examples=300, phases=[Phase.generate], database=None)
    with pytest.raises(AssertionError, match=r"without a row|is lost|not buried|stuck"):
        run_state_machine_as_test(machine, settings=search)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_the_same_for_long(machine):
    run_state_machine_as_test(machine, settings=LONG)
