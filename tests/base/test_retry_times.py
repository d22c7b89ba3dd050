"""When a failed delivery is tried again."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from actors.retry import LONGEST_BREAK_S, leave_alone_s, next_try
from protocol.routing.targets import Retry

NOW = 1_800_000_000.0
FOR_EVER = {"give_up_after_s": None, "max_attempts": None}


def waits(retry: Retry, count: int, first_tried: float = NOW) -> list[float]:
    return [next_try(retry, n, first_tried, NOW, Random(n)) - NOW for n in range(count)]


def test_waits_double_up_to_the_longest():
    found = waits(Retry(first_s=10, factor=2, max_s=100, **FOR_EVER), 7)
    for wait, expected in zip(found, (10, 20, 40, 80), strict=False):
        assert expected * 0.9 <= wait <= expected * 1.1 and wait != expected
    assert all(90 <= wait <= 100 for wait in found[4:])


def test_a_delivery_is_parked_after_its_last_attempt():
    retry = Retry(first_s=10, max_attempts=3, give_up_after_s=None)
    assert [next_try(retry, n, NOW, NOW, Random(1)) is None for n in range(4)] == [False, False, True, True]


def test_the_last_try_is_at_the_end_of_its_time_and_then_it_is_parked():
    retry = Retry(first_s=1000, give_up_after_s=600)
    assert next_try(retry, 0, NOW, NOW, Random(1)) == NOW + 600
    assert next_try(retry, 1, NOW, NOW + 600, Random(1)) is None


def test_whichever_end_comes_first_counts():
    retry = Retry(first_s=1, give_up_after_s=600, max_attempts=2)
    assert next_try(retry, 1, NOW, NOW, Random(1)) is None
    assert next_try(retry, 0, NOW - 600, NOW, Random(1)) is None


def test_with_neither_end_it_never_gives_up():
    retry = Retry(first_s=1, factor=10, max_s=3600, **FOR_EVER)
    assert NOW < next_try(retry, 1_000_000, NOW - 1e9, NOW, Random(1)) <= NOW + 3600


def test_a_clock_that_was_set_back_does_not_prolong_the_tries():
    due = next_try(Retry(first_s=1000, give_up_after_s=600), 0, NOW + 1e6, NOW, Random(1))
    assert due == NOW + 600


def test_a_target_that_came_back_is_noticed_within_a_minute():
    retry = Retry(first_s=10, factor=2, max_s=3600)
    assert [leave_alone_s(retry, n, Random(1)) <= LONGEST_BREAK_S for n in (0, 3, 50)] == [True] * 3
    assert leave_alone_s(retry, 0, Random(1)) <= 11


@given(
    st.floats(0.1, 3600), st.floats(1, 10), st.integers(0, 5000), st.none() | st.integers(1, 100),
    st.none() | st.floats(0, 1e7), st.floats(-1e6, 1e6), st.integers(),
)  # fmt: skip
def test_a_next_try_is_always_later_and_within_the_bounds(first, factor, failed, attempts, age, tried, seed):
    retry = Retry(first_s=first, factor=factor, max_s=3600, give_up_after_s=age, max_attempts=attempts)
    due = next_try(retry, failed, NOW + tried, NOW, Random(seed))
    assert due is None or NOW < due <= NOW + 3600
