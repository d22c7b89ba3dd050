"""The same SOP instance in several versions: the newest must be the last one that a target gets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.header.scan import Header
from protocol.spool import open_spool
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.binding import Binding
from protocol.spool.cleaning import Retention
from protocol.spool.deliveries import Claim, ImageResult
from protocol.spool.images import Incoming
from protocol.spool.sent_singly import any_unsent
from protocol.spool.singles import Batch
from protocol.testing.fakes import digest
from protocol.testing.images import TestImage
from protocol.testing.spoolworld import SpoolWorld

EXPLICIT = "1.2.840.10008.1.2.1"
ROUTE = Verdict("route", 1, [TargetChoice("pacs")])


@pytest.fixture
def spool(tmp_path):
    spool = open_spool(tmp_path, create=True)
    yield spool
    spool.close()


def receive(spool, data, *, resend=False):
    header = Header({"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3", "SOPInstanceUID": "1.2.3.1"})
    incoming = Incoming(bytes(16), "SCANNER", "SCANPOST", "127.0.0.1", None, "1.2.840.10008.5.1.4.1.1.2", "1.2.3.1",
                        EXPLICIT, data, header)  # fmt: skip
    (receipt,) = spool.images.commit([spool.images.save(incoming)._replace(resend=resend)])
    return receipt


def route(spool, arrival):
    spool.arrivals.close(arrival, "idle")
    spool.arrivals.decide(arrival, ROUTE)


def send(spool, sent, ok=True):
    claim = spool.deliveries.claim("me", {"pacs": 9}, time.time() + 9)
    for image in claim.images:
        with spool.fs.open_read(image.file.path) as file:
            file.seek(image.file.offset)
            sent.append(file.read())
    results = [ImageResult(i.position, i.file.receipt, 0 if ok else 0xC000, ok) for i in claim.images]
    spool.deliveries.confirm(claim, results)
    if ok:
        spool.deliveries.complete(claim)
    else:
        spool.deliveries.park(claim, "refused")
    return claim.delivery


def test_a_version_that_comes_back_while_another_is_on_its_way_is_no_duplicate(spool):
    sent = []
    first = receive(spool, b"A")
    route(spool, first.arrival)
    send(spool, sent)
    second = receive(spool, b"B")
    spool.arrivals.close(second.arrival, "idle")
    third = receive(spool, b"A")
    assert third.outcome == "stored", "else B would be the last that the target gets"
    spool.arrivals.decide(second.arrival, ROUTE)
    route(spool, third.arrival)
    assert receive(spool, b"A").outcome == "duplicate"
    while spool.deliveries.ready({"pacs": 9}, time.time() + 9):
        send(spool, sent)
    assert sent[-1] == b"A"
    assert spool.accounting.balance(files=True) == []


def test_a_correction_stays_the_newer_one_though_its_row_is_written_first(tmp_path):
    """Each process that receives writes its rows a moment after the answer: the second association may be with a quicker one."""
    world = SpoolWorld(tmp_path)
    slow, quick = world.connect(), world.connect()
    before = world.spool.images.save(world.incoming(slow, OLDER))
    world.clock.advance(0.05)
    after = world.spool.images.save(world.incoming(quick, NEWER))
    world.clock.advance(0.05)
    arrival = world.spool.images.commit([after])[0].arrival
    assert world.spool.images.commit([before])[0].arrival == arrival
    superseded = {row["receipt"]: row["superseded"] for row in world.spool.arrivals.story(arrival)["images"]}
    assert superseded == {after.receipt.hex(): None, before.receipt.hex(): after.receipt.hex()}
    assert world.spool.accounting.balance(files=True) == []


def test_rules_see_the_correction_though_the_row_of_what_it_corrects_came_last(tmp_path):
    world = SpoolWorld(tmp_path)
    slow, quick = world.connect(), world.connect()
    before = world.spool.images.save(world.incoming(slow, TestImage(modality="CT")))
    world.clock.advance(0.05)
    after = world.spool.images.save(world.incoming(quick, TestImage(modality="PT")))
    world.clock.advance(0.05)
    arrival = world.spool.images.commit([after])[0].arrival
    world.spool.images.commit([before])
    headers = world.spool.arrivals.subject(arrival)
    assert ([image["Modality"] for image in headers.images], headers.own) == (["PT"], 1)
    _, _, images = world.spool.singles.unseen(arrival)
    corrected = [image for image in images if image.receipt == after.receipt]
    world.spool.singles.route(Batch(arrival, images[-1].position, 1, {TargetChoice("ai"): corrected}, ["rule"]))
    with world.spool.database.write() as tx:
        assert not any_unsent(tx, arrival, [0]), "the newest version was sent"


def test_an_older_version_that_was_refused_is_not_sent_after_the_newer_one(spool):
    sent = []
    first = receive(spool, b"A")
    route(spool, first.arrival)
    parked = send(spool, sent, ok=False)
    route(spool, receive(spool, b"B").arrival)
    send(spool, sent)
    spool.deliveries.change([parked], "retry", spool.commands.ask("queue.retry", "test", {}))
    send(spool, sent)
    assert sent == [b"A", b"B"]
    assert spool.deliveries.get(parked)["state"] == "delivered"


def test_rerouting_a_held_arrival_leaves_no_delivery_behind(spool):
    first = receive(spool, b"A")
    route(spool, first.arrival)
    spool.arrivals.hold(first.arrival, "wait", spool.commands.ask("series.hold", "test", {}))
    spool.arrivals.reroute(first.arrival, spool.commands.ask("series.reroute", "test", {}))
    spool.arrivals.decide(first.arrival, Verdict("discard", 2))
    assert spool.accounting.balance() == []
    spool.arrivals.reroute(first.arrival, spool.commands.ask("series.reroute", "test", {}))
    spool.arrivals.decide(first.arrival, ROUTE)
    sent = []
    send(spool, sent)
    assert sent == [b"A"]


# ---- whatever people and targets did between the two ----------------------------------------------------------------

OLDER, NEWER = TestImage(content=b"the first picture"), TestImage(content=b"the corrected picture")
GROUP = {"pair": Binding("failover", ["pacs", "archive"])}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SpoolWorld]:
    world = SpoolWorld(tmp_path, 1)
    world.route_to = ("pacs",)
    yield world
    world.close()


def come(world: SpoolWorld, image: TestImage) -> None:
    world.receive(image)
    world.close_arrivals()
    world.decide()


def ids(world: SpoolWorld) -> list[int]:
    return sorted(row["id"] for row in world.spool.deliveries.list(limit=10))


def ask(world: SpoolWorld, deliveries: list[int], act: str, to: TargetChoice | None = None) -> None:
    command = world.spool.commands.ask(f"queue.{act}", "tester", {"ids": deliveries})
    world.spool.deliveries.change(deliveries, act, command, to=to)


def deliver(world: SpoolWorld) -> None:
    for _ in range(10):
        while (claim := world.claim()) is not None:
            world.deliver(claim)
        world.clock.advance(61)


def newest_came_last(world: SpoolWorld, target: str) -> bool:
    return world.targets[target].received[OLDER.sop_uid][-1] == digest(NEWER.dataset())


def test_a_cancelled_delivery_is_tried_after_the_newer_one_went(world: SpoolWorld) -> None:
    come(world, OLDER)
    (first,) = ids(world)
    ask(world, [first], "cancel")
    come(world, NEWER)
    deliver(world)
    ask(world, [first], "retry")
    deliver(world)
    assert newest_came_last(world, "pacs") and world.spool.accounting.balance() == []


def test_a_refused_one_is_tried_after_the_newer_one_went(world: SpoolWorld) -> None:
    come(world, OLDER)
    claim = world.claim()
    come(world, NEWER)  # while the older one is on its way
    image = claim.images[0]
    world.spool.deliveries.confirm(claim, [ImageResult(image.position, image.file.receipt, 0xC000, False)])
    world.spool.deliveries.park(claim, "refused")
    deliver(world)
    ask(world, [claim.delivery], "retry")
    deliver(world)
    assert newest_came_last(world, "pacs")


def test_an_old_version_stays_behind_the_newest_though_the_one_between_went_elsewhere(world: SpoolWorld) -> None:
    come(world, OLDER)
    world.route_to = ("archive",)
    come(world, TestImage(content=b"the picture in between"))
    (first, between) = ids(world)
    ask(world, [first], "hold")
    world.route_to = ("pacs",)
    come(world, NEWER)
    deliver(world)
    ask(world, [first], "release")
    deliver(world)
    assert world.targets["pacs"].received[OLDER.sop_uid] == [digest(NEWER.dataset())]
    assert world.spool.deliveries.get(first)["state"] == "delivered" and world.spool.accounting.balance() == []


def test_a_newer_version_is_not_sent_beside_the_older_one(world: SpoolWorld) -> None:
    """Several slots may send to a target: whoever has the older one in hand may be the slower."""
    come(world, OLDER)
    older, limits = world.claim(), {"pacs": 9, "archive": 9}
    assert older is not None
    world.route_to = ("pacs", "archive")
    come(world, NEWER)
    spool, owner = world.spool, world.worker("dispatcher").owner

    def claim() -> Claim | None:
        return spool.deliveries.claim(owner, limits, world.clock.now())

    newer = claim()
    assert newer is not None and newer.target == "archive", "there nothing is before it"
    assert claim() is None
    world.clock.advance(1)
    assert claim() is None
    world.deliver(older)
    world.clock.advance(1)
    later = claim()
    assert later is not None and later.target == "pacs"


def test_what_was_left_to_a_newer_version_does_not_come_back_once_its_files_are_gone(world: SpoolWorld) -> None:
    come(world, OLDER)
    come(world, NEWER)
    first, second = ids(world)
    ask(world, [second], "hold")
    deliver(world)
    assert world.spool.deliveries.get(first)["state"] == "delivered" and not world.targets["pacs"].received
    arrival, later = world.spool.deliveries.get(first)["arrival"], world.clock.now() + 1
    assert world.spool.cleaning.mark(arrival, Retention(later, later))
    ask(world, [second], "cancel")
    assert world.spool.deliveries.get(second)["state"] == "cancelled"
    assert world.spool.deliveries.get(first)["state"] == "delivered"
    assert world.spool.arrivals.get(arrival)["state"] == "deleted" and world.spool.accounting.balance() == []


def test_both_are_redirected_and_the_first_attempt_fails(world: SpoolWorld) -> None:
    come(world, OLDER)
    come(world, NEWER)
    ask(world, ids(world), "redirect", TargetChoice("archive"))
    world.targets["archive"].hang_at = 1
    deliver(world)
    assert newest_came_last(world, "archive")


def test_a_person_routes_both_and_the_first_attempt_fails(world: SpoolWorld) -> None:
    come(world, OLDER)
    come(world, NEWER)
    deliver(world)
    for row in sorted(world.spool.arrivals.list(limit=10), key=lambda row: row["id"]):
        command = world.spool.commands.ask("series.route", "tester", {"arrival": row["id"]})
        chosen = Verdict("route", 1, [TargetChoice("research")], reason="asked", command=command)
        world.spool.arrivals.decide(row["id"], chosen)
    world.targets["research"].hang_at = 1
    deliver(world)
    assert newest_came_last(world, "research")


def test_both_go_to_another_member_of_their_group_and_the_first_attempt_fails(world: SpoolWorld) -> None:
    spool = world.spool

    def claim(target: str):  # type: ignore[no-untyped-def]
        return spool.deliveries.claim(world.worker("dispatcher").owner, {target: 1}, world.clock.now(), "", GROUP)

    def decided(choice: TargetChoice) -> None:
        world.close_arrivals()
        for arrival in spool.arrivals.undecided():
            spool.arrivals.decide(arrival, Verdict("route", 1, [choice]))

    world.receive(OLDER)
    decided(TargetChoice("pair", True))
    spool.deliveries.retry(claim("pacs"), world.clock.now() + 60, "away")
    world.receive(NEWER)
    decided(TargetChoice("pacs", False, group="pair"))
    spool.deliveries.unbind(GROUP, ["archive"], {"pair": 0.0})
    world.targets["archive"].hang_at = 1
    for _ in range(5):
        while (taken := claim("archive")) is not None:
            world.deliver(taken)
        world.clock.advance(61)
    assert newest_came_last(world, "archive")
