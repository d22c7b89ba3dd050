"""The way of a series through the spool alone, on a real disk."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from protocol.errors import NotOwner, SpoolMissing, StepRefused
from protocol.header.scan import Header, scan
from protocol.spool import Spool, open_spool
from protocol.spool.arrivals import TargetChoice, Verdict
from protocol.spool.cleaning import Retention
from protocol.spool.deliveries import ImageResult
from protocol.spool.images import Incoming
from protocol.spool.outbox import Cursor
from protocol.spool.singles import Batch
from protocol.testing.images import TestImage
from protocol.testing.spoolworld import SpoolWorld

EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.fixture
def spool(tmp_path):
    spool = open_spool(tmp_path, create=True)
    yield spool
    spool.close()


def incoming(sop="1.2.3.1", series="1.2.3", data=b"bytes of an image", association=None, study="1.2", sent_sop=None):
    header = Header({"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": sop, "Modality": "CT",
                     "InstanceNumber": int(sop[-1]) if sop[-1:].isdigit() else 0})  # fmt: skip
    return Incoming(association or bytes(16), "SCANNER", "SCANPOST", "127.0.0.1", None, "1.2.840.10008.5.1.4.1.1.2",
                    sop if sent_sop is None else sent_sop, EXPLICIT, data, header)  # fmt: skip


def receive(spool: Spool, *images: Incoming):
    return spool.images.commit([spool.images.save(image) for image in images])


def deliver(spool: Spool, claim, status=0):
    spool.deliveries.confirm(claim, [ImageResult(i.position, i.file.receipt, status, True) for i in claim.images])
    spool.deliveries.complete(claim)


def test_an_image_is_received_decided_delivered_and_deleted(spool):
    association = uuid.uuid4().bytes
    spool.images.association_opened(association, "receiver/0/x", "SCANNER", "SCANPOST", "127.0.0.1", None)
    first, second = receive(
        spool, incoming("1.2.3.1", association=association), incoming("1.2.3.2", association=association)
    )
    assert (first.outcome, second.outcome) == ("stored", "stored") and first.arrival == second.arrival
    (arrival,) = spool.arrivals.open_ones()
    assert (arrival.images, arrival.associations_open) == (2, 1)
    spool.images.association_closed(association, "released")
    assert spool.arrivals.open_ones()[0].associations_open == 0
    assert spool.arrivals.close(arrival.id, "released", images=2)
    assert spool.arrivals.undecided() == [arrival.id]
    subject = spool.arrivals.subject(arrival.id)
    assert [image["InstanceNumber"] for image in subject.images] == [1, 2]
    spool.arrivals.decide(arrival.id, Verdict("route", 1, [TargetChoice("a"), TargetChoice("b")], explanation={"x": 1}))
    assert spool.arrivals.get(arrival.id)["state"] == "in_delivery"
    now = spool.database.clock.now()
    for _ in range(2):
        claim = spool.deliveries.claim("me", {"a": 1, "b": 1}, now + 1)
        assert len(claim.images) == 2
        deliver(spool, claim)
    assert spool.deliveries.claim("me", {"a": 1, "b": 1}, now + 1) is None
    assert spool.arrivals.get(arrival.id)["state"] == "delivered"
    assert spool.accounting.balance(files=True) == []
    retention = Retention(now + 100, now + 100)
    assert spool.cleaning.deletable(retention) == [arrival.id] and spool.cleaning.mark(arrival.id, retention)
    assert spool.cleaning.remove_files(arrival.id) == 2
    assert list(spool.places.images.iterdir()) == []
    assert spool.accounting.figures().images["deleted"] == 2 and spool.accounting.balance() == []
    assert spool.purging.arrivals(now + 100) > 0
    assert spool.accounting.figures().images["deleted"] == 2 and spool.accounting.balance() == []


def test_the_same_object_twice_is_one_image_and_a_changed_one_replaces_it(spool):
    receive(spool, incoming())
    (again,) = receive(spool, incoming())
    assert again.outcome == "duplicate"
    (changed,) = receive(spool, incoming(data=b"other bytes of it"))
    assert changed.outcome == "stored"
    figures = spool.accounting.figures()
    assert (figures.received, figures.duplicates, figures.images["quarantined"], figures.images["open"]) == (2, 1, 1, 1)
    arrival = spool.arrivals.open_ones()[0].id
    spool.arrivals.close(arrival, "idle")
    spool.arrivals.decide(arrival, Verdict("route", 1, [TargetChoice("a")]))
    claim = spool.deliveries.claim("me", {"a": 1}, spool.database.clock.now() + 1)
    assert [image.file.receipt for image in claim.images] == [changed.receipt]
    assert len(list(spool.places.images.rglob("*.dcm"))) == 2 and spool.accounting.balance(files=True) == []


def test_a_late_image_opens_an_addendum_and_only_it_is_sent(spool):
    receive(spool, incoming("1.2.3.1"))
    first = spool.arrivals.open_ones()[0].id
    spool.arrivals.close(first, "released")
    (late,) = receive(spool, incoming("1.2.3.2"))
    assert late.arrival != first and spool.arrivals.get(late.arrival)["addendum_of"] == first
    spool.arrivals.decide(first, Verdict("route", 1, [TargetChoice("a")]))
    spool.arrivals.close(late.arrival, "released")
    subject = spool.arrivals.subject(late.arrival)
    assert len(subject.images) == 2 and subject.earlier_targets == [("a", "")]
    spool.arrivals.decide(late.arrival, Verdict("route", 1, [TargetChoice("a")]))
    now = spool.database.clock.now() + 1
    claims = [spool.deliveries.claim("me", {"a": 2}, now) for _ in range(2)]
    assert sorted(len(claim.images) for claim in claims) == [1, 1]


def test_an_arrival_is_decided_once(spool):
    (image,) = receive(spool, incoming())
    with pytest.raises(StepRefused):
        spool.arrivals.decide(image.arrival, Verdict("discard", 1))
    spool.arrivals.close(image.arrival, "idle")
    spool.arrivals.decide(image.arrival, Verdict("discard", 1))
    with pytest.raises(StepRefused):
        spool.arrivals.decide(image.arrival, Verdict("route", 1, [TargetChoice("a")]))
    command = spool.commands.ask("series.route", "test", {"arrival": image.arrival, "target": "a"})
    spool.arrivals.decide(image.arrival, Verdict("route", 1, [TargetChoice("a")], command=command))
    assert spool.commands.find(command).state == "done" and spool.arrivals.get(image.arrival)["state"] == "in_delivery"


def test_a_reaped_owner_changes_nothing_any_more_and_the_next_resumes(spool):
    receive(spool, *(incoming(f"1.2.3.{n}") for n in range(1, 6)))
    arrival = spool.arrivals.open_ones()[0].id
    spool.arrivals.close(arrival, "idle")
    spool.arrivals.decide(arrival, Verdict("route", 1, [TargetChoice("a")]))
    now = spool.database.clock.now() + 1
    claim = spool.deliveries.claim("one", {"a": 1}, now)
    assert spool.deliveries.claim("two", {"a": 1}, now) is None, "the target's limit is 1"
    spool.deliveries.confirm(claim, [ImageResult(i.position, i.file.receipt, 0, True) for i in claim.images[:2]])
    assert spool.deliveries.reap("one") == 1
    with pytest.raises(NotOwner):
        spool.deliveries.complete(claim)
    again = spool.deliveries.claim("two", {"a": 1}, now + 1)
    assert [image.position for image in again.images] == [3, 4, 5] and again.attempt == 1


def test_three_deaths_alone_without_progress_set_a_delivery_aside(spool):
    receive(spool, incoming())
    arrival = spool.arrivals.open_ones()[0].id
    spool.arrivals.close(arrival, "idle")
    spool.arrivals.decide(arrival, Verdict("route", 1, [TargetChoice("a")]))
    now = spool.database.clock.now() + 1
    for owner in "abc":
        claim = spool.deliveries.claim(owner, {"a": 1}, now)
        spool.deliveries.reap(owner, alone=True)
    assert spool.deliveries.get(claim.delivery)["state"] == "held"


def test_refused_images_are_parked_and_a_retry_sends_only_them(spool):
    receive(spool, *(incoming(f"1.2.3.{n}") for n in range(1, 4)))
    arrival = spool.arrivals.open_ones()[0].id
    spool.arrivals.close(arrival, "idle")
    spool.arrivals.decide(arrival, Verdict("route", 1, [TargetChoice("a")]))
    now = spool.database.clock.now() + 1
    claim = spool.deliveries.claim("me", {"a": 1}, now)
    results = [
        ImageResult(i.position, i.file.receipt, 0xC000 if i.position == 2 else 0, i.position != 2) for i in claim.images
    ]
    spool.deliveries.confirm(claim, results)
    with pytest.raises(StepRefused):
        spool.deliveries.complete(claim)
    spool.deliveries.park(claim, "1 image refused")
    command = spool.commands.ask("queue.retry", "test", {})
    spool.deliveries.change([claim.delivery], "retry", command)
    again = spool.deliveries.claim("me", {"a": 1}, spool.database.clock.now() + 1)
    assert [image.position for image in again.images] == [2]
    deliver(spool, again)
    assert spool.arrivals.get(arrival)["state"] == "delivered"


@pytest.mark.parametrize("uid", ["../../evil", "", "1." + "2" * 64, "1.2\x00.3", "1.2/3", "error", "1.2.*"])
def test_objects_that_cannot_be_placed_are_quarantined_inside_the_spool(spool, uid, tmp_path):
    for odd in (incoming(study=uid), incoming(series=uid), incoming(sop=uid), incoming(sent_sop=uid)):
        (receipt,) = receive(spool, odd)
        assert receipt.outcome == "quarantined"
    figures = spool.accounting.figures()
    assert (figures.received, figures.images["quarantined"]) == (4, 4)
    assert spool.accounting.balance(files=True) == [] and list(spool.places.images.iterdir()) == []
    assert not (tmp_path.parent / "evil").exists()


def test_images_without_a_database_are_never_given_an_empty_one(tmp_path):
    spool = open_spool(tmp_path, create=True)
    receive(spool, incoming())
    spool.close()
    for file in (tmp_path / "spool").glob("spool.sqlite3*"):
        file.unlink()
    with pytest.raises(SpoolMissing):
        open_spool(tmp_path, create=True)


def readable(instance=1):
    image = TestImage(instance=instance)
    data = image.dataset()
    return Incoming(bytes(16), "SCANNER", "SCANPOST", "127.0.0.1", None, image.sop_class_uid, image.sop_uid,
                    image.transfer_syntax_uid, data, scan(data, image.transfer_syntax_uid))  # fmt: skip


def test_a_file_without_a_row_that_cannot_be_read_is_quarantined(spool):
    saved = spool.images.save(incoming())
    assert spool.adoption.adopt()["quarantined"] == 1
    assert (spool.places.quarantine / saved.receipt.hex()).exists() and spool.accounting.balance(files=True) == []


def test_a_file_without_a_row_is_adopted_once(spool):
    saved = spool.images.save(readable())
    assert spool.adoption.adopt()["adopted"] == 1
    assert spool.adoption.adopt() == {"adopted": 0, "duplicate": 0, "quarantined": 0, "left_alone": 0}
    (receipt,) = spool.images.commit([saved])
    assert receipt.outcome == "stored" and spool.accounting.figures().received == 1
    assert spool.accounting.balance(files=True) == []


def test_an_incomplete_file_goes_to_quarantine_with_its_bytes(spool):
    saved = spool.images.save(incoming())
    path = spool.places.images / saved.file
    path.write_bytes(path.read_bytes()[:-3])
    assert spool.adoption.adopt()["quarantined"] == 1
    assert (spool.places.quarantine / saved.receipt.hex()).exists() and not path.exists()
    assert spool.accounting.figures().images["quarantined"] == 1


def test_events_stand_in_the_outbox_in_the_order_of_their_changes(spool):
    receive(spool, incoming())
    events = spool.outbox.read(spool.outbox.head()._replace(seq=0))
    assert [event.type for event in events] == ["arrival.opened", "image.received"]
    assert [event.seq for event in events] == [1, 2] and events[0].correlationid == str(events[0].data["arrival"])
    spool.outbox.confirm("bookkeeper", spool.outbox.head())
    assert spool.outbox.trim(spool.database.clock.now() + 1, ["bookkeeper"]) == 2
    assert [event.type for event in spool.outbox.read(spool.outbox.head()._replace(seq=0))] == ["outbox.trimmed"]


@pytest.mark.parametrize("limit", [500, 2])
def test_events_of_a_clock_that_was_ahead_go_with_those_behind_them(spool, limit):
    """Else nothing would be trimmed until that time has come, years perhaps."""
    receive(spool, incoming())
    spool.outbox.confirm("bookkeeper", spool.outbox.head())
    now = spool.database.clock.now()
    with spool.database.write() as tx:
        tx.execute("UPDATE event SET time = ?", (now + 1e8,))
    assert spool.outbox.trim(now - 100, ["bookkeeper"], limit) == 0, "nobody knows how old they are"
    receive(spool, incoming("1.2.3.2"))
    assert spool.outbox.trim(now - 100, ["bookkeeper"], limit) == 0, "what is behind them is young"
    with spool.database.write() as tx:
        tx.execute("UPDATE event SET time = ? WHERE seq > 2", (now - 200,))
    assert spool.outbox.trim(now - 100, ["bookkeeper"], limit) <= 2, "what is not confirmed stays"
    spool.outbox.confirm("bookkeeper", spool.outbox.head())
    while spool.outbox.trim(now - 100, ["bookkeeper"], limit):
        pass
    left = spool.outbox.read(spool.outbox.head()._replace(seq=0))
    assert {event.type for event in left} == {"outbox.trimmed"}


def test_a_transaction_inside_a_transaction_is_refused(spool):
    with spool.database.write(), pytest.raises(RuntimeError), spool.database.write():
        pass


def test_a_damaged_event_does_not_stop_those_behind_it(spool):
    receive(spool, incoming())
    with spool.database.write() as tx:
        tx.execute("UPDATE event SET body = x'c1' WHERE seq = 1")
    events = spool.outbox.read(spool.outbox.head()._replace(seq=0))
    assert events[0].data == {"undecodable": "c1"} and events[1].type == "image.received"


def test_header_values_above_the_size_of_a_message_are_kept(spool):
    image = incoming()
    long = {**image.header.values, **{f"{n:04x},0010": "x" * 60_000 for n in range(9, 60, 2)}}
    receive(spool, replace(image, header=Header(long)), incoming("1.2.3.2"))
    arrival = spool.arrivals.open_ones()[0].id
    assert len(spool.arrivals.subject(arrival).images) == 2 and spool.arrivals.close(arrival, "idle")


def test_a_delivery_tells_how_long_it_waited_and_took_and_when_its_last_image_came(tmp_path):
    world = SpoolWorld(tmp_path)
    world.route_to = ("pacs",)
    world.receive(TestImage())
    came = world.clock.now()
    world.clock.advance(7)
    world.close_arrivals()
    world.decide()
    world.clock.advance(3)
    claim = world.claim()
    world.clock.advance(2)
    world.deliver(claim)
    command = world.spool.commands.ask("series.route", "ann", {"arrival": claim.arrival})
    world.spool.arrivals.decide(claim.arrival, Verdict("route", 1, [TargetChoice("archive")], command=command))
    world.deliver(world.claim())
    events = [one.data for one in world.spool.outbox.read(Cursor(0, 0), 100) if one.type == "delivery.completed"]
    assert [(one["target"], one["seconds"], one["sending_s"]) for one in events] == [("pacs", 5, 2), ("archive", 0, 0)]
    assert [one["last_image"] for one in events] == [came, 0.0], "a person may have waited for days"
    world.close()


def test_the_end_of_an_association_tells_how_much_came_over_it(tmp_path):
    world = SpoolWorld(tmp_path)
    images = [TestImage(instance=1), TestImage(instance=2), TestImage(instance=1)]  # the last one came twice
    world.receive(*images)
    world.receive(TestImage(study=2))
    closed = [one.data for one in world.spool.outbox.read(Cursor(0, 0), 100) if one.type == "association.closed"]
    assert [one["images"] for one in closed] == [3, 1]
    assert closed[0]["bytes"] == sum(len(image.dataset()) for image in images)
    world.close()


def test_single_images_are_not_sent_of_a_series_that_a_person_discarded_meanwhile(tmp_path):
    world = SpoolWorld(tmp_path)
    world.receive(TestImage())
    world.close_arrivals()
    (arrival,) = world.spool.arrivals.undecided()
    _, _, images = world.spool.singles.unseen(arrival)
    command = world.spool.commands.ask("series.discard", "ann", {"arrival": arrival})
    world.spool.arrivals.discard(arrival, "wrong patient", command)
    batch = Batch(arrival, images[-1].position, 1, {TargetChoice("ai"): images}, ["rule"])
    assert world.spool.singles.route(batch) == 0 and world.spool.deliveries.list() == []
    world.close()
