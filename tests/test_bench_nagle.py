"""What P4 is judged by: thirty times storescp, or, where the sender itself is slower than that, that Nagle costs nothing."""

from __future__ import annotations

import pytest

from bench.nagle import RELAXED, WITHOUT, compared, judged
from bench.runs import Result


def _results(stalled: float, ours: float, without: float) -> list[Result]:
    """One repetition each of storescp, our receiver, and our receiver with Nagle's algorithm off at the sender."""
    rates = {"storescp +B": stalled, RELAXED: ours, WITHOUT: without}
    return [Result("on", name, [rate], "images/s", rate, round(rate / stalled, 2)) for name, rate in rates.items()]


@pytest.mark.parametrize(("ours", "met"), [(700.0, True), (590.0, False)])
def test_thirty_times_storescp_is_judged_where_the_sender_can_be_that_fast(ours: float, met: bool) -> None:
    results = _results(20.0, ours, 1000.0)
    [row] = [one for one in judged(results) if one.goal]
    assert (row.contender, row.goal, row.met) == (RELAXED, "P4 >= 30 x", met)
    assert not any(one.goal for one in compared("off and on", results))


@pytest.mark.parametrize(("ours", "met", "ratio"), [(960.0, True, 0.96), (940.0, False, 0.94)])
def test_a_sender_slower_than_that_must_lose_nothing_by_nagle(ours: float, met: bool, ratio: float) -> None:
    results = _results(50.0, ours, 1000.0)
    assert not any(one.goal for one in judged(results))
    off, on = compared("off and on", results)
    assert (off.ratio, on.ratio, on.goal, on.met) == (1.0, ratio, "P4 >= 0.95 x", met)


def test_the_rate_without_nagle_is_no_row_of_the_first_table() -> None:
    assert WITHOUT not in [one.contender for one in judged(_results(20.0, 700.0, 1000.0))]


def test_nothing_is_compared_where_our_receiver_did_not_run() -> None:
    assert compared("off and on", _results(20.0, 700.0, 1000.0)[:1]) == []
