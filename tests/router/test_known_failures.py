"""How other routers lost images, and that it cannot happen here (known-failures 1, 2, 5, 6, 11, 16, 17)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from router_rig import ALL, CT, Rig

from protocol.routing.versions import RoutingVersions
from protocol.spool.cleaning import Retention
from protocol.testing.images import TestImage


def at_targets(node: Rig, name: str) -> set[str]:
    return set(node.world.targets[name].received)


def finish(node: Rig) -> None:
    """Close, decide and deliver whatever there is."""
    for _ in range(3):
        node.after(61)
        node.deliver_all()
    node.work()


def test_1_images_that_arrive_while_the_series_is_routed_are_delivered_too(rig):
    node = rig(ALL)
    node.world.receive(TestImage(instance=1))
    node.work()
    node.world.clock.advance(6)
    real = node.spool.arrivals.decide

    def late_image_in_the_middle(id, verdict):
        node.spool.arrivals.decide = real
        node.world.receive(TestImage(instance=2))
        return real(id, verdict)

    node.spool.arrivals.decide = late_image_in_the_middle
    finish(node)
    wanted = {TestImage(instance=1).sop_uid, TestImage(instance=2).sop_uid}
    assert at_targets(node, "archive") == at_targets(node, "pacs") == wanted
    assert node.spool.accounting.balance(files=True) == []


def test_2_an_image_whose_row_is_not_written_yet_survives_closing_routing_and_cleaning(rig):
    node = rig(ALL)
    association = node.world.connect()
    node.world.send(association, TestImage(instance=1))
    half = node.spool.images.save(node.world.incoming(association, TestImage(instance=2)))
    node.spool.images.association_closed(association.id, "aborted")
    finish(node)
    now = node.world.clock.now() + 1
    for arrival in node.spool.cleaning.deletable(Retention(now, now)):
        node.spool.cleaning.mark(arrival, Retention(now, now))
        node.spool.cleaning.remove_files(arrival)
    (receipt,) = node.spool.images.commit([half])
    assert receipt.outcome == "stored"
    finish(node)
    assert TestImage(instance=2).sop_uid in at_targets(node, "pacs") and node.spool.accounting.balance(files=True) == []


def test_5_two_routers_on_one_study_decide_each_arrival_once(rig):
    node = rig(ALL)
    node.world.receive(TestImage(series=1), TestImage(series=2))
    one, two = node.router, node.new_router()
    for _ in range(3):
        node.world.clock.advance(6)
        for router in (one, two):
            router.one_pass([])
    assert len(node.events("arrival.decided")) == 2 and len(node.events("delivery.created")) == 4
    node.deliver_all()
    assert len(at_targets(node, "pacs")) == 2


def test_6_a_decision_that_fails_half_way_has_not_happened(rig, monkeypatch):
    node = rig(ALL)
    node.world.receive(TestImage())
    node.work()
    node.world.clock.advance(6)
    with monkeypatch.context() as patch:
        patch.setattr("protocol.spool.deciding.settle_decided", lambda *_: 1 / 0)
        with suppress(ZeroDivisionError):
            node.router.one_pass([])
    assert node.newest()["state"] == "closed" and not node.deliveries() and not node.events("delivery.created")
    finish(node)
    assert node.newest()["state"] == "delivered"


def test_11_queue_and_timers_survive_the_death_of_everything(rig):
    node = rig(ALL)
    node.series(TestImage(series=1))
    node.world.receive(TestImage(series=2))  # stored, not yet complete: no timer of it is anywhere but in the spool
    node.work()
    node.world.kill()
    node.world.restart()
    node.new_router()
    finish(node)
    assert len(at_targets(node, "pacs")) == len(at_targets(node, "archive")) == 2


def test_16_the_claim_of_a_killed_dispatcher_does_not_hold_a_series_for_ever(rig):
    node = rig(CT)
    node.series(TestImage())
    assert node.world.claim() is not None
    assert node.world.claim() is None
    node.world.kill()
    node.world.restart()
    node.new_router().recover()
    finish(node)
    assert at_targets(node, "pacs") == {TestImage().sop_uid}


@pytest.mark.parametrize("what", ["image", "routing"])
def test_17_a_truncated_file_is_set_aside_once_and_stops_nothing(rig, what):
    node = rig(CT)
    if what == "image":
        association = node.world.connect()
        saved = node.spool.images.save(node.world.incoming(association, TestImage(instance=9)))
        path = node.spool.places.images / saved.file
        cut = node.spool.fs.read_bytes(path)[:-4]
        node.spool.fs.unlink(path)
        node.spool.fs.write_new(path, cut)
        node.world.kill()
        node.world.restart()
        node.new_router()
        assert node.spool.adoption.adopt()["quarantined"] == 1
        assert not any(node.spool.adoption.adopt().values()), "not again and again"
    else:
        folder = node.spool.places.routing
        node.spool.fs.write_new(folder / "000002.json", b'{"number": 2, "configu')
        assert RoutingVersions(folder, node.spool.fs, node.world.clock).current().number == 1
        for _ in range(3):
            node.after(1)
        assert len(node.events("config.damaged")) == 1, "told once, not every second"
    node.world.receive(TestImage(instance=1))
    finish(node)
    assert at_targets(node, "pacs") == {TestImage(instance=1).sop_uid}
