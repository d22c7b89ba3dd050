"""The fakes keep true books and misbehave exactly when told."""

from random import Random

import pytest

from protocol.errors import AssociationAborted, PeerTimeout, TargetUnreachable
from protocol.testing.crash import CrashPoints, Died
from protocol.testing.fakes import REFUSED, SUCCESS, FakeNetwork, FakeTarget, digest


def test_a_target_notes_what_it_got_and_how_often():
    target = FakeTarget("pacs")
    target.connect()
    assert target.store("1.2.3", b"a") == SUCCESS
    assert target.store("1.2.3", b"b") == SUCCESS
    assert target.received == {"1.2.3": [digest(b"a"), digest(b"b")]}
    assert (target.images, target.repeated) == (1, 1)


def test_a_target_refuses_single_images():
    target = FakeTarget("pacs", refuse={"1.2.3": REFUSED})
    assert target.store("1.2.3", b"a") == REFUSED
    assert target.store("1.2.4", b"a") == SUCCESS
    assert list(target.received) == ["1.2.4"]


def test_a_target_fails_at_the_nth_image_and_then_works_again():
    target = FakeTarget("pacs", abort_at=2)
    target.store("1", b"")
    with pytest.raises(AssociationAborted):
        target.store("2", b"")
    target.store("3", b"")
    target.hang_at = 1
    with pytest.raises(PeerTimeout):
        target.store("4", b"")
    assert list(target.received) == ["1", "2", "3"]


def test_a_target_can_be_away():
    with pytest.raises(TargetUnreachable):
        FakeTarget("pacs", away=True).connect()


def test_a_sender_can_die_after_the_target_kept_the_image():
    target = FakeTarget("pacs", CrashPoints.armed(2))
    with pytest.raises(Died):
        target.store("1", b"")
    assert target.images == 1


def test_a_wire_carries_to_those_who_hear_the_lane():
    network = FakeNetwork(Random(1))
    router, dispatcher = network.wire("arrivals", "events"), network.wire("offers")
    dispatcher.arrived(7)
    router.offer(2)
    assert [(nudge.lane, nudge.data["arrival"]) for nudge in router.wait(1)] == [("arrivals", 7)]
    assert [nudge.data["count"] for nudge in dispatcher.wait(1)] == [2]
    assert router.wait(1) == []


def test_a_wire_loses_and_doubles_when_told():
    network = FakeNetwork(Random(1))
    bus = network.wire("events")
    network.lose = 1.0
    bus.committed()
    assert bus.wait(0) == []
    network.lose, network.double = 0.0, 1.0
    bus.committed()
    assert len(bus.wait(0)) == 2
    assert bus.sent == {"events": 2}


def test_a_closed_wire_hears_nothing():
    network = FakeNetwork(Random(1))
    bus = network.wire("events")
    bus.close()
    bus.committed()
    assert bus.wait(0) == []


def test_a_woken_wire_returns():
    wire = FakeNetwork(Random(1)).wire()
    wire.wake()
    assert [nudge.lane for nudge in wire.wait(60)] == ["wake"]
