"""Three dispatcher instances over one spool, each in the middle of something while the others work; any of them dies anywhere.

Each image reaches each of its targets, nothing is stuck, no delivery is held by two, a death repeats at most a group of
confirmed images for each slot, and who is told to stop hands back what it holds after the image under way.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from node_checks import check_always, check_end, check_rest
from node_in_memory import Node, make_ledger, quick_ledgers
from test_node_machine import HURRY, LONG, NodeMachine, deaths, hows, images

from protocol.spool import claiming
from protocol.spool.outbox import Cursor
from protocol.testing.crash import Scenario, ScenarioFailed, moments, run_at_every_point
from protocol.testing.images import TestImage
from tests.crash.node_slots import WatchedSlot

SERIES = [TestImage(study=1, series=series, instance=instance) for series in (1, 2) for instance in (1, 2, 3)]
MR = TestImage(study=2, modality="MR")
NEWER = TestImage(study=1, series=1, instance=3, content=b"another picture")


@pytest.fixture(scope="module")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ledger(tmp_path_factory.mktemp("ledger"))


@pytest.fixture
def nodes(folder: Path, empty_ledger: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    quick_ledgers(monkeypatch)
    ledger = Path(shutil.copy(empty_ledger, folder))
    made = iter(range(1_000_000))

    def maker(alone: bool = False) -> Callable[[int], Node]:
        return lambda seed: Node(folder / f"node-{next(made)}", seed, ledger=ledger, alone=alone, dispatchers=3)

    yield maker


# ---- stories


def decided(node: Node) -> None:
    node.scan(*SERIES)
    node.scan(MR, calling_ae="MR1")
    node.settle("router")


def decided_one(node: Node) -> None:
    node.scan(*SERIES[:3])
    node.settle("router")


def fan_out(node: Node) -> None:
    """Seven deliveries to three targets by three slots; only they work, as when the router is away."""
    node.settle("slot")


def bad_targets(node: Node) -> None:
    """One target is away, one hangs up in the middle; a person retries what was parked."""
    node.target("pacs").away = True
    node.target("archive").abort_at = 2
    node.may_repeat += 1
    node.settle("router", "slot")
    node.heal()
    node.ask("queue.retry", target="pacs")
    node.settle("router", "slot")


def stopped(node: Node) -> None:
    """Two of three are told to stop, each in the middle of a series."""
    node.stop_after = {"slot": 2, "slot-1": 1}
    node.settle("router", "slot")


def newer_version(node: Node) -> None:
    """An image is replaced while a slot has its older version in hand."""
    node.meanwhile = lambda: (node.scan(NEWER), node.settle("router"))  # type: ignore[assignment, return-value]
    node.settle("router", "slot")


STORIES = {"fan out": fan_out, "bad targets": bad_targets, "stopped": stopped, "newer version": newer_version}
PREPARED = {"newer version": decided_one}


def check(node: Node) -> None:
    node.start()
    check_always(node)
    node.repeat()
    node.settle()
    check_rest(node)
    check_end(node)


def scenario(name: str, nodes: Callable[..., Any], *, alone: bool = False) -> Scenario[Node]:
    return Scenario(name, nodes(alone), STORIES[name], check, PREPARED.get(name, decided))


def when_all_die(names: Any) -> list[int]:
    return moments(names, fleeting=("wire.",))


def overlapping(node: Node) -> int:
    """How many deliveries were begun while another one was not done."""
    open_now, most = 0, 0
    for one in node.spool.outbox.read(Cursor(0, 0), 100_000):
        open_now += one.type == "delivery.claimed"
        open_now -= one.type in ("delivery.completed", "delivery.attempt.failed", "delivery.attempt.interrupted")
        most = max(most, open_now)
    return most


def test_the_three_are_in_the_middle_of_something_at_the_same_time(nodes):
    node = nodes()(1)
    decided(node)
    fan_out(node)
    assert overlapping(node) == 3
    assert len({row["owner"] for row in owners(node)}) == 3
    check(node)
    assert node.deaths == 0 == node.may_repeat, "so the checks allowed no repetition"
    node.close()


def test_a_newer_version_that_comes_in_the_middle_is_the_last_one_at_each_target(nodes):
    node = nodes()(1)
    decided_one(node)
    newer_version(node)
    assert any(len(times) > 1 for target in node.targets.values() for times in target.received.values()), (
        "both were sent"
    )
    check(node)
    node.close()


def owners(node: Node) -> list[dict[str, Any]]:
    return [one.data for one in node.spool.outbox.read(Cursor(0, 0), 100_000) if one.type == "delivery.claimed"]


def test_who_is_told_to_stop_hands_back_after_the_image_under_way(nodes):
    node = nodes()(1)
    decided(node)
    stopped(node)
    assert node.stop_after == {}, "both were in the middle of a series"
    told = [one.type for one in node.spool.outbox.read(Cursor(0, 0), 100_000)]
    assert told.count("delivery.attempt.interrupted") == 2
    check(node)
    assert not [row for row in node.deliveries() if row["deaths"] or row["attempts"] > 1], "no attempt is used up"
    node.close()


@pytest.mark.parametrize("name", STORIES)
def test_nothing_is_lost_or_stuck_when_all_die_anywhere(name, nodes):
    run_at_every_point(scenario(name, nodes), power=False, points=when_all_die, every=7)


@pytest.mark.parametrize("name", STORIES)
def test_nothing_is_lost_or_stuck_when_one_dies_anywhere_and_the_others_live(name, nodes):
    run_at_every_point(scenario(name, nodes, alone=True), power=False, points=moments, every=11, first=2)


@pytest.mark.parametrize("name", STORIES)
def test_nothing_is_lost_or_stuck_when_the_power_is_cut_anywhere(name, nodes):
    run_at_every_point(scenario(name, nodes), power=True, points=when_all_die, every=13, first=3)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("how", ["all", "alone", "power"])
@pytest.mark.parametrize("name", STORIES)
def test_nothing_is_lost_with_many_seeds(name, how, nodes):
    seeds = range(2, 12) if how == "power" else (2, 3)
    run_at_every_point(scenario(name, nodes, alone=how == "alone"), power=how == "power", seeds=seeds)


# ---- negative controls


def two_claim_one(monkeypatch: Any) -> None:
    """A claim that does not look whether somebody has it."""
    wanted = "state IN ('waiting', 'retrying')"
    for name in ("READY", "READY_ID"):
        text = getattr(claiming, name).replace(wanted, "state IN ('waiting', 'retrying', 'sending')")
        monkeypatch.setattr(claiming, name, text)


def newer_ones_overtake(monkeypatch: Any) -> None:
    monkeypatch.setattr(claiming, "_OVERTAKES", "SELECT 1 WHERE :id < 0 AND :target = ''")


def deaf_to_a_stop(monkeypatch: Any) -> None:
    honest = WatchedSlot.__init__

    def init(self: Any, **more: Any) -> None:
        honest(self, **{**more, "stopping": lambda: False})

    monkeypatch.setattr(WatchedSlot, "__init__", init)


@pytest.mark.parametrize(
    ("name", "fault", "found"),
    [
        ("fan out", two_claim_one, "two dispatchers hold"),
        ("newer version", newer_ones_overtake, "has an older"),
        ("stopped", deaf_to_a_stop, "after it was told to stop"),
    ],
)
def test_a_fault_of_a_dispatcher_is_found(name, fault, found, nodes, monkeypatch):
    fault(monkeypatch)
    with pytest.raises((ScenarioFailed, AssertionError), match=found):
        node = nodes()(1)
        PREPARED.get(name, decided)(node)
        STORIES[name](node)
        check(node)


# ---- by chance


class ThreeMachine(NodeMachine):
    """The node of test_node_machine with three dispatchers, which are told to stop now and then."""

    dispatchers = 3

    @rule(which=st.integers(0, 2), after=st.integers(1, 3), dies=deaths, how=hows)
    def a_dispatcher_is_told_to_stop(self, which, after, dies, how) -> None:
        self.node.stop_after[self.node.slots[which]] = after
        self.act(lambda: self.node.work("slot"), dies, how)

    @rule(sent=st.lists(images, min_size=1, max_size=2), dies=deaths, how=hows)
    def a_scanner_sends_while_a_slot_is_in_the_middle(self, sent, dies, how) -> None:
        self.node.meanwhile = lambda: (self.node.scan(*sent), self.node.settle("router"))
        self.act(lambda: self.node.settle("router", "slot"), dies, how)
        self.node.meanwhile = None


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_ledger: Path) -> type[ThreeMachine]:
    quick_ledgers(monkeypatch)
    monkeypatch.setattr(ThreeMachine, "ledgers", empty_ledger, raising=False)
    return ThreeMachine


def test_guarantees_hold_with_three_dispatchers_in_any_order(machine):
    run_state_machine_as_test(machine, settings=settings(HURRY, max_examples=15))


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_the_same_for_long(machine):
    run_state_machine_as_test(machine, settings=LONG)
