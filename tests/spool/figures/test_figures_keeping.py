"""The file of figures: each event counts once, in the bucket of its own time, whatever dies in between."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.clock import ManualClock
from protocol.errors import SpoolError
from protocol.spool.figures import keeping
from protocol.spool.figures.keeping import Keeper
from protocol.spool.figures.metrics import OTHER, WIDTHS_S
from protocol.spool.figures.reading import Statistics
from protocol.spool.outbox import Cursor, Raw
from protocol.testing.crash import CrashPoints, Died
from protocol.wire import events as e
from protocol.wire.codec import pack
from tests.ledger.ledger_events import example

NOW = ManualClock().now()
DAY = 86400.0


def raw(event, seq, time=NOW, epoch=1):
    return Raw(epoch, seq, event.TYPE, time, pack(event.data()))


def images(*times, source="CT1", first=1):
    event = example(e.ImageReceived, calling_ae=source, bytes=10)
    return [raw(event, seq, time) for seq, time in enumerate(times, first)]


@pytest.fixture
def keeper(tmp_path):
    made = Keeper(tmp_path / "figures.sqlite3")
    yield made
    made.close()


@pytest.fixture
def statistics(tmp_path):
    made = Statistics(tmp_path / "figures.sqlite3", ManualClock())
    yield made
    made.close()


def add(keeper, events, now=NOW):
    keeper.add(events, keeper.place(), now)


def test_a_day_that_comes_late_lands_in_its_own_hours_and_leaves_no_fine_buckets(keeper, statistics):
    add(keeper, images(NOW - 5 * DAY, NOW - 5 * DAY + 3600, NOW))
    hours = dict(statistics.series("received_images", width=3600, since=NOW - 6 * DAY))
    assert [value for value in hours.values() if value] == [1, 1, 1]
    assert sum(value for _, value in statistics.series("received_images", width=60, since=NOW - 6 * DAY)) == 1
    assert sum(value for _, value in statistics.series("received_images", width=10, since=NOW - 3600)) == 1
    assert statistics.total("received_images", NOW - 7200) == 1 and statistics.total("received_images") == 3
    assert statistics.total("received_bytes", NOW - 30 * DAY, source="CT1") == 30


def test_series_are_split_by_label(keeper, statistics):
    add(keeper, images(NOW, NOW) + images(NOW, source="MR1", first=3))
    by = statistics.series_by("received_images", ("source",), width=10, since=NOW)
    assert {key: points[-1][1] for key, points in by.items()} == {("CT1",): 2, ("MR1",): 1}
    assert statistics.totals("received_images", NOW - 60, by=("source",)) == {("CT1",): 2, ("MR1",): 1}
    assert statistics.counted_until() == (1, 3, NOW)


def test_the_flow_map_knows_who_sends_where_by_which_rule_and_what_fails(keeper, statistics):
    routed = example(e.ArrivalDecided, calling_ae="CT1", counted={"ct": "true"}, flows=[["ct", "pacs"], ["ct", "ai"]])
    sent = example(e.DeliveryCompleted, target="pacs", last_image=NOW - 20)
    failed = example(e.AttemptFailed, target="ai", retry_at=NOW + 60)
    add(keeper, [raw(routed, 1, NOW - 3600), raw(routed, 2), raw(sent, 3), raw(failed, 4)])
    flows = statistics.flows(NOW - 7200)
    assert [(one.source, one.rule, one.target, one.series, one.failing) for one in flows] == [
        ("CT1", "ct", "ai", 2, True), ("CT1", "ct", "pacs", 2, False),
    ]  # fmt: skip
    assert flows[0].per_hour[-2:] == [1, 1]
    assert statistics.failing() == {"ai"}
    assert statistics.total("rule_results", NOW - DAY, rule="ct", result="true") == 2
    assert 15 <= statistics.latency("pacs", NOW - 60).p50 <= 30 and statistics.latencies()["pacs"].count == 1


def test_a_target_stops_failing_with_its_first_success_of_the_same_second(keeper, statistics):
    add(keeper, [raw(example(e.AttemptFailed, target="ai", retry_at=1.0), 1, NOW),
                 raw(example(e.DeliveryCompleted, target="ai"), 2, NOW + 0.5)])  # fmt: skip
    assert statistics.failing() == set()


def test_an_event_that_cannot_be_read_is_passed_and_the_next_ones_count(keeper, statistics):
    odd = [Raw(1, 1, "image.received", NOW, b"\xc1"), Raw(1, 2, "image.received", NOW, pack({"bytes": "many"}))]
    assert keeper.add([*odd, *images(NOW, first=3)], Cursor(0, 0), NOW) == 2
    assert statistics.total("received_images") == 1 and keeper.place() == Cursor(1, 3)


def test_a_flood_of_invented_senders_becomes_one_line(keeper, statistics, monkeypatch):
    monkeypatch.setattr(keeping, "NAMES_KEPT", 3)
    for number in range(10):
        add(keeper, images(NOW, source=f"AE{number}", first=number + 1))
    by = statistics.totals("received_images", by=("source",))
    assert by == {("AE0",): 1, ("AE1",): 1, ("AE2",): 1, (OTHER,): 7}


def test_who_counts_behind_another_ones_back_is_told_so(keeper, statistics):
    add(keeper, images(NOW))
    with pytest.raises(SpoolError):
        keeper.add(images(NOW), Cursor(0, 0), NOW)
    assert statistics.total("received_images") == 1


def test_buckets_go_when_their_time_is_over_and_totals_stay(keeper, statistics):
    add(keeper, images(NOW))
    for width, kept_s in WIDTHS_S.items():
        keeper.forget(NOW + kept_s + 2 * width)
        assert not any(value for _, value in statistics.series("received_images", width=width, since=NOW, until=NOW))
    assert statistics.total("received_images") == 1


def test_readers_follow_when_a_damaged_file_is_set_aside(tmp_path, keeper, statistics):
    add(keeper, images(NOW))
    assert statistics.total("received_images") == 1
    for ending in ("", "-wal", "-shm"):
        (tmp_path / f"figures.sqlite3{ending}").rename(tmp_path / f"old{ending}")
    assert statistics.total("received_images") == 0
    Keeper(tmp_path / "figures.sqlite3").close()
    assert statistics.counted_until() == (0, 0, 0.0)


EVENTS = images(NOW, NOW - 700, NOW - 9000, NOW + 3, NOW) + [
    raw(example(e.DeliveryCompleted, target="pacs", last_image=NOW - 2), 6),
    raw(example(e.DeliveryCompleted, target="ai", last_image=NOW - 4), 7),
]


def content(path):
    with sqlite3.connect(path) as db:
        names = dict(db.execute("SELECT id, metric || labels FROM line"))
        lines = sorted(db.execute("SELECT metric, labels, total, last FROM line"))
        return lines, sorted((names[line], *row) for line, *row in db.execute("SELECT * FROM bucket"))


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "figures.sqlite3"
    keeper = Keeper(path)
    add(keeper, EVENTS)
    keeper.close()
    return content(path)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=20))
def test_however_batches_are_cut_and_whenever_it_dies_each_event_counts_once(tmp_path_factory, expected, lives):
    """Each life counts so many events at a time and dies at the given step (3 of a batch; a 4th is the next one's)."""
    path = tmp_path_factory.mktemp("cut") / "figures.sqlite3"
    for size, step in [*lives, (3, 1000)]:
        keeper = Keeper(path, effects=CrashPoints.armed(step))
        try:
            while rest := [event for event in EVENTS if event.seq > keeper.place().seq]:
                add(keeper, rest[:size])
        except Died:
            pass
        keeper.close()
    assert content(path) == expected
