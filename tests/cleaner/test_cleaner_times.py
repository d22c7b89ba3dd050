"""The cleaner's rules about time: window, retention, clock. Pure functions, by example and by property."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.cleaner.disk import MUCH_S, Disk
from actors.cleaner.times import opens_at
from actors.clocks import clock_trouble
from actors.rhythm import LOOK_S, REST_S
from actors.window import in_window
from protocol.fsops import Room
from protocol.settings.model import Cleaner
from protocol.spool.retention import retention_at

BERLIN = ZoneInfo("Europe/Berlin")
texts = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.integers(0, 59))
moments = st.floats(0, 4e9)


def at(text: str, zone=UTC) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@pytest.mark.parametrize(
    ("window", "time", "open"),
    [
        ("22:00-06:00", "21:59:59", False),
        ("22:00-06:00", "22:00:00", True),
        ("22:00-06:00", "00:00:00", True),
        ("22:00-06:00", "05:59:59", True),
        ("22:00-06:00", "06:00:00", False),
        ("01:30-02:30", "01:29:59", False),
        ("01:30-02:30", "01:30:00", True),
        ("01:30-02:30", "02:30:00", False),
        ("12:00-12:00", "03:00:00", True),
        ("always", "12:00:00", True),
        ("never", "00:00:00", False),
    ],
)
def test_a_window_opens_and_closes(window, time, open):
    assert in_window(window, at(f"2026-03-10T{time}"), UTC) is open


def test_the_window_goes_by_local_time():
    assert in_window("22:00-06:00", at("2026-01-10T21:30:00"), BERLIN)  # 22:30 there
    assert not in_window("22:00-06:00", at("2026-01-10T20:30:00"), BERLIN)
    assert in_window("22:00-06:00", at("2026-07-10T20:30:00"), BERLIN)  # 22:30 in summer


def test_daylight_saving_moves_the_window_with_the_clock_on_the_wall():
    spring, autumn = at("2026-03-29T00:00:00", BERLIN), at("2026-10-25T00:00:00", BERLIN)

    def hours_open(midnight: float, window: str) -> float:
        return sum(in_window(window, midnight + minute * 60, BERLIN) for minute in range(23 * 60)) / 60

    assert hours_open(spring, "01:00-04:00") == 2  # 02:00 to 03:00 does not exist
    assert hours_open(autumn, "01:00-04:00") == 4  # 02:00 to 03:00 comes twice
    assert hours_open(spring, "02:00-03:00") == 0


@given(texts, texts, moments)
def test_a_window_and_its_reverse_never_overlap_and_leave_no_gap(start, end, now):
    there, back = in_window(f"{start}-{end}", now, UTC), in_window(f"{end}-{start}", now, UTC)
    assert there and back if start == end else there != back


@given(texts, texts, moments)
def test_a_window_is_open_for_its_length_each_day(start, end, now):
    midnight = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    length = (int(end[:2]) * 60 + int(end[3:]) - int(start[:2]) * 60 - int(start[3:])) % 1440 or 1440
    minutes = sum(
        in_window(f"{start}-{end}", (midnight + timedelta(minutes=at)).timestamp(), UTC) for at in range(1440)
    )
    assert minutes == length


@given(texts, texts, moments, st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"]))
def test_the_window_is_what_a_clock_in_that_zone_shows(start, end, now, zone):
    shown = datetime.fromtimestamp(now, ZoneInfo(zone)).strftime("%H:%M")
    inside = start <= shown < end if start < end else (shown >= start or shown < end)
    assert in_window(f"{start}-{end}", now, ZoneInfo(zone)) == inside


def test_retention_is_counted_back_in_hours():
    settings = Cleaner(retention_delivered_h=2, retention_discarded_h=0, retention_quarantined_h=24)
    found = retention_at(1e9, settings, {})
    assert (found.delivered_before, found.discarded_before, found.quarantined_before) == (
        1e9 - 7200, 1e9, 1e9 - 86400,
    )  # fmt: skip
    assert retention_at(1e9, Cleaner(), {}).quarantined_before is None


def test_a_clock_that_parted_or_is_behind_is_trouble():
    assert clock_trouble(0.0, 1e9, 1e9) == ""
    assert clock_trouble(3600.0, 1e9, 1e9) == "" == clock_trouble(-3600.0, 1e9, 1e9)
    assert "+1.0 hours" in clock_trouble(3601.0, 1e9, 0.0)
    assert "-2.0 hours" in clock_trouble(-7200.0, 1e9, 0.0)
    assert clock_trouble(0.0, 1e9, 1e9 + 4) == ""
    assert "60 s behind the newest event" in clock_trouble(0.0, 1e9, 1e9 + 60)


def test_pressure_begins_before_the_receiver_has_to_refuse():
    def disk(gigabytes: float, inodes: int | None = None) -> Disk:
        return Disk(Room(int(gigabytes * 1e9), inodes), 5e9, 1e9)

    assert [disk(size).pressure for size in (8, 7, 4)] == [False, True, True]
    assert [disk(size).below for size in (7, 4)] == [False, True]
    assert [disk(size).below_second for size in (4, 0.5)] == [False, True]
    assert disk(100, 19_999).pressure and not disk(100, 20_000).pressure


def test_how_soon_it_looks_at_the_disk_again_follows_from_the_room_and_its_reserve():
    def patience_s(gigabytes: float, inodes: int | None = None) -> float:
        return Disk(Room(int(gigabytes * 1e9), inodes), 5e9, 1e9).patience_s

    assert [patience_s(size) for size in (4, 20, 21, 50, 51)] == [LOOK_S, LOOK_S, MUCH_S, MUCH_S, REST_S]
    assert patience_s(51, 19_999) == LOOK_S


def test_the_next_opening_is_told_in_seconds_utc():
    noon = at("2026-01-10T12:00:30", BERLIN)
    assert opens_at("22:00-06:00", noon, BERLIN) == at("2026-01-10T22:00:00", BERLIN)
    inside = at("2026-01-10T23:00:30", BERLIN)
    assert opens_at("22:00-06:00", inside, BERLIN) == inside
    assert opens_at("never", noon, BERLIN) is None
    before_the_change = at("2026-03-28T12:00:00", BERLIN)
    assert opens_at("02:10-02:50", before_the_change, BERLIN) == at("2026-03-30T02:10:00", BERLIN)  # a day later


@given(texts, texts, moments, st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]))
def test_before_the_next_opening_it_is_shut_and_then_open(start, end, now, zone):
    opens = opens_at(f"{start}-{end}", now, ZoneInfo(zone))
    assert opens is not None and opens >= now
    assert in_window(f"{start}-{end}", opens, ZoneInfo(zone))
    if opens > now:
        assert not in_window(f"{start}-{end}", opens - 1, ZoneInfo(zone))


def test_a_target_has_a_cut_off_of_its_own_only_if_it_says_so():
    from protocol.routing.targets import FolderTarget

    def folder(hours: float | None) -> FolderTarget:
        return FolderTarget(type="folder", path="/data", retention_h=hours)

    found = retention_at(1e9, Cleaner(retention_delivered_h=10), {"a": folder(None), "b": folder(2), "c": folder(48)})
    assert found.targets == {"b": 1e9 - 7200, "c": 1e9 - 172_800}
    assert found.before("delivered", ["a", "b"]) == 1e9 - 36_000  # the longest counts
    assert found.before("delivered", ["b", "c"]) == 1e9 - 172_800
    assert found.before("held", ["c"]) is None
