"""What the statistics say before anything was counted, and how they refuse what does not exist."""

import pytest

from protocol.clock import ManualClock
from protocol.spool.figures.metrics import BOUNDS_S, bucket_of
from protocol.spool.figures.quantiles import latency_of, quantile
from protocol.spool.figures.reading import Statistics


@pytest.fixture
def statistics(tmp_path):
    made = Statistics(tmp_path / "figures.sqlite3", ManualClock())
    yield made
    made.close()


def test_without_a_file_series_are_dense_zeros_and_sums_are_zero(statistics):
    now = ManualClock().now()
    series = statistics.series("received_images", width=60, since=now - 180)
    assert [value for _, value in series] == [0] * 4
    assert [start % 60 for start, _ in series] == [0] * 4 and series[-1][0] <= now < series[-1][0] + 60
    assert statistics.total("sends", now - 86400, target="pacs", result="failed") == 0
    assert statistics.totals("sends", by=("target",)) == {}
    assert statistics.latency("pacs").p95 is None and statistics.flows(now - 3600) == []
    assert statistics.failing() == set() and statistics.counted_until() == (0, 0, 0.0)


@pytest.mark.parametrize("asked", [("images", {}), ("received_images", {"target": "pacs"})])
def test_a_metric_or_label_that_does_not_exist_is_refused_by_name(statistics, asked):
    metric, labels = asked
    with pytest.raises(KeyError):
        statistics.total(metric, **labels)


def test_a_width_that_is_not_kept_is_refused(statistics):
    with pytest.raises(KeyError):
        statistics.series("received_images", width=61, since=0.0)


def test_percentiles_lie_within_their_bucket():
    counts = [0] * (len(BOUNDS_S) + 1)
    counts[int(bucket_of(3.0))] = 100
    assert 2.5 <= quantile(counts, 0.5) <= 5 and quantile(counts, 0.5) < quantile(counts, 0.99) <= 5
    assert latency_of(counts, 300.0).mean == 3.0


def test_what_is_beyond_the_last_bound_is_told_as_that_bound():
    counts = [0] * (len(BOUNDS_S) + 1)
    counts[int(bucket_of(1e9))] = 1
    assert quantile(counts, 0.5) == BOUNDS_S[-1]
