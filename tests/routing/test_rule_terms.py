"""On which terms a rule acts: expiry, schedule and quota, judged by the time of receipt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.routing.terms import DAYS, Quota, Window, expired, period_of, resting, within

BERLIN = ZoneInfo("Europe/Berlin")
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)).map(
    lambda moment: moment.astimezone(BERLIN)
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def test_a_day_of_expiry_is_the_last_one_on_which_the_rule_acts() -> None:
    assert not expired("2026-12-31", at("2026-12-31T23:59:59"))
    assert expired("2026-12-31", at("2027-01-01T00:00"))
    assert not expired(None, at("2099-01-01T00:00"))


def test_a_moment_of_expiry_counts_with_its_own_zone() -> None:
    assert not expired("2026-06-01T12:00+00:00", at("2026-06-01T13:59"))  # 11:59 UTC in summer
    assert expired("2026-06-01T12:00+00:00", at("2026-06-01T14:00"))


def test_a_rule_that_was_put_off_acts_again_from_the_first_moment_of_its_day_or_from_its_moment() -> None:
    assert resting("2026-12-31", at("2026-12-30T23:59:59")) and not resting("2026-12-31", at("2026-12-31T00:00"))
    assert resting("2026-06-01T12:00+00:00", at("2026-06-01T13:59:59"))  # 14:00 in summer
    assert not resting("2026-06-01T12:00+00:00", at("2026-06-01T14:00")) and not resting(None, at("2026-06-01T14:00"))


@pytest.mark.parametrize(
    ("window", "moment", "inside"),
    [
        (Window(), "2026-11-26T00:00", True),
        (Window(start="08:00", end="16:00"), "2026-11-26T08:00", True),
        (Window(start="08:00", end="16:00"), "2026-11-26T15:59", True),
        (Window(start="08:00", end="16:00"), "2026-11-26T16:00", False),
        (Window(start="22:00", end="06:00"), "2026-11-26T23:30", True),
        (Window(start="22:00", end="06:00"), "2026-11-27T05:59", True),
        (Window(start="22:00", end="06:00"), "2026-11-27T06:00", False),
        (Window(days=("fri",), start="22:00", end="06:00"), "2026-11-28T03:00", True),  # Saturday, but Friday's night
        (Window(days=("fri",), start="22:00", end="06:00"), "2026-11-27T03:00", False),  # Friday, but Thursday's night
        (Window(days=("sat", "sun")), "2026-11-28T12:00", True),
        (Window(days=("sat", "sun")), "2026-11-27T12:00", False),
        (Window(start="07:00", end="07:00"), "2026-11-27T12:00", True),
    ],
)
def test_a_window_opens_and_closes_by_the_wall_clock(window: Window, moment: str, inside: bool) -> None:
    assert within((window,), at(moment)) is inside


def test_a_window_moves_with_daylight_saving() -> None:
    """known-failures 33: 08:00 in Berlin is 07:00 UTC in winter and 06:00 UTC in summer."""
    window = (Window(start="08:00", end="16:00"),)
    for utc, inside in (("2026-01-15T06:30", False), ("2026-07-15T06:30", True)):
        assert within(window, datetime.fromisoformat(utc).replace(tzinfo=UTC).astimezone(BERLIN)) is inside


@given(MOMENTS, st.sampled_from(DAYS), st.integers(0, 23), st.integers(0, 23))
def test_a_window_and_the_rest_of_the_week_never_overlap_nor_leave_a_gap(
    moment: datetime, day: str, start: int, end: int
) -> None:
    first, second = f"{start:02}:00", f"{end:02}:00"
    nightly = Window(start=first, end=second)
    rest = Window(start=second, end=first)
    if start != end:
        assert within((nightly,), moment) is not within((rest,), moment)
    days = [Window(days=(one,), start=first, end=second) for one in DAYS]
    assert sum(within((one,), moment) for one in days) == within((nightly,), moment)


@given(MOMENTS, st.sampled_from(["hour", "day", "week", "month", None]))
def test_periods_begin_with_the_wall_clock(moment: datetime, per: str) -> None:
    quota = Quota.model_validate({"max": 3, "per": per})
    name = period_of(quota, moment)
    for other in (moment + timedelta(hours=1), moment + timedelta(days=1), moment + timedelta(days=40)):
        other = other.astimezone(BERLIN)
        monday = [one.date() - timedelta(days=one.weekday()) for one in (moment, other)]
        same = {
            "hour": False,
            "day": moment.date() == other.date(),
            "week": monday[0] == monday[1],
            "month": (moment.year, moment.month) == (other.year, other.month),
            None: True,
        }[per]
        assert (period_of(quota, other) == name) is same


def test_the_hour_that_comes_twice_in_autumn_is_two() -> None:
    quota = Quota(max=1, per="hour")
    summer, winter = (datetime(2026, 10, 25, hour, 30, tzinfo=UTC).astimezone(BERLIN) for hour in (0, 1))
    assert summer.hour == winter.hour == 2
    assert period_of(quota, summer) != period_of(quota, winter)
