"""The spool alone, dying before and after each of its effects, by kill -9 and by power cut: no promise is ever broken.

Every check after a death goes the whole way a real night would: recover, let the senders repeat what was not
acknowledged, cut the power once more, recover again, deliver everything.
"""

from random import Random

import pytest

from protocol.spool import Cursor
from protocol.spool.adoption import Adoption
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.cleaning import Retention
from protocol.spool.deliveries import ImageResult
from protocol.spool.durable import DurableNames
from protocol.spool.images import Images, Receipt
from protocol.spool.intake import Writer
from protocol.spool.workers import Workers
from protocol.testing.crash import Scenario, ScenarioFailed, moments_of_one, run_at_every_point
from protocol.testing.fakes import REFUSED
from protocol.testing.images import TestImage
from protocol.testing.promises import check_end, check_promises
from protocol.testing.simfs import SimFs, SimNewFile
from protocol.testing.spoolworld import SpoolWorld

A, B, C, D = (TestImage(instance=number) for number in (1, 2, 3, 4))
NEWER_A = TestImage(instance=1, content=b"another picture")
ODD = TestImage(study=9, content=b"odd one")


def receive(world: SpoolWorld) -> None:
    world.receive(A, B)


def receive_many(world: SpoolWorld) -> None:
    world.receive(A, B, C, D)


def receive_in_groups(world: SpoolWorld) -> None:
    one, other = world.connect("CT1"), world.connect("MR1")
    world.send(one, A, B)
    world.send(other, TestImage(study=2), ODD, reason=None)
    world.hang_up(one, "released")
    world.hang_up(other, "aborted")


def receive_twice(world: SpoolWorld) -> None:
    world.receive(A, A)
    association = world.connect()
    world.send(association, B, B, NEWER_A)


def quarantine(world: SpoolWorld) -> None:
    association = world.connect()
    world.send(association, ODD, reason="cannot be read")
    world.send(association, A)
    world.hang_up(association, "released")


def close_and_decide(world: SpoolWorld) -> None:
    world.close_arrivals()
    world.decide()


def late_image(world: SpoolWorld) -> None:
    world.receive(A)
    world.close_arrivals()
    world.receive(B)
    world.decide()
    world.close_arrivals()
    world.receive(NEWER_A)
    world.decide()
    world.close_arrivals()
    world.decide()


def deliver(world: SpoolWorld) -> None:
    while claim := world.claim():
        world.deliver(claim)


def deliver_with_failures(world: SpoolWorld) -> None:
    world.targets["archive"].abort_at = 2
    world.targets["pacs"].away = True
    world.targets["research"].refuse[B.sop_uid] = REFUSED
    deliver(world)
    world.targets["pacs"].away = False
    world.targets["research"].refuse.clear()
    world.clock.advance(61)
    deliver(world)


def stop_in_the_middle(world: SpoolWorld) -> None:
    claim = world.claim()
    world.spool.deliveries.give_back(claim)
    claim = world.claim()
    world.spool.deliveries.hold_claimed(claim, "its target is gone")
    world.worker("dispatcher").leave()


def act(world: SpoolWorld) -> None:
    """What people do: every command takes effect once, with its answer, or not at all."""
    spool = world.spool
    arrival = spool.arrivals.list()[0]["id"]
    spool.arrivals.decide(arrival, Verdict("hold", 1, reason="by rule"))
    command = spool.commands.ask("series.release", "ann", {"arrival": arrival})
    spool.arrivals.release(arrival, command)
    world.decide()
    delivery = spool.deliveries.list()[0]["id"]
    for kind in ("hold", "release", "cancel", "retry"):
        command = spool.commands.ask(f"queue.{kind}", "ann", {"delivery": delivery})
        spool.deliveries.change([delivery], kind, command)
    command = spool.commands.ask("series.route", "ann", {"arrival": arrival, "target": "pacs"})
    spool.arrivals.decide(arrival, Verdict("route", 1, [TargetChoice("pacs")], command=command))


def clean(world: SpoolWorld) -> None:
    world.clock.advance(1000)
    now = world.clock.now()
    retention = Retention(now - 1, now - 1, now - 1)
    for arrival in world.spool.cleaning.deletable(retention):
        world.spool.cleaning.mark(arrival, retention)
        world.spool.cleaning.remove_files(arrival)
    world.clock.advance(10)
    world.purged |= {image.sop_uid for image in (A, B, C)}
    world.spool.purging.arrivals(world.clock.now())


# what happened safely before


def nothing(world: SpoolWorld) -> None:
    world.worker("receiver")


def received(world: SpoolWorld) -> None:
    world.receive(A, B, C)


def closed(world: SpoolWorld) -> None:
    received(world)
    world.close_arrivals()


def decided(world: SpoolWorld) -> None:
    closed(world)
    world.decide()
    world.worker("dispatcher")


def delivered(world: SpoolWorld) -> None:
    decided(world)
    deliver(world)


STORIES = {
    "receive": (nothing, receive, (A, B)),
    "receive many": (nothing, receive_many, (A, D)),
    "receive in groups": (nothing, receive_in_groups, (A, B, ODD)),
    "receive twice": (nothing, receive_twice, (A, B)),
    "quarantine": (nothing, quarantine, (A,)),
    "close and decide": (received, close_and_decide, ()),
    "late image": (nothing, late_image, (A, B)),
    "deliver": (decided, deliver, ()),
    "deliver with failures": (decided, deliver_with_failures, ()),
    "stop in the middle": (decided, stop_in_the_middle, ()),
    "act": (closed, act, ()),
    "clean": (delivered, clean, ()),
}


def check(repeated):
    """The night after the death."""

    def go(world: SpoolWorld) -> None:
        world.recover()
        check_promises(world)
        if repeated:
            world.clock.advance(86400)  # the repetition comes into another day's folder
            world.receive(*repeated)
            check_promises(world)
        world.power_cut(Random(world.seed + world.points.count))
        world.restart()
        world.recover()
        check_promises(world)
        world.finish()
        check_end(world)

    return go


ALONE = [name for name in STORIES if name != "receive many"]  # differs only where files are made ahead


@pytest.mark.parametrize("name", ALONE)
def test_nothing_is_lost_when_the_process_dies_anywhere(name, worlds):
    prepare, run, repeated = STORIES[name]
    run_at_every_point(Scenario(name, worlds(), run, check(repeated), prepare), power=False, points=moments_of_one)


@pytest.mark.parametrize("name", ALONE)
def test_nothing_is_lost_when_the_power_is_cut_anywhere(name, worlds):
    prepare, run, repeated = STORIES[name]
    run_at_every_point(Scenario(name, worlds(), run, check(repeated), prepare), power=True, points=moments_of_one)


# The same as the receiver does it: acknowledged when the file is synced, under a name that was made durable ahead.
BRINGING = ("receive", "receive many", "receive in groups", "receive twice", "late image", "clean")


@pytest.mark.parametrize("power", [False, True], ids=["kill", "power cut"])
@pytest.mark.parametrize("name", BRINGING)
def test_nothing_is_lost_of_images_whose_rows_follow(name, power, worlds):
    prepare, run, repeated = STORIES[name]
    run_at_every_point(
        Scenario(name, worlds("early"), run, check(repeated), prepare), power=power, points=moments_of_one
    )


@pytest.mark.soak
@pytest.mark.parametrize("power", [False, True], ids=["kill", "power cut"])
@pytest.mark.parametrize("name", STORIES)
def test_nothing_is_lost_with_many_seeds(name, power, worlds):
    prepare, run, repeated = STORIES[name]
    run_at_every_point(Scenario(name, worlds(), run, check(repeated), prepare), power=power, seeds=range(2, 22))


# Negative controls: each leaves out one thing that the spool does, and must be found out.


def no_syncs(monkeypatch) -> None:
    monkeypatch.setattr(SimFs, "sync_dir", lambda self, path: None)


def no_data_sync(monkeypatch) -> None:
    monkeypatch.setattr(SimNewFile, "sync", lambda self: None)


def parents_only_when_made(monkeypatch) -> None:
    monkeypatch.setattr(DurableNames, "_above", lambda self, path: [])


def adopt_as_found(monkeypatch) -> None:
    monkeypatch.setattr(DurableNames, "settle_found", lambda self, path: None)


def forget_to_adopt(monkeypatch) -> None:
    monkeypatch.setattr(Adoption, "adopt", lambda self, **options: {})


def forget_the_dead(monkeypatch) -> None:
    monkeypatch.setattr(Workers, "dead", lambda self, actor=None: [])


def acknowledge_before_the_row(monkeypatch) -> None:
    def commit(self, saved):
        return [Receipt(one.receipt, "stored") for one in saved] if len(saved) == 1 else honest(self, saved)

    honest = Images.commit
    monkeypatch.setattr(Images, "commit", commit)


def confirm_before_sending(monkeypatch) -> None:
    def deliver(self, claim, *, group=1):
        self.spool.deliveries.confirm(
            claim, [ImageResult(image.position, image.file.receipt, 0, True) for image in claim.images]
        )
        honest(self, claim, group=group)

    honest = SpoolWorld.deliver
    monkeypatch.setattr(SpoolWorld, "deliver", deliver)


def unlink_without_sync(monkeypatch) -> None:
    monkeypatch.setattr(DurableNames, "settle_removed", lambda self, folder: None)


@pytest.mark.parametrize(
    ("story", "fault"),
    [
        ("receive", no_syncs),
        ("receive", no_data_sync),
        ("receive", parents_only_when_made),
        ("receive", adopt_as_found),
        ("receive", forget_to_adopt),
        ("receive", forget_the_dead),
        ("receive", acknowledge_before_the_row),
        ("deliver", confirm_before_sending),
        ("deliver", forget_the_dead),
        ("clean", unlink_without_sync),
    ],
)
def test_a_fault_in_the_spool_is_found(story, fault, worlds, monkeypatch):
    fault(monkeypatch)
    prepare, run, repeated = STORIES[story]
    with pytest.raises(ScenarioFailed):
        for power in (False, True):
            run_at_every_point(Scenario(story, worlds(), run, check(repeated), prepare), power=power, seeds=(1, 2))


def names_made_ahead_are_not_synced(monkeypatch) -> None:
    def prepare(self) -> None:
        sync, self.names.settle = self.names.settle, lambda path: None
        honest(self)
        self.names.settle = sync

    honest = Writer.prepare
    monkeypatch.setattr(Writer, "prepare", prepare)


@pytest.mark.parametrize("fault", [no_data_sync, names_made_ahead_are_not_synced, no_syncs, forget_to_adopt])
def test_a_fault_with_rows_that_follow_is_found(fault, worlds, monkeypatch):
    fault(monkeypatch)
    prepare, run, repeated = STORIES["receive many"]
    with pytest.raises(ScenarioFailed):
        run_at_every_point(
            Scenario("receive many", worlds("early"), run, check(repeated), prepare), power=True, seeds=(1, 2, 3)
        )


# Relaxed durability: kill -9 loses nothing; a power cut may lose what is recent, and the books agree all the same.


def check_relaxed(world: SpoolWorld) -> None:
    world.recover()
    check_promises(world)
    world.finish()
    check_end(world)


@pytest.mark.parametrize("name", ["receive in groups", "late image", "deliver", "clean"])
def test_relaxed_durability_survives_kill(name, worlds):
    prepare, run, _ = STORIES[name]
    run_at_every_point(
        Scenario(name, worlds("relaxed"), run, check_relaxed, prepare), power=False, points=moments_of_one
    )


@pytest.mark.parametrize("name", ["receive in groups", "late image", "deliver"])
def test_relaxed_durability_keeps_the_accounts_after_a_power_cut(name, worlds):
    def accounts(world: SpoolWorld) -> None:
        world.recover()
        assert world.spool.accounting.balance() == []

    prepare, run, _ = STORIES[name]
    run_at_every_point(Scenario(name, worlds("relaxed"), run, accounts, prepare), power=True, points=moments_of_one)


def test_a_barrier_makes_events_survive_in_relaxed_mode_too(worlds):
    read = []

    def run(world: SpoolWorld) -> None:
        read.clear()
        world.receive(A)
        events = world.spool.outbox.read(Cursor(0, 0))
        world.spool.outbox.barrier()
        read.extend(event.id for event in events)
        world.receive(B)

    def still_there(world: SpoolWorld) -> None:
        assert [event.id for event in world.spool.outbox.read(Cursor(0, 0))][: len(read)] == read

    run_at_every_point(Scenario("barrier", worlds("relaxed"), run, still_there), power=True, seeds=(1, 2, 3))


def test_cleaning_is_durable_in_relaxed_mode_too(worlds):
    def prepare(world: SpoolWorld) -> None:
        delivered(world)
        world.make_durable()

    def run(world: SpoolWorld) -> None:
        world.clock.advance(1000)
        retention = Retention(world.clock.now() - 1, None)
        for arrival in world.spool.cleaning.deletable(retention):
            world.spool.cleaning.mark(arrival, retention)
            world.spool.cleaning.remove_files(arrival)

    def no_file_missing(world: SpoolWorld) -> None:
        assert world.spool.accounting.balance(files=True) == []

    run_at_every_point(Scenario("clean", worlds("relaxed"), run, no_file_missing, prepare), power=True, seeds=(1, 2, 3))
