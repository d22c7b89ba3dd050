"""A target away from Friday evening to Monday, over a change to summer time, while series come in: issue 5, "Must hold"."""

from __future__ import annotations

import os
import shutil
import tempfile
from bisect import bisect_left
from datetime import datetime
from pathlib import Path

import pytest
from days import BERLIN, HOUR, Days, at

from protocol.states import Priority

IN_MEMORY = Path("/dev/shm")
FRIDAY, MONDAY = at("2027-03-26T18:00"), at("2027-03-29T17:00")
AWAY_S = MONDAY - FRIDAY  # 70 hours: that night has one less
SERIES = 35
# A delivery is a probe when its own wait is over, an hour at most; many that wait may be due close together.
NOTICED_S = 65 * 60
TARGETS = {"pacs": {"concurrency": 2}, "archive": {}, "ai1": {}, "ai2": {}}
GROUPS = {"ai": {"mode": "failover", "members": ["ai1", "ai2"], "patience_s": 60.0}}


@pytest.fixture
def folder():
    made = Path(tempfile.mkdtemp(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def weekend():
    """The weekend, lived through once: pacs and ai1 are away, a series every other hour."""
    folder = Path(tempfile.mkdtemp(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None))
    days = Days(folder, FRIDAY, targets=TARGETS, groups=GROUPS)
    for name in ("pacs", "ai1"):
        days.world.target(name).away = True
    for number in range(SERIES):
        days.until(FRIDAY + number * AWAY_S / SERIES + 60)
        days.series(number + 1, "pacs", "archive", group="ai")
    days.until(MONDAY)
    days.waiting = days.states("pacs")
    for name in ("pacs", "ai1"):
        days.world.target(name).away = False
    days.until(MONDAY + NOTICED_S)
    days.soon = list(days.got["pacs"])
    days.until(at("2027-03-29T21:00"))
    yield days
    days.world.close()
    shutil.rmtree(folder)


pytestmark = pytest.mark.slow


def test_nothing_is_given_up_while_it_is_away(weekend):
    assert set(weekend.waiting) <= {"waiting", "retrying"} and weekend.waiting.total() == SERIES


def test_all_of_it_is_there_within_minutes_of_the_probe_that_found_it_back(weekend):
    there = {uid for uid, _ in weekend.soon}
    assert weekend.soon[-1][1] - weekend.soon[0][1] < 60
    late = [made for uid, made in weekend.made.items() if uid not in there]
    assert all(priority is Priority.OFFPEAK and MONDAY - made < 24 * HOUR for priority, made in late) and len(late) < 9
    assert weekend.states("pacs") == {"delivered": SERIES}, "those in the evening"
    assert len(weekend.got["pacs"]) == len({uid for uid, _ in weekend.got["pacs"]}) == SERIES, "each once"


def test_it_comes_in_the_order_of_priority_and_age(weekend):
    """But for the probe that found it back: nobody could know."""
    came = [weekend.made[uid] for uid, _ in weekend.soon][1:]
    assert len(came) > 25
    assert came == sorted(came, key=lambda one: (one[0].rank, one[1]))


def test_there_is_no_herd(weekend):
    """While it is away one probe at a time, about one a minute at most; when it is back, its limit."""
    tries = weekend.tries["pacs"]
    most = max(bisect_left(tries, start + HOUR) - number for number, start in enumerate(tries))
    assert 5 <= most <= 67, "a probe each minute less its jitter"
    assert weekend.most_at_once["pacs"] <= 2
    gaps = [later - sooner for sooner, later in zip(tries, tries[1:], strict=False)]
    assert min(gaps[1:]) >= 8, "the first wait is 10 s less its jitter, and nobody else tries meanwhile"


def test_others_are_served_as_if_nothing_was_wrong(weekend):
    for uid, came in weekend.got["archive"]:
        priority, made = weekend.made[uid]
        if priority is not Priority.OFFPEAK:
            assert came - made <= 30
    assert weekend.states("archive").total() == SERIES


def test_off_peak_goes_by_the_clock_on_the_wall_on_both_sides_of_the_change(weekend):
    offpeak = [(weekend.made[uid][1], came) for uid, came in weekend.got["archive"]
               if weekend.made[uid][0] is Priority.OFFPEAK]  # fmt: skip
    assert len(offpeak) > 8
    for made, came in offpeak:
        hour = datetime.fromtimestamp(came, BERLIN).hour
        assert hour >= 20 or hour < 6 or came - made >= 24 * HOUR
    assert {datetime.fromtimestamp(came, BERLIN).utcoffset().seconds for _, came in offpeak} == {3600, 7200}


def test_the_group_goes_on_with_the_other_member_and_falls_back_when_the_first_is_there_again(weekend):
    assert len(weekend.got["ai2"]) + len(weekend.got["ai1"]) == SERIES
    assert all(came <= MONDAY for _, came in weekend.got["ai2"])
    weekend.series(1000, group="ai")
    weekend.until(weekend.clock.now() + 25 * HOUR)
    assert weekend.got["ai1"][-1][0].endswith(".1") and weekend.states("ai2").keys() <= {"delivered"}
    assert weekend.made[weekend.got["ai1"][-1][0]][1] > MONDAY


def test_one_that_never_comes_back_is_given_up_after_its_time_and_not_before(folder):
    days = Days(folder, FRIDAY, targets={"pacs": {}})
    days.world.target("pacs").away = True
    for number in range(3):
        days.series(number + 1, "pacs")
    begin = days.clock.now()
    days.until(begin + 259_200 - 60)
    assert set(days.states("pacs")) == {"retrying"}
    days.until(begin + 259_200 + 30 * HOUR)  # off-peak ones may begin a day later
    assert set(days.states("pacs")) == {"parked"}
    with days.spool.database.read() as connection:
        rows = connection.execute(
            "SELECT d.first_tried, max(e.time) AS parked FROM delivery d JOIN event e ON e.type = 'delivery.parked'"
            " AND e.subject = 'delivery/' || d.id GROUP BY d.id"
        ).fetchall()
    assert len(rows) == 3
    assert all(259_200 <= row["parked"] - row["first_tried"] <= 259_200 + 120 for row in rows)
    days.world.close()
