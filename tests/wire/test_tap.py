"""Listening with the bus, without it, and through its restarts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_fakes import FakeOutbox, RunningBus, closing, fact, settings_of

from protocol.errors import WireError
from protocol.settings import Settings
from protocol.spool import open_spool
from protocol.wire import tap as tap_module
from protocol.wire.bus import connect_wire
from protocol.wire.events import ArrivalUpdated, TargetResumed
from protocol.wire.lanes import endpoints
from protocol.wire.tap import Since, Tap, parse_since, tap


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer to answer; "from now on" begins with the answer."""
    monkeypatch.setattr(tap_module, "BEGIN_S", 30.0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


@pytest.fixture
def outbox() -> FakeOutbox:
    return FakeOutbox()


@pytest.fixture
def bus(settings: Settings, outbox: FakeOutbox) -> Iterator[RunningBus]:
    with RunningBus(settings, outbox) as running:
        yield running


@pytest.fixture(params=["bus", "outbox"])
def source(request: pytest.FixtureRequest, settings: Settings, outbox: FakeOutbox) -> Iterator[Any]:
    """What a tap listens to: the same events either way."""
    if request.param == "outbox":
        yield SimpleNamespace(outbox=outbox)
        return
    with RunningBus(settings, outbox):
        yield endpoints(settings)


def seqs(listening: Tap) -> list[int]:
    return [one.seq for one in listening]


# ---- the same with and without bus ---------------------------------------------------------------------------------
def test_from_now_on(source: Any, outbox: FakeOutbox) -> None:
    outbox.record(fact(1), fact(2))
    with tap(source, count=3, timeout_s=10) as listening:
        outbox.record(fact(3), fact(4), fact(5))
        assert seqs(listening) == [3, 4, 5]
        assert listening.ended == "count"


def test_from_the_past_and_on(source: Any, outbox: FakeOutbox) -> None:
    outbox.record(*[fact(number) for number in range(1200)])
    with tap(source, since=Since(seq=100), count=1200, timeout_s=20) as listening:
        assert next(listening).seq == 100
        outbox.record(*[fact(number) for number in range(99)])
        assert seqs(listening) == list(range(101, 1300))


def test_from_a_time(source: Any, outbox: FakeOutbox) -> None:
    outbox.record(*[fact(number) for number in range(10)])
    with tap(source, since=Since(time=1007.0), follow=False, timeout_s=10) as listening:
        assert seqs(listening) == [7, 8, 9, 10]
        assert listening.ended == "end"


def test_patterns_filter_old_and_new(source: Any, outbox: FakeOutbox) -> None:
    def both() -> None:
        outbox.record(fact(), TargetResumed("pacs", "me"))

    both()
    both()
    with tap(source, ["target.*"], since="1", count=3, timeout_s=10) as listening:
        assert [next(listening).seq, next(listening).seq] == [2, 4]
        both()
        assert seqs(listening) == [6]


def test_the_time_is_limited(source: Any) -> None:
    with tap(source, timeout_s=0.05) as listening:
        assert seqs(listening) == []
        assert listening.ended == "timeout"


def test_it_ends_at_the_present_end(source: Any, outbox: FakeOutbox) -> None:
    outbox.record(fact(1), fact(2))
    with tap(source, since="0", follow=False, timeout_s=10) as listening:
        assert seqs(listening) == [1, 2]
    with tap(source, ["alert.*"], since="1", follow=False, timeout_s=10) as listening:
        assert seqs(listening) == []
        assert listening.ended == "end"


def test_events_that_are_gone_are_told(source: Any, outbox: FakeOutbox) -> None:
    outbox.record(*[fact(number) for number in range(10)])
    outbox.events = outbox.events[5:]
    told: list[str] = []
    with tap(source, since="2", follow=False, timeout_s=10, notice=told.append) as listening:
        assert seqs(listening) == [6, 7, 8, 9, 10]
    assert told == ["events before number 6 are gone"]


def test_patient_data_stays_out_of_the_bus_answer(settings: Settings, bus: RunningBus, outbox: FakeOutbox) -> None:
    outbox.record(fact(), phi={"name": "DOE"})
    with tap(endpoints(settings), since="1", count=1, timeout_s=10) as listening:
        assert next(listening).phi is None


def test_a_bad_pattern_is_refused_at_once(source: Any) -> None:
    with pytest.raises(WireError):
        tap(source, ["[x"])


def test_closing_twice_is_harmless_and_ends_it(source: Any) -> None:
    listening = tap(source)
    listening.close()
    listening.close()
    assert seqs(listening) == []
    assert listening.ended == "closed"


# ---- only with the bus -----------------------------------------------------------------------------------------------
def test_a_restart_of_the_bus_costs_nothing(settings: Settings, outbox: FakeOutbox) -> None:
    told: list[str] = []
    outbox.record(fact(0))
    running = RunningBus(settings, outbox)
    with running:
        listening = tap(endpoints(settings), count=7, timeout_s=20, notice=told.append)
        running.record(fact(1))
        assert next(listening).seq == 2
    outbox.record(fact(2), fact(3))  # nobody publishes
    with running:
        running.record(fact(4))
        assert [next(listening).seq for _ in range(3)] == [3, 4, 5]
    outbox.record(fact(5))
    with running, listening:
        running.record(fact(6), fact(7))
        assert seqs(listening) == [6, 7, 8]
    assert "bus restarted; what was missed is fetched" in told


def test_a_filtered_tap_loses_nothing_either(settings: Settings, outbox: FakeOutbox) -> None:
    running = RunningBus(settings, outbox)
    with running:
        listening = tap(endpoints(settings), ["target.*"], count=3, timeout_s=20)
        running.record(TargetResumed("a", "me"), fact(1))
        assert next(listening).seq == 1
    outbox.record(TargetResumed("b", "me"), fact(2))
    with running, listening:
        running.record(TargetResumed("c", "me"))
        assert seqs(listening) == [3, 5]


def test_listening_may_begin_before_the_bus(
    settings: Settings, outbox: FakeOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tap_module, "BEGIN_S", 0.05)
    told: list[str] = []
    outbox.record(fact(1))
    listening = tap(endpoints(settings), since="1", count=2, timeout_s=20, notice=told.append)
    with RunningBus(settings, outbox) as running, listening:
        running.record(fact(2))
        assert seqs(listening) == [1, 2]
    assert told == ["the bus does not answer; listening for it"]


def test_progress_is_heard(settings: Settings, bus: RunningBus) -> None:
    with (
        closing(connect_wire("receiver", "0", settings)) as _,
        tap(endpoints(settings), ["arrival.*"], count=1, timeout_s=20) as listening,
    ):
        teller = threading.Thread(target=_tell, args=(settings, ArrivalUpdated(5, "CT", 9)))
        teller.start()
        assert next(listening).data == {"arrival": 5, "calling_ae": "CT", "images": 9}
        teller.join()


def _tell(settings: Settings, event: Any) -> None:
    wire = connect_wire("receiver", "1", settings)
    wire.publish(event)
    wire.close()


def test_a_tap_that_slept_through_a_flood_gets_everything(
    settings: Settings, bus: RunningBus, outbox: FakeOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tap(endpoints(settings), count=3000, timeout_s=30) as listening:
        for number in range(30):
            bus.record(*[fact(number) for _ in range(100)])
        assert seqs(listening) == list(range(1, 3001))


# ---- without -----------------------------------------------------------------------------------------------------
def test_a_real_spool_without_a_bus(settings: Settings) -> None:
    spool = open_spool(settings.home, create=True)
    with closing(spool), tap(spool, ["rule.*"], count=2, timeout_s=10) as listening:
        spool.outbox.record(fact(1), TargetResumed("pacs", "me"), fact(2))
        assert [one.data["arrival"] for one in listening] == [1, 2]


# ---- beginnings ----------------------------------------------------------------------------------------------------
NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("120", Since(seq=120)),
        ("90s", Since(time=NOW - 90)),
        ("2h30m", Since(time=NOW - 9000)),
        ("1d", Since(time=NOW - 86400)),
        ("2026-01-31T08:00:00Z", Since(time=datetime(2026, 1, 31, 8, tzinfo=UTC).timestamp())),
        ("2026-01-31T08:00:00+02:00", Since(time=datetime(2026, 1, 31, 6, tzinfo=UTC).timestamp())),
        ("2026-01-31", Since(time=datetime(2026, 1, 31).astimezone().timestamp())),
    ],
)
def test_beginnings_are_understood(text: str, since: Since) -> None:
    assert parse_since(text, NOW) == since


@pytest.mark.parametrize("text", ["", "9" * 19, "9" * 5000, "soon", "-5", "2x", "0001-01-01", "\u0661", "2h 3m"])
def test_other_beginnings_are_refused_or_harmless(text: str) -> None:
    try:
        assert parse_since(text, NOW).time is not None
        assert text == "0001-01-01"
    except WireError as exc:
        assert "cannot use" in str(exc)


@given(st.text(max_size=12))
def test_any_text_is_a_beginning_or_refused(text: str) -> None:
    try:
        assert parse_since(text, NOW) != Since()
    except WireError:
        pass
