"""Stories through all actors of a node, dying before and after each effect of every process: no guarantee is ever broken.

By default all die at every third moment (receiving: each) that leaves something else than the one before it (see
`moments`; nudges leave nothing when all die). Sampled, with one seed each: the whole way, whose parts are stories of their
own, one process dying alone while the others live, and power cuts. `--soak` takes every step of everything, with more seeds.
The n effects of each story are printed (pytest -s).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from node_checks import check_always, check_end, check_rest
from node_in_memory import Node, OwnCommitter, make_ledger, quick_ledgers

from actors.bookkeeper import actor as bookkeeping
from actors.router.reaping import Reaper
from protocol.ledger.record import Ledger
from protocol.spool.adoption import Adoption
from protocol.spool.arrivals import Arrivals
from protocol.spool.cleaning import Cleaning
from protocol.spool.deliveries import Deliveries, ImageResult
from protocol.spool.durable import DurableNames
from protocol.spool.images import Receipt
from protocol.spool.outbox import Cursor
from protocol.testing.crash import Scenario, ScenarioFailed, moments, run_at_every_point
from protocol.testing.fakes import REFUSED
from protocol.testing.images import TestImage
from protocol.testing.simfs import SimNewFile
from tests.crash.node_slots import SlowConnection

A, B, C = (TestImage(instance=number) for number in (1, 2, 3))
NEWER_A, NEWER_B = (TestImage(instance=number, content=b"another picture") for number in (1, 2))
MR = TestImage(study=2, modality="MR", content=bytes(70_000))  # too large for a copy in the database
XA = TestImage(study=3, modality="XA")  # no rule names it
HOUR = 3600.0


@pytest.fixture(scope="module")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ledger(tmp_path_factory.mktemp("ledger"))


@pytest.fixture
def nodes(folder: Path, empty_ledger: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """nodes(alone) is a maker of fresh nodes from a seed."""
    quick_ledgers(monkeypatch)
    ledger = Path(shutil.copy(empty_ledger, folder))
    made = iter(range(1_000_000))

    def maker(alone: bool = False) -> Callable[[int], Node]:
        return lambda seed: Node(folder / f"node-{next(made)}", seed, ledger=ledger, alone=alone)

    yield maker


# ---- the stories ------------------------------------------------------------------------------------------------------


def receive(node: Node) -> None:
    """Two associations at once, one released, one aborted."""
    node.want(A, calling_ae="CT1")
    node.want(MR, calling_ae="MR1")

    def go() -> None:
        one, other = node.call("CT1"), node.call("MR1")
        node.store(one, A, "CT1")
        node.store(other, MR, "MR1")
        node.actors["receiver"].one_pass([])  # what is small is synced only now
        node.hang_up(other, "MR1", "aborted")
        node.hang_up(one, "CT1", "released")

    node.act("receiver", go)


def close(node: Node) -> None:
    """The router closes what is complete and decides it."""
    node.work("router")
    node.clock.advance(20.0)
    node.work("router")


def fan_out(node: Node) -> None:
    """One slot delivers to three targets."""
    node.settle("slot")


def late_image(node: Node) -> None:
    """An image comes after its series was closed: an addendum."""
    node.scan(B)
    node.settle("router", "slot")


def failing_target(node: Node) -> None:
    """A target is away: retried with growing waits, parked, and brought through by a person when it is back."""
    node.target("pacs").away = True
    node.settle("router", "slot")
    node.heal()
    node.ask("queue.retry", target="pacs")
    node.settle("router", "slot")


def bad_images(node: Node) -> None:
    """A target refuses one image for good, another one hangs up in the middle."""
    node.target("pacs").refuse[A.sop_uid] = REFUSED
    node.target("archive").hang_at = 2
    node.settle("router", "slot")
    node.heal()
    node.ask("queue.retry", target="pacs")
    node.settle("router", "slot")


def no_rule(node: Node) -> None:
    """No rule names it: discarded, kept; a person routes it."""
    node.scan(XA)
    node.settle("router")
    discarded = node.arrivals("discarded")
    if discarded:
        node.ask("series.route", arrival=discarded[0]["id"], targets=["archive", "pacs"])
    node.settle("router", "slot")


def delete(node: Node) -> None:
    """What was delivered or discarded long enough goes; what is parked stays."""
    node.clock.advance(2 * HOUR)
    node.work("cleaner")
    node.clock.advance(2.0)
    node.work("cleaner")


def superseding(node: Node) -> None:
    """A newer version of an image comes while the older one waits, and another while its own arrival is open."""
    node.scan(NEWER_A, B, NEWER_B)
    node.settle("router", "slot")


def routed_again(node: Node) -> None:
    """A person has an older version sent again that a newer one replaced: the targets keep the newer one."""
    oldest = node.arrivals()[0]["id"]
    node.ask("series.reroute", arrival=oldest)
    node.settle("router", "slot")


def ledger_batches(node: Node) -> None:
    """The bookkeeper alone, several batches."""
    node.settle("bookkeeper")


def new_rules(node: Node) -> None:
    """Another revision while series are under way."""
    node.scan(A)
    node.publish(2)
    node.scan(MR, calling_ae="MR1")
    node.settle("router", "slot")


def whole_way(node: Node) -> None:
    """Everybody works."""
    node.scan(A, B, C)
    node.settle()


# what happened safely before


def nothing(node: Node) -> None:
    return


def received(node: Node) -> None:
    node.scan(A, B, C)
    node.scan(MR, calling_ae="MR1", how="aborted")


def decided(node: Node) -> None:
    node.scan(A, B, C)
    node.settle("router")


def decided_one(node: Node) -> None:
    node.scan(A)
    node.settle("router")


def waiting_in_part(node: Node) -> None:
    """One target has it, for two it waits."""
    node.target("pacs").away = node.target("research").away = True
    node.scan(A)
    node.settle("router")
    for _ in range(3):
        node.actors["slot"].one_pass([])
    node.heal()


def replaced(node: Node) -> None:
    node.scan(A, B)
    node.settle()
    node.scan(NEWER_A)
    node.settle()


def delivered_and_parked(node: Node) -> None:
    node.scan(A, B)
    node.scan(XA)
    node.settle()
    node.target("pacs").away = True
    node.scan(MR, calling_ae="MR1")
    node.settle()


@dataclass(frozen=True)
class Story:
    prepare: Callable[[Node], None]
    run: Callable[[Node], None]
    parked: bool = False  # something may be left for a person


STORIES = {
    "receive": Story(nothing, receive),
    "close": Story(received, close),
    "fan out": Story(decided, fan_out),
    "late image": Story(decided_one, late_image),
    "failing target": Story(decided_one, failing_target, parked=True),
    "bad images": Story(decided, bad_images, parked=True),
    "no rule": Story(nothing, no_rule),
    "delete": Story(delivered_and_parked, delete, parked=True),
    "superseding": Story(waiting_in_part, superseding),
    "routed again": Story(replaced, routed_again),
    "ledger batches": Story(decided, ledger_batches),
    "new rules": Story(nothing, new_rules),
    "whole way": Story(nothing, whole_way),
}


def check(story: Story) -> Callable[[Node], None]:
    """The night after: everybody starts, scanners repeat, all comes to rest; then a person does their part."""

    def go(node: Node) -> None:
        node.start()
        check_always(node)
        node.repeat()
        node.settle()
        check_rest(node)
        assert not any(node.unacknowledged(calling_ae) for _, calling_ae in node.wanted)
        if not story.parked:
            aside = [row for row in node.deliveries() if row["state"] in ("parked", "held")]
            assert not aside, f"set aside without need: {aside}"
        check_end(node)

    return go


def scenario(name: str, nodes: Callable[..., Any], *, alone: bool = False) -> Scenario[Node]:
    story = STORIES[name]
    return Scenario(name, nodes(alone), story.run, check(story), story.prepare)


@pytest.fixture(autouse=True)
def _small_batches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "ledger batches" in request.node.name:
        monkeypatch.setattr(bookkeeping, "BATCH", 5)


def when_all_die(names: Sequence[str]) -> list[int]:
    return moments(names, fleeting=("wire.",))


@pytest.mark.parametrize("name", STORIES)
def test_nothing_is_lost_when_all_die_anywhere(name, nodes):
    every = {"receive": 1, "whole way": 4}.get(name, 3)  # the rest with --soak
    n = run_at_every_point(scenario(name, nodes), power=False, points=when_all_die, every=every)
    print(f"{name}: {n} effects")


@pytest.mark.parametrize("name", STORIES)
def test_nothing_is_lost_when_one_process_dies_anywhere(name, nodes):
    run_at_every_point(scenario(name, nodes, alone=True), power=False, points=moments, every=8, first=2)


@pytest.mark.parametrize("name", STORIES)
def test_nothing_is_lost_when_the_power_is_cut_anywhere(name, nodes):
    every = {"receive": 1, "delete": 1, "late image": 2, "superseding": 3, "new rules": 3}.get(name, 6)  # files matter
    first = min(2, every)  # the moments between those of the deaths alone
    run_at_every_point(scenario(name, nodes), power=True, points=when_all_die, every=every, first=first)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("how", ["all", "alone", "power"])
@pytest.mark.parametrize("name", STORIES)
def test_nothing_is_lost_with_many_seeds(name, how, nodes):
    seeds = range(2, 22) if how == "power" else (2, 3)
    run_at_every_point(scenario(name, nodes, alone=how == "alone"), power=how == "power", seeds=seeds)


# ---- the stories themselves, uninterrupted: they tell what they are for ----------------------------------------------


def told(node: Node, kind: str) -> list[Any]:
    return [one for one in node.spool.outbox.read(Cursor(0, 0), 100_000) if one.type == kind]


@pytest.mark.parametrize("name", STORIES)
def test_without_a_death_nothing_is_sent_twice_and_each_image_arrives(name, nodes):
    node, story = nodes()(1), STORIES[name]
    story.prepare(node)
    story.run(node)
    check(story)(node)
    assert node.deaths == 0 == node.may_repeat  # so the checks allowed no repetition
    node.close()


def test_the_stories_do_what_they_are_named_after(nodes):
    seen = {}
    for name, story in STORIES.items():
        node = nodes()(1)
        story.prepare(node)
        story.run(node)
        seen[name] = {
            "arrivals": [row["state"] for row in node.arrivals()],
            "deliveries": sorted(row["state"] for row in node.deliveries()),
            "events": [one.type for one in node.spool.outbox.read(Cursor(0, 0), 100_000)],
        }
        if name == "failing target":
            failed = told(node, "delivery.attempt.failed")
            waits = [one.data["retry_at"] - one.time for one in failed if one.data["retry_at"]]
            assert len(failed) == 3 and waits == sorted(waits) and waits[1] > 2 * waits[0], "waits grow"
        node.close()
    assert seen["receive"]["arrivals"] == ["open", "open"]
    assert seen["close"]["arrivals"] == ["in_delivery"] * 2
    assert seen["fan out"]["deliveries"] == ["delivered"] * 3
    assert seen["late image"]["arrivals"] == ["delivered"] * 2
    assert "delivery.parked" in seen["failing target"]["events"] and seen["failing target"]["arrivals"] == ["delivered"]
    assert {"delivery.parked", "delivery.images.sent", "delivery.attempt.failed"} <= set(seen["bad images"]["events"])
    assert seen["bad images"]["arrivals"] == ["delivered"]
    assert "arrival.discarded" in seen["no rule"]["events"] and seen["no rule"]["deliveries"] == ["delivered"] * 2
    assert seen["delete"]["arrivals"] == ["deleted", "deleted", "in_delivery"]
    assert seen["superseding"]["events"].count("image.superseded") == 2
    assert seen["routed again"]["deliveries"] == ["delivered"] * 9
    assert seen["new rules"]["deliveries"] == ["delivered"] * 3


# ---- negative controls: each leaves out one thing that some actor does, and must be found out -------------------------


def acknowledge_before_saving(monkeypatch: Any) -> None:
    honest = Node.store

    def store(self: Node, association: bytes, image: TestImage, calling_ae: str) -> None:
        self.acknowledge(image, calling_ae)
        self.acknowledge = lambda *_: None  # type: ignore[method-assign]
        honest(self, association, image, calling_ae)
        del self.acknowledge

    monkeypatch.setattr(Node, "store", store)


def no_sync_of_data(monkeypatch: Any) -> None:
    monkeypatch.setattr(SimNewFile, "sync", lambda self: None)


def no_sync_of_names(monkeypatch: Any) -> None:
    monkeypatch.setattr(DurableNames, "settle", lambda self, path: None)


def no_adoption(monkeypatch: Any) -> None:
    monkeypatch.setattr(Adoption, "adopt", lambda self, **options: {})


def no_reaping(monkeypatch: Any) -> None:
    monkeypatch.setattr(Reaper, "round", lambda self, now: {})


def confirm_before_sending(monkeypatch: Any) -> None:
    honest = SlowConnection.open

    def open_(self: Any, images: Any, alive: Any) -> Any:
        session = honest(self, images, alive)
        claim = CLAIMS[-1]
        results = [ImageResult(one.position, one.file.receipt, 0, True) for one in claim.images]
        DELIVERIES[-1].confirm(claim, results)
        return session

    def claim(self: Deliveries, *args: Any) -> Any:
        got = taking(self, *args)
        if got is not None:
            CLAIMS.append(got)
            DELIVERIES.append(self)
        return got

    taking = Deliveries.claim
    monkeypatch.setattr(Deliveries, "claim", claim)
    monkeypatch.setattr(SlowConnection, "open", open_)


CLAIMS: list[Any] = []
DELIVERIES: list[Deliveries] = []


def never_confirm_in_groups(monkeypatch: Any) -> None:
    """An attempt whose answers are recorded only at its end: a death repeats more than a group."""
    monkeypatch.setattr("actors.dispatcher.attempt.GROUP_S", 1e9)


def deaf_to_commands(monkeypatch: Any) -> None:
    """The router never looks at what people ask."""
    monkeypatch.setattr("actors.router.commands.Commands.round", lambda self: (0, False))


def unlink_without_a_mark(monkeypatch: Any) -> None:
    honest = Cleaning.mark

    def mark(self: Cleaning, id: int, retention: Any) -> bool:
        with self._db.read() as connection:
            rows = connection.execute("SELECT file FROM image WHERE arrival = ?", (id,)).fetchall()
        for row in rows:
            self._fs.unlink(self._places.images / row["file"])
        return honest(self, id, retention)

    monkeypatch.setattr(Cleaning, "mark", mark)


def cursor_in_its_own_transaction(monkeypatch: Any) -> None:
    """The ledger's cursor is moved first: what dies in between is never written."""
    honest = Ledger.record

    def record_(self: Ledger, batch: Any, before: Any, after: Any) -> Any:
        honest(self, [], before, after)
        return honest(self, batch, after, after)

    monkeypatch.setattr(Ledger, "record", record_)


def close_and_forget(monkeypatch: Any) -> None:
    """An arrival that a former router closed is not decided by the next one."""
    monkeypatch.setattr(Arrivals, "undecided", lambda self, limit=100: [])


def the_row_never_follows(monkeypatch: Any) -> None:
    """What is acknowledged is taken for recorded, and is not: nobody will ever look at the file."""

    def commit_rest(self: OwnCommitter) -> Any:
        group, self._behind = self._behind, []
        for ticket in group:
            ticket.receipt = Receipt(ticket.saved.receipt, "duplicate", 0)
        return group[-1].receipt if group else None

    monkeypatch.setattr(OwnCommitter, "commit_rest", commit_rest)


FAULTS = [
    ("receive", acknowledge_before_saving),
    ("receive", no_sync_of_data),
    ("receive", no_sync_of_names),
    ("receive", no_adoption),
    ("receive", the_row_never_follows),
    ("close", close_and_forget),
    ("fan out", confirm_before_sending),
    ("fan out", never_confirm_in_groups),
    ("fan out", no_reaping),
    ("no rule", deaf_to_commands),
    ("delete", unlink_without_a_mark),
    ("ledger batches", cursor_in_its_own_transaction),
]
ONLY_POWER_TELLS = (no_sync_of_data, no_sync_of_names)  # a process that dies takes nothing unsynced with it


@pytest.mark.parametrize(("name", "fault"), FAULTS, ids=[fault.__name__ for _, fault in FAULTS])
def test_a_fault_in_an_actor_is_found(name, fault, nodes, monkeypatch):
    fault(monkeypatch)
    with pytest.raises(ScenarioFailed) as found:
        for power in (True,) if fault in ONLY_POWER_TELLS else (False, True):
            run_at_every_point(scenario(name, nodes), power=power, points=when_all_die)
    print(str(found.value)[:300])
