"""FETCH: what is asked, what is answered, and requests nobody should send."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from wire_fakes import FakeOutbox, fact

from protocol.errors import DecodeError, WireError
from protocol.wire import codec
from protocol.wire.events import TargetResumed
from protocol.wire.messages import Envelope
from protocol.wire.replay import MAX_BYTES, Place, Reply, answer, read_on


@pytest.fixture
def outbox() -> FakeOutbox:
    made = FakeOutbox()
    for number in range(10):
        made.record(fact(number), TargetResumed("pacs", "me"), phi={"name": "DOE"})
    return made


def ask(outbox: Any, **request: Any) -> Reply:
    told: list[str] = []
    return Reply.from_map(codec.unpack_map(codec.pack(answer(outbox, {"id": 1, **request}, told.append))))


def test_records_behind_a_place_in_order(outbox: FakeOutbox) -> None:
    reply = ask(outbox, op="fetch", **{"from": [1, 5]}, max=3)
    assert [one.seq for one in reply.records] == [6, 7, 8]
    assert (reply.next, reply.head, reply.oldest) == (Place(1, 8), Place(1, 20), Place(1, 1))


def test_a_filtered_answer_says_where_to_go_on(outbox: FakeOutbox) -> None:
    reply = ask(outbox, op="fetch", **{"from": [1, 0]}, max=4, filter=["target.*"])
    assert [one.seq for one in reply.records] == [2, 4]
    assert reply.next == Place(1, 4)
    assert ask(outbox, op="fetch", **{"from": [1, 0]}, filter=["alert.*"]).next == Place(1, 20)


def test_patient_data_is_stripped(outbox: FakeOutbox) -> None:
    assert outbox.events[0].phi
    raw = answer(outbox, {"op": "fetch", "from": [1, 0]}, print)
    assert b"DOE" not in codec.pack(raw)


@pytest.mark.parametrize(("asked", "got"), [(10**9, 500), (0, 1), (-5, 1), (2, 2)])
def test_the_number_of_records_is_limited(asked: int, got: int) -> None:
    outbox = FakeOutbox()
    outbox.record(*[fact(number) for number in range(600)])
    assert len(ask(outbox, op="fetch", **{"from": [1, 0]}, max=asked).records) == got


def test_the_size_of_an_answer_is_limited() -> None:
    outbox = FakeOutbox()
    outbox.record(*[TargetResumed("pacs", "x" * 100_000) for _ in range(10)])
    seen, at = [], Place(1, 0)
    while at < outbox.head():
        raw = answer(outbox, {"op": "fetch", "from": [*at]}, print)
        assert len(codec.pack(raw)) < MAX_BYTES + 4096
        reply = Reply.from_map(raw)
        assert reply.next is not None
        seen += [one.seq for one in reply.records]
        at = reply.next
    assert seen == list(range(1, 11))


def test_a_record_that_is_too_large_for_the_sockets_is_left_out() -> None:
    outbox = FakeOutbox()
    outbox.record(fact(1), TargetResumed("pacs", "x" * (1 << 20)), fact(2))
    reply = ask(outbox, op="fetch", **{"from": [1, 0]})
    assert [one.seq for one in reply.records] == [1, 3]
    assert reply.next == Place(1, 3)


def test_where_a_time_begins(outbox: FakeOutbox) -> None:
    assert ask(outbox, op="where", time=1007.0).since == Place(1, 6)
    assert ask(outbox, op="where", time=None).since == Place(1, 20)


@pytest.mark.parametrize(
    "request_",
    [{}, {"op": "drop"}, {"op": "fetch"}, {"op": "fetch", "from": 1}, {"op": "fetch", "from": ["x", "y"]},
     {"op": "fetch", "from": [1, 0], "max": "many"}, {"op": "fetch", "from": [1, 0], "filter": ["[a"]},
     {"op": "fetch", "from": [1, 0], "filter": 5}, {"op": "where", "time": "noon"}, {"op": ["x"]}],
)  # fmt: skip
def test_bad_requests_get_an_error(outbox: FakeOutbox, request_: dict[str, Any]) -> None:
    told: list[str] = []
    plain = answer(outbox, {"id": 9, **request_}, told.append)
    assert plain["id"] == 9 and plain["error"] and told
    with pytest.raises(WireError, match="refused"):
        Reply.from_map(plain)


@pytest.mark.parametrize("plain", [{}, {"id": 1}, {"id": 1, "head": 5, "oldest": 5}, {"id": "x", "head": [1, 1, 1]}])
def test_what_is_no_answer_is_refused(plain: dict[str, Any]) -> None:
    with pytest.raises(DecodeError):
        Reply.from_map(plain)


def test_an_undecodable_record_of_an_answer_is_counted_and_skipped(outbox: FakeOutbox) -> None:
    plain = answer(outbox, {"op": "fetch", "from": [1, 0], "max": 2}, print)
    reply = Reply.from_map({**plain, "records": [b"\xc1", *plain["records"]]})
    assert (len(reply.records), reply.undecodable) == (2, 1)


class DamagedOutbox(FakeOutbox):
    """Raises for every page with one of the damaged records."""

    def __init__(self, *damaged: int) -> None:
        super().__init__()
        self.damaged = damaged

    def read(self, after: Any, limit: int = 1000) -> list[Envelope]:
        found = super().read(after, limit)
        if any(one.seq in self.damaged for one in found):
            raise DecodeError("not a message")
        return found


@pytest.mark.parametrize("damaged", [(1,), (20,), (7, 8), (3, 11, 20), tuple(range(1, 21))])
@pytest.mark.parametrize("start", [Place(1, 0), Place(0, 0)])
def test_damaged_records_are_told_and_skipped(damaged: tuple[int, ...], start: Place) -> None:
    outbox = DamagedOutbox(*damaged)
    outbox.record(*[fact(number) for number in range(20)])
    told: list[str] = []
    at, more, seen = start, True, list[int]()
    while at < outbox.head():
        found, at, more = read_on(outbox, at, 100, told.append)
        seen += [one.seq for one in found]
    assert seen == [number for number in range(1, 21) if number not in damaged]
    assert len(told) == len(damaged)
    assert not more


def test_records_committed_while_reading_are_not_jumped_over(outbox: FakeOutbox) -> None:
    class Busy(FakeOutbox):
        def read(self, after: Any, limit: int = 1000) -> list[Envelope]:
            found = super().read(after, limit)
            self.record(fact(99))
            return found

    busy = Busy()
    busy.record(fact(1))
    found, at, _ = read_on(busy, Place(1, 0), 100, print)
    assert [one.seq for one in found] == [1] and at == Place(1, 1)
    assert replace(found[0], phi=None).seq == 1
