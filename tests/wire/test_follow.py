"""Live events and replay as one stream: nothing twice, nothing lost, whatever the socket dropped."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_fakes import FakeOutbox, fact

from protocol.wire.events import ActorStatus, BusStarted, DeliveryProgress, Head, TargetResumed
from protocol.wire.follow import KEPT_AHEAD, Follower
from protocol.wire.messages import Envelope, Event, envelope
from protocol.wire.replay import Place, Reply, answer
from protocol.wire.topics import Patterns


def sent(body: Event) -> Envelope:
    return envelope(body, source="/n/bus/0", time=1.0)


def head(outbox: FakeOutbox, bus_id: str = "b1") -> Envelope:
    return sent(Head(outbox.epoch, outbox.last, bus_id))


def refuse(why: str) -> None:
    raise AssertionError(why)


def fetch(outbox: FakeOutbox, follower: Follower) -> list[Envelope]:
    """Answer requests until none is open."""
    shown: list[Envelope] = []
    for _ in range(1000):
        request: Any = follower.wanted
        if request is None:
            return shown
        shown += follower.fetched(Reply.from_map(answer(outbox, {**request, "id": 1}, refuse)))
    raise AssertionError("it never has enough")


def seqs(events: list[Envelope]) -> list[int]:
    return [one.seq for one in events]


def outbox_of(number: int) -> FakeOutbox:
    outbox = FakeOutbox()
    for position in range(number):
        outbox.record(fact(position) if position % 3 else TargetResumed("pacs", "me"))
    return outbox


@given(st.data(), st.sampled_from([(), ("rule.*",), ("!rule.*",)]), st.integers(0, 30))
def test_whatever_is_dropped_everything_is_shown_once(data: st.DataObject, texts: tuple[str, ...], start: int) -> None:
    outbox = outbox_of(30)
    patterns = Patterns(texts)
    follower = Follower(patterns)
    shown: list[Envelope] = []
    arriving = [one for one in outbox.events if patterns.match(one)]
    begin_at = data.draw(st.integers(0, len(arriving)))
    for position, one in enumerate(arriving):
        if position == begin_at:
            shown += follower.begin(Place(1, start), Place(1, data.draw(st.integers(0, 30))))
        what = data.draw(st.sampled_from(["lost", "once", "twice"]))
        for _ in range({"lost": 0, "once": 1, "twice": 2}[what]):
            shown += follower.live(one)
        if data.draw(st.booleans()):
            shown += fetch(outbox, follower)
    if begin_at == len(arriving):
        shown += follower.begin(Place(1, start), Place(1, 30))
    shown += follower.live(head(outbox))
    shown += fetch(outbox, follower)
    assert sorted(seqs(shown)) == [one.seq for one in arriving if one.seq > start]


def test_an_unfiltered_reader_gets_them_in_order_in_spite_of_a_hole() -> None:
    outbox = outbox_of(5)
    follower = Follower(Patterns())
    follower.begin(Place(1, 0), Place(1, 0))
    shown = follower.live(outbox.events[0]) + follower.live(outbox.events[3])
    assert seqs(shown) == [1]
    assert seqs(fetch(outbox, follower)) == [2, 3, 4, 5]
    assert follower.live(outbox.events[4]) == []


def test_an_unfiltered_reader_without_loss_asks_nothing() -> None:
    outbox = outbox_of(5)
    follower = Follower(Patterns())
    follower.begin(Place(1, 0), Place(1, 0))
    for one in outbox.events:
        assert follower.live(one) == [one]
    follower.live(head(outbox))
    assert follower.wanted is None


def test_a_filtered_reader_finds_a_loss_by_the_beacon() -> None:
    outbox = outbox_of(6)
    follower = Follower(Patterns(["rule.*"]))
    follower.begin(Place(1, 0), Place(1, 0))
    assert seqs(follower.live(outbox.events[1]) + follower.live(outbox.events[4])) == [2, 5]
    follower.live(head(outbox))
    assert seqs(fetch(outbox, follower)) == [3, 6]
    assert follower.refetched == 2


def test_a_new_epoch_is_followed() -> None:
    outbox = outbox_of(5)
    follower = Follower(Patterns())
    follower.begin(Place(1, 5), Place(1, 5))
    outbox.epoch, outbox.last = 2, 3  # a restored spool: lower numbers under a higher epoch
    outbox.events = outbox.events[:3]
    outbox.record(fact(9), fact(10))
    follower.live(head(outbox, "b2"))
    assert [(one.epoch, one.seq) for one in fetch(outbox, follower)] == [(2, 4), (2, 5)]


def test_a_restarted_bus_is_noticed_and_asked() -> None:
    outbox = outbox_of(5)
    follower = Follower(Patterns())
    follower.begin(Place(1, 3), Place(1, 3))
    follower.live(sent(BusStarted("b1", 1, 3)))
    assert follower.restarts == 0
    follower.live(sent(BusStarted("b2", 1, 5)))
    assert follower.restarts == 1
    assert seqs(fetch(outbox, follower)) == [4, 5]


def test_events_that_are_gone_are_told() -> None:
    outbox = outbox_of(10)
    outbox.events = outbox.events[6:]
    follower = Follower(Patterns())
    follower.begin(Place(1, 2), Place(1, 10))
    assert seqs(fetch(outbox, follower)) == [7, 8, 9, 10]
    assert follower.missed_before == Place(1, 7)


def test_events_that_are_only_sent_come_at_once_and_once() -> None:
    follower = Follower(Patterns(["delivery.*", "actor.status"]))
    progress, status = sent(DeliveryProgress(1, 2, "pacs", 3, 4)), sent(ActorStatus("x", 1, "ready", 1.0, "0", {}))
    assert follower.live(progress) == [progress]
    assert follower.live(status) == [status]
    assert follower.live(status) == []


def test_what_waits_is_bounded_and_still_complete() -> None:
    number = KEPT_AHEAD + 200
    outbox = FakeOutbox()
    outbox.record(*[fact(position) for position in range(number)])
    follower = Follower(Patterns())
    for one in outbox.events:
        assert follower.live(one) == []
    assert len(follower._ahead) == KEPT_AHEAD
    shown = follower.begin(Place(1, 0), Place(1, 10))
    outbox.read = lambda after, limit=1000: outbox.events[after.seq : after.seq + limit]  # type: ignore[method-assign]
    shown += fetch(outbox, follower)
    assert seqs(shown) == list(range(1, number + 1))


@pytest.mark.parametrize("data", [{}, {"epoch": "x", "last": None}, {"epoch": 1}])
def test_a_strange_beacon_is_ignored(data: dict[str, Any]) -> None:
    follower = Follower(Patterns())
    follower.begin(Place(1, 0), Place(1, 0))
    one = sent(Head(1, 5, "b"))
    follower.live(Envelope.from_map({**one.to_map(), "data": data}))
    assert follower.wanted is None
