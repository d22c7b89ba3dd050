"""Dates and times: what header values and the texts of a rule mean, and what comes first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.routing.rules.moments import Moment, comparable, day_of, moment_of, order, received
from tests.routing.rules.rule_testing import refusal, result

WHOLE = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))


@pytest.mark.parametrize(
    ("text", "kind", "parts"),
    [
        ("20260131", "date", (2026, 1, 31)),
        ("2026-01-31", "date", (2026, 1, 31)),
        ("2026.01.31", "date", (2026, 1, 31)),
        ("2026-01", "date", (2026, 1)),
        ("202601", "date", (2026, 1)),
        ("2026", "date", (2026,)),
        ("2026-0131", "date", ()),
        ("20260231", "date", ()),
        ("20260229", "date", ()),
        ("20240229", "date", (2024, 2, 29)),
        ("19700000", "date", (1970,)),
        ("19700500", "date", (1970, 5)),
        ("19700015", "date", ()),
        ("00000000", "date", ()),
        ("20260101-20260131", "date", ()),
        ("31.01.2026", "date", ()),
        ("٢٠٢٦٠١٣١", "date", ()),
        ("12", "time", (12,)),
        ("1230", "time", (12, 30)),
        ("12:30", "time", (12, 30)),
        ("9:30", "time", (9, 30)),
        ("123045", "time", (12, 30, 45)),
        ("12:30:45.5", "time", (12, 30, 45, 500000)),
        ("123045.123456", "time", (12, 30, 45, 123456)),
        ("235960", "time", (23, 59, 60)),
        ("24:00", "time", (24, 0)),
        ("24:01", "time", ()),
        ("2460", "time", ()),
        ("930", "time", ()),
        ("12:3045", "time", ()),
        ("2026", "datetime", (2026,)),
        ("20260131123045.5+0100", "datetime", (2026, 1, 31, 12, 30, 45, 500000)),
        ("2026-01-31T12:30:45+01:00", "datetime", (2026, 1, 31, 12, 30, 45)),
        ("2026-01-31 12:30", "datetime", (2026, 1, 31, 12, 30)),
        ("202601-0500", "datetime", (2026, 1)),
        ("2026-0100", "datetime", (2026,)),
        ("2026-01-31T12:30+99:00", "datetime", ()),
        ("2026 12:30", "datetime", ()),
        ("20260131T", "datetime", ()),
        ("2" * 4000, "datetime", ()),
    ],
)
def test_texts_mean_dates_and_times(text: str, kind: str, parts: tuple[int, ...]) -> None:
    moment = moment_of(text, kind)  # type: ignore[arg-type]
    assert moment.parts == parts
    assert moment == text


def test_a_person_cannot_leave_a_month_zero() -> None:
    assert moment_of("19700000", "date", True).parts == ()


def test_zones_are_minutes_east_of_utc() -> None:
    assert moment_of("20260131120000+0130", "datetime").offset == 90
    assert moment_of("20260131120000-0500", "datetime").offset == -300
    assert moment_of("20260131120000Z", "datetime").offset == 0
    assert moment_of("20260131120000", "datetime").offset is None


@given(
    st.text(max_size=30) | st.from_regex(r"[0-9+.: TZ-]{0,30}", fullmatch=True),
    st.sampled_from(["date", "time", "datetime"]),
)
def test_no_text_breaks_the_reading(text: str, kind: str) -> None:
    for written in (False, True):
        moment = moment_of(text, kind, written)  # type: ignore[arg-type]
        assert moment == text
        day_of(moment)
        if moment.parts:
            assert order(moment, moment) == 0


@given(WHOLE, WHOLE)
def test_whole_moments_are_ordered_as_the_clock_goes(one: datetime, other: datetime) -> None:
    left, right = (moment_of(f"{moment:%Y%m%d%H%M%S.%f}", "datetime") for moment in (one, other))
    assert order(left, right) == (one > other) - (one < other)
    assert order(right, left) == (other > one) - (other < one)


@given(WHOLE, st.integers(-12 * 60, 14 * 60), st.integers(-12 * 60, 14 * 60))
def test_zones_count_if_both_tell_one(moment: datetime, one: int, other: int) -> None:
    instant = moment.replace(tzinfo=UTC)
    left, right = (
        moment_of(instant.astimezone(timezone(timedelta(minutes=zone))).strftime("%Y%m%d%H%M%S%z"), "datetime")
        for zone in (one, other)
    )
    assert order(left, right) == 0


def test_a_zone_does_not_count_against_a_time_without_one() -> None:
    assert order(moment_of("20260131120000+0500", "datetime"), moment_of("20260131120000", "datetime")) == 0


KINDS = {"StudyDate": "date", "StudyTime": "time", "AcquisitionDateTime": "datetime"}


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("StudyDate == '20260131'", "20260131", "true"),
        ("StudyDate == '2026-01-31'", "20260131", "true"),
        ("StudyDate == '2026-01'", "20260131", "true"),
        ("StudyDate <= '2026'", "20261231", "true"),
        ("StudyDate > '2026'", "20261231", "false"),
        ("StudyDate > date('2026-01-30')", "20260131", "true"),
        ("'2026-01-01' <= StudyDate <= '2026-01-31'", "20260131", "true"),
        ("StudyDate in ('2026-01-30', '20260131')", "20260131", "true"),
        ("StudyDate not in ('2026-01-30', '2026-02')", "20260131", "true"),
        ("StudyDate != '20260131'", "20260131", "false"),
        ("'2026' in StudyDate", "20260131", "true"),
        (
            "startswith(StudyDate, '202601') and like(StudyDate, '2026*') and contains(StudyDate, '0131')",
            "20260131",
            "true",
        ),
        ("StudyDate == '1970-05-01'", "19700000", "unknown"),
        ("StudyDate < '1971-05-01'", "19700000", "true"),
        ("StudyDate < '2026-01-31'", "garbage", "error"),
        ("contains(StudyDate, 'garb')", "garbage", "true"),
        ("StudyDate == '2026-01-31'", ["20260130", "20260131"], "false"),
        ("'2026-01-31' in StudyDate", ["20260130", "20260131"], "true"),
        ("StudyTime == '12:30'", "123045", "true"),
        ("StudyTime > '12:30'", "123045", "false"),
        ("StudyTime >= '12:30'", "123045", "true"),
        ("StudyTime < '12:30:46'", "123045.99", "true"),
        ("StudyTime == '12:30:45'", "123045.99", "true"),
        ("StudyTime < '24:00'", "235960", "true"),
        ("StudyTime > '12:30'", "12", "unknown"),
        ("StudyTime > '11:30'", "12", "true"),
        ("AcquisitionDateTime == '2026-01-31'", "20260131140000", "true"),
        ("AcquisitionDateTime > '2026-01-31 13:59'", "20260131140000.5+0100", "true"),
        ("AcquisitionDateTime == date('2026-01-31')", "20260131140000", "true"),
        ("date(AcquisitionDateTime) == '2026-01-31'", "20260131140000", "true"),
        ("AcquisitionDateTime > '2026-01-31 13:59'", "20260131", "unknown"),
        ("AcquisitionDateTime > '2026-01-31 15:00+0200'", "20260131140000+0000", "true"),
    ],
)
def test_comparing_with_what_a_person_writes(text: str, value: object, expected: str) -> None:
    name = next(name for name in KINDS if name in text)
    assert result(text, {name: value}) == expected


def test_dates_of_a_header_are_compared_with_each_other() -> None:
    header = {
        "StudyDate": "20260131",
        "SeriesDate": "2026.01.31",
        "AcquisitionDateTime": "20260131120000",
        "StudyTime": "12",
    }
    assert result("StudyDate == SeriesDate", header) == "true"
    assert result("StudyDate == AcquisitionDateTime", header) == "true"
    assert result("StudyDate < StudyTime", header) == "error"
    assert result("StudyDate == PatientBirthDate", header) == "unknown"
    assert result("StudyDate > SeriesNumber", {**header, "SeriesNumber": 3}) == "error"


def test_the_time_of_receipt_is_told_by_the_nodes_clock() -> None:
    origin = {"ReceivedAt": "2026-07-31T22:30:00+00:00"}
    berlin = ZoneInfo("Europe/Berlin")
    assert result("ReceivedAt == '2026-08-01 00:30'", origin=origin, zone=berlin) == "true"
    assert (
        result(
            "date(ReceivedAt) == '2026-08-01' and startswith(ReceivedAt, '2026-08-01T00:30')",
            origin=origin,
            zone=berlin,
        )
        == "true"
    )
    assert result("ReceivedAt == '2026-07-31 22:30'", origin=origin) == "true"
    assert result("ReceivedAt > '2026-01-01'", origin={"ReceivedAt": "yesterday"}) == "error"
    assert received("0001-01-01T00:00:00+00:00", ZoneInfo("America/New_York")).parts == ()


@pytest.mark.parametrize(
    ("text", "position", "cure"),
    [
        ("StudyDate == 'yesterday'", 13, "'2026-01-31'"),
        ("StudyDate == '31.01.2026'", 13, "'2026-01-31'"),
        ("StudyDate > 20260131", 12, "'2026-01-31'"),
        ("20260131 < StudyDate", 0, "'2026-01-31'"),
        ("StudyDate in ('20260131', 'x')", 13, "'2026-01-31'"),
        ("StudyDate == ''", 13, "missing(X)"),
        ("StudyDate == '20260101-20260131'", 13, "'20260101' <= X <= '20260131'"),
        ("StudyTime > '2:30 PM'", 12, "'12:30'"),
        ("StudyTime == '8:00-16:00'", 13, "'8:00' <= X <= '16:00'"),
        ("StudyTime > 8", 12, "'12:30'"),
        ("date('2026-02-30') > StudyDate", 5, "'2026-01-31'"),
        ("one_of(StudyDate, 'today')", 18, "'2026-01-31'"),
        ("ReceivedAt > 'now'", 13, "'2026-01-31 12:30'"),
    ],
)
def test_what_can_never_be_a_date_is_refused_when_the_rule_is_saved(text: str, position: int, cure: str) -> None:
    error = refusal(text)
    assert error.position == position
    assert cure in error.cure


MOMENTS = st.sampled_from(
    [
        moment_of(text, kind, written)  # type: ignore[arg-type]
        for kind, texts in {
            "date": ["2026", "202601", "20260131", "x"],
            "time": ["12", "1230", "123000", "123000.5", "x"],
            "datetime": [
                "2026",
                "20260131",
                "2026013112",
                "20260131123000",
                "20260131123000.5",
                "20260131123000+0100",
                "x",
            ],
        }.items()
        for text in texts
        for written in (False, True)
    ]
)


@given(MOMENTS, MOMENTS)
def test_the_order_of_two_is_the_opposite_of_the_other_way_round(left: Moment, right: Moment) -> None:
    assert comparable(left, right) is comparable(right, left)
    if comparable(left, right):
        one, other = order(left, right), order(right, left)
        assert one == other if not one else one == -(other or 0)
