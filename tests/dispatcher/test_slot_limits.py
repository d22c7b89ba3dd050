"""How many deliveries each target may have under way."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from dispatcher_fakes import configuration

from actors.dispatcher.limits import limits
from protocol.spool.targets import TargetState

TWO = configuration({"a": {"concurrency": 3}, "b": {"concurrency": 64}})


def test_no_target_gets_more_than_half_of_the_slots_and_four_are_assumed():
    assert limits(TWO, {}, 1, 0.0) == {"a": 2, "b": 2}
    assert limits(TWO, {}, 12, 0.0) == {"a": 3, "b": 6}


def test_a_failing_target_that_is_not_asked_gets_one_delivery_and_none_before_its_time():
    unasked = configuration({"a": {"concurrency": 3, "probe": False}, "b": {"concurrency": 64}})
    state = {"a": TargetState("a", not_before=100.0)}
    assert limits(unasked, state, 8, 99.0) == {"b": 4}
    assert limits(unasked, state, 8, 101.0) == {"a": 1, "b": 4}


def test_a_failing_target_that_is_asked_gets_one_delivery_once_a_probe_has_found_it():
    assert limits(TWO, {"a": TargetState("a", not_before=100.0)}, 8, 101.0) == {"b": 4}
    assert limits(TWO, {"a": TargetState("a", not_before=100.0, half_open=True)}, 8, 101.0) == {"a": 1, "b": 4}


def test_a_paused_target_gets_nothing_until_the_pause_ends():
    assert limits(TWO, {"a": TargetState("a", paused=True)}, 8, 1e12) == {"b": 4}
    state = {"a": TargetState("a", paused=True, until=100.0)}
    assert [sorted(limits(TWO, state, 8, now)) for now in (99.0, 101.0)] == [["b"], ["a", "b"]]


def test_a_target_outside_its_schedule_gets_nothing():
    night = configuration({"a": {"schedule": [{"start": "22:00", "end": "06:00"}]}, "b": {}})
    day, evening = datetime(2026, 1, 10, 12, tzinfo=UTC), datetime(2026, 1, 10, 21, 30, tzinfo=UTC)
    assert sorted(limits(night, {}, 8, day.timestamp(), UTC)) == ["b"]
    assert sorted(limits(night, {}, 8, evening.timestamp(), ZoneInfo("Europe/Berlin"))) == ["a", "b"]
