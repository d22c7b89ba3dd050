"""Stories of storage commitment, dying before and after each effect of every process: no report is a lie, none is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from node_checks import check_always, check_end, check_rest
from node_in_memory import COMMITTING, Node, make_ledger, quick_ledgers

from protocol.spool.commitments import Commitments
from protocol.spool.confirmations import Confirmations
from protocol.spool.outbox import Cursor
from protocol.testing.crash import Scenario, ScenarioFailed, moments, run_at_every_point
from protocol.testing.images import TestImage
from tests.crash.committing import Committing, Wanted

A, B = (TestImage(instance=number) for number in (1, 2))
XA = TestImage(study=3, modality="XA")  # no rule names it
ALL = ("receiver", "router", "slot")


@pytest.fixture(scope="module")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ledger(tmp_path_factory.mktemp("ledger"))


@pytest.fixture
def nodes(folder: Path, empty_ledger: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    quick_ledgers(monkeypatch)
    ledger = Path(shutil.copy(empty_ledger, folder))
    made = iter(range(1_000_000))
    yield lambda alone=False: lambda seed: Node(folder / f"node-{next(made)}", seed, ledger=ledger, alone=alone)


# ---- the stories ------------------------------------------------------------------------------------------------------


def asked_before_the_images(node: Node) -> None:
    """A scanner asks before its images are stored; two targets get them, one of them commits."""
    node.committing.ask("CT1", "1.1", A, B)
    node.scan(A, B)
    node.settle(*ALL)


def asked_on_the_association_of_the_images(node: Node) -> None:
    """The request is on the association that brings the image, which ends by a crash of the scanner."""
    node.want(A)
    one = Wanted("CT1", "1.2", (A,))
    node.committing.wanted.append(one)

    def go() -> None:
        association = node.call("CT1")
        node.store(association, A, "CT1")
        node.committing.request(association, one)
        node.hang_up(association, "CT1", "lost")

    node.act("receiver", go)
    node.settle(*ALL)


def kept_here(node: Node) -> None:
    """What is durable here is committed, and no rule wants it: held, then routed by a person."""
    node.scan(XA, calling_ae="KEEP1")
    node.committing.ask("KEEP1", "1.3", XA)
    node.settle(*ALL)
    for row in node.arrivals("held"):
        node.ask("series.route", arrival=row["id"], target="archive")
    node.settle(*ALL)
    node.clock.advance(7200.0)
    node.work("cleaner")


def scanner_away(node: Node) -> None:
    """The report finds nobody; it is repeated with growing waits."""
    node.committing.scanners_away = True
    node.scan(A)
    node.committing.ask("CT1", "1.4", A)
    for _ in range(6):
        node.work(*ALL)
        node.clock.advance(20.0)
    node.heal()
    node.settle(*ALL)


def target_forgets(node: Node) -> None:
    """A target does not commit to one image: it is sent again, and then it does."""
    node.committing.uncommitted.add(B.sop_uid)
    node.committing.ask("CT1", "1.5", A, B)
    node.scan(A, B)
    for _ in range(4):
        node.work(*ALL)
        node.clock.advance(5.1)
    node.heal()
    node.settle(*ALL)


def target_is_silent(node: Node) -> None:
    """A target never reports: parked; a person has it asked again."""
    node.committing.silent.add("pacs")
    node.scan(A)
    node.settle(*ALL)
    node.heal()
    node.ask("queue.retry", target="pacs")
    node.settle(*ALL)


@dataclass(frozen=True)
class Story:
    run: Callable[[Node], None]
    reported: bool = True


STORIES = {
    "before the images": Story(asked_before_the_images),
    "with the images": Story(asked_on_the_association_of_the_images),
    "kept here": Story(kept_here),
    "scanner away": Story(scanner_away),
    "target forgets": Story(target_forgets),
    "target is silent": Story(target_is_silent, reported=False),
}


def prepare(node: Node) -> None:
    for revision in (2, COMMITTING):
        node.publish(revision)
    node.work()


def check(node: Node) -> None:
    node.start()
    check_always(node)
    node.repeat()
    node.committing.repeat()
    node.heal()
    node.settle()
    check_rest(node)
    check_end(node)


def scenario(name: str, nodes: Callable[..., Any], *, alone: bool = False) -> Scenario[Node]:
    return Scenario(name, nodes(alone), STORIES[name].run, check, prepare)


def when_all_die(names: Any) -> list[int]:
    return moments(names, fleeting=("wire.",))


@pytest.mark.parametrize("name", STORIES)
def test_no_request_or_report_is_lost_when_all_die_anywhere(name, nodes):
    n = run_at_every_point(scenario(name, nodes), power=False, points=when_all_die, every=11)
    print(f"{name}: {n} effects")


@pytest.mark.parametrize("name", STORIES)
def test_no_request_or_report_is_lost_when_one_process_dies_anywhere(name, nodes):
    run_at_every_point(scenario(name, nodes, alone=True), power=False, points=moments, every=29, first=2)


@pytest.mark.parametrize("name", STORIES)
def test_no_request_or_report_is_lost_when_the_power_is_cut_anywhere(name, nodes):
    run_at_every_point(scenario(name, nodes), power=True, points=when_all_die, every=31, first=3)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("how", ["all", "alone", "power"])
@pytest.mark.parametrize("name", STORIES)
def test_the_same_at_every_step(name, how, nodes):
    run_at_every_point(scenario(name, nodes, alone=how == "alone"), power=how == "power", seeds=(2, 3))


@pytest.mark.parametrize("name", STORIES)
def test_the_stories_do_what_they_are_named_after(name, nodes):
    node = nodes()(1)
    prepare(node)
    STORIES[name].run(node)
    states = [row["state"] for row in node.spool.commitments.list()]
    assert states == ["reported"] * STORIES[name].reported
    failed = [report.failed for told in node.committing.reports.values() for report in told]
    assert failed == [()] * STORIES[name].reported, "each once, and everything is committed"
    assert {row["state"] for row in node.deliveries()} == {"delivered"}
    told = [one.type for one in node.spool.outbox.read(Cursor(0, 0), 100_000)]
    assert ("commitment.report.failed" in told) == (name == "scanner away")
    assert ("arrival.held" in told) == (name == "kept here")
    assert ("delivery.parked" in told) == (name == "target is silent")
    assert ("delivery.attempt.failed" in told) == (name in ("target forgets", "target is silent"))
    check(node)
    node.close()


# ---- negative controls ------------------------------------------------------------------------------------------------


def acknowledge_before_keeping(monkeypatch: Any) -> None:
    honest = Committing.request

    def request(self: Committing, association: bytes, one: Wanted) -> None:
        self.acknowledge(one)
        honest(self, association, one)

    monkeypatch.setattr(Committing, "request", request)


def reported_before_sending(monkeypatch: Any) -> None:
    """The receiver writes down that a report was taken, and sends it then."""
    honest = Commitments.due

    def due(self: Commitments, *args: Any) -> Any:
        found = honest(self, *args)
        for one in found:
            self.reported(one.id, "new", 0)
        return found

    monkeypatch.setattr(Commitments, "due", due)


def success_is_enough(monkeypatch: Any) -> None:
    """A delivery counts as confirmed without a word of the target."""
    monkeypatch.setattr("actors.router.answering.Settling._unanswered",
                        lambda self, one: self._spool.confirmations.complete(one.delivery))  # fmt: skip


def forget_promises(monkeypatch: Any) -> None:
    monkeypatch.setattr("protocol.spool.settling.is_promised", lambda tx, id: False)
    monkeypatch.setattr("protocol.spool.commitments.hold_promised", lambda tx, row: None)
    monkeypatch.setattr("protocol.spool.cleaning.PROMISED", "0")


def unknown_reports(monkeypatch: Any) -> None:
    """A transaction is kept only after the target was asked for it."""
    honest = Confirmations.answered
    monkeypatch.setattr(Confirmations, "answered",
                        lambda self, uid, done, failed: honest(self, uid, done, failed) and None)  # fmt: skip


def near(what: str) -> Callable[[Any], list[int]]:
    """The moments around effects of this name, where a fault must show."""
    return lambda names: [n for n in when_all_die(names) if any(what in name for name in names[max(0, n - 3) : n + 6])]


@pytest.mark.parametrize(
    ("fault", "name", "effect"),
    [
        (acknowledge_before_keeping, "before the images", "acknowledge"),
        (reported_before_sending, "before the images", "scanner.report"),
        (success_is_enough, "target is silent", ""),
        (forget_promises, "kept here", ""),
        (unknown_reports, "before the images", ""),
    ],
)
def test_a_fault_is_found(fault, name, effect, nodes, monkeypatch):
    fault(monkeypatch)
    with pytest.raises(ScenarioFailed):
        run_at_every_point(scenario(name, nodes), power=False, points=near(effect))
