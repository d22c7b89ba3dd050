"""How long a source is usually silent, learned from the hours in which it was seen."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from zoneinfo import ZoneInfo

import pytest

from actors.bookkeeper.alerts.silent import HOUR_S, silence, slots

MONDAY = int(datetime(2027, 1, 4, tzinfo=UTC).timestamp() // HOUR_S)
SLOT = slots(UTC)


def office_hours(weeks: int, begin: int = MONDAY) -> list[int]:
    return [begin + 24 * day + hour for day in range(7 * weeks) if day % 7 < 5 for hour in range(8, 18)]


def at(hours_after_monday: float, weeks: int = 4) -> float:
    return (MONDAY + 168 * weeks + hours_after_monday) * HOUR_S


@pytest.mark.parametrize("hour", [0.0, 3.0, 7.9, 8.9, 9.9])
def test_nights_and_weekends_are_not_silence(hour: float) -> None:
    assert silence(office_hours(4), at(hour), SLOT) is None


@pytest.mark.parametrize("hour", [12.0, 15.0, 22.0, 32.0])
def test_a_working_morning_without_anything_is(hour: float) -> None:
    found = silence(office_hours(4), at(hour), SLOT)
    assert found is not None and found.since == at(-168 + 4 * 24 + 18)


def test_the_clock_on_the_wall_counts_when_it_changes() -> None:
    """Summer time begins on 2027-03-28 in Berlin: the office opens an hour earlier by UTC."""
    zone = ZoneInfo("Europe/Berlin")
    begin = int(datetime(2027, 3, 1, tzinfo=zone).timestamp() // HOUR_S)
    hours = office_hours(4, begin)  # four weeks of winter time
    after = datetime(2027, 3, 29, 7, 30, tzinfo=zone).timestamp()
    assert silence(hours, after, slots(zone)) is None
    slot = slots(zone)
    assert slot(int(datetime(2027, 3, 29, 8, 30, tzinfo=zone).timestamp() // HOUR_S)) == 8


def test_who_is_rarely_there_is_given_more_time() -> None:
    random = Random(3)
    once_a_day = sorted({MONDAY + 24 * day + random.randrange(8, 18) for day in range(56) if day % 7 < 5})
    assert silence(once_a_day, at(24.0, 8), SLOT) is None, "one day without is nothing"
    assert silence(once_a_day, at(24.0 * 4, 8), SLOT) is None
    assert silence(once_a_day, at(24.0 * 10, 8), SLOT) is not None, "eight working days are"


@pytest.mark.parametrize(
    "hours",
    [[], [MONDAY], office_hours(1), office_hours(3)[::12], [MONDAY + 24 * day for day in range(28)][:20]],
    ids=["nothing", "once", "a week", "a few hours", "few days"],
)
def test_few_data_mean_no_answer(hours: list[int]) -> None:
    assert silence(hours, at(24 * 3), SLOT) is None


def test_who_left_long_ago_is_no_alert_any_more() -> None:
    assert silence(office_hours(4), at(24 * 10), SLOT) is not None
    assert silence(office_hours(4), at(24 * 20), SLOT) is None


def test_a_clock_that_was_set_back_is_no_silence() -> None:
    assert silence(office_hours(4), at(-24 * 7), SLOT) is None


def test_a_holiday_does_not_hide_the_next_silence() -> None:
    hours = [hour for hour in office_hours(8) if not MONDAY + 168 * 5 <= hour < MONDAY + 168 * 5 + 24]
    assert silence(hours, at(13.0, 8), SLOT) is not None
