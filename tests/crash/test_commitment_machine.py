"""Storage commitment among everything else that may happen to a node, in any order, with deaths anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test
from node_in_memory import COMMITTING, make_ledger, quick_ledgers
from test_node_machine import NodeMachine, deaths, hows, images


class CommitmentMachine(NodeMachine):
    """CT1 and MR1 are answered by what the targets have, pacs is asked itself, KEEP1 is answered by what is here."""

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        super().begin(seed)
        for revision in (2, COMMITTING):
            self.node.publish(revision)
        self.node.work()
        self.asked = 0

    @rule(
        asked=st.lists(images, min_size=1, max_size=3),
        calling_ae=st.sampled_from(["CT1", "MR1"]),
        dies=deaths,
        how=hows,
    )
    def a_scanner_asks(self, asked, calling_ae, dies, how) -> None:
        self.asked += 1
        transaction = f"1.{self.asked}"
        self.act(lambda: self.node.committing.ask(calling_ae, transaction, *asked), dies, how)

    @rule(sent=st.lists(images, min_size=1, max_size=3), dies=st.integers(0, 120), how=hows)
    def a_scanner_sends_to_be_kept_and_asks(self, sent, dies, how) -> None:
        self.asked += 1
        transaction = f"1.{self.asked}"

        def go() -> None:
            self.node.scan(*sent, calling_ae="KEEP1")
            self.node.committing.ask("KEEP1", transaction, *sent)
            self.node.settle("receiver", "router")

        self.act(go, dies, how)

    @rule(away=st.booleans())
    def scanners_cannot_be_reached(self, away) -> None:
        self.node.committing.scanners_away = away

    @rule(silent=st.booleans(), instance=st.sampled_from(["", "2.25.4711.1.1.1", "2.25.4711.2.1.2"]))
    def pacs_forgets_or_is_silent(self, silent, instance) -> None:
        self.node.committing.silent = {"pacs"} if silent else set()
        self.node.committing.uncommitted = {instance} if instance else set()

    @rule(dies=st.integers(0, 150), how=hows)
    def everything_is_delivered_and_reported(self, dies, how) -> None:
        self.act(lambda: (self.node.heal(), self.node.settle()), dies, how)
        self.node.committing.repeat()
        self.everything_is_delivered_in_the_end()


HURRY = settings(
    max_examples=8, stateful_step_count=25, deadline=None, report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[CommitmentMachine]:
    empty = make_ledger(tmp_path)
    quick_ledgers(monkeypatch)
    monkeypatch.setattr(CommitmentMachine, "ledgers", empty, raising=False)
    return CommitmentMachine


def test_no_promise_is_broken_whatever_happens_in_any_order(machine):
    run_state_machine_as_test(machine, settings=HURRY)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_the_same_for_long(machine):
    run_state_machine_as_test(machine, settings=settings(HURRY, max_examples=1000, stateful_step_count=40))
