"""When a series is complete: the pure judgement, by example and by property."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from actors.router.completion import Complete, Seen, Times, Wait, judge, look, spreads
from protocol.spool.arrivals import OpenArrival

TIMES = Times(5.0, 60.0)


def arrival(images: int = 3, *, opened: int = 0, aborted: int = 0, released: int = 0, unknown: int = 0) -> OpenArrival:
    return OpenArrival(
        1, None, "CT1", "10.0.0.1", images, 0.0, opened, aborted, opened + aborted + released + unknown, released
    )


arrivals = st.builds(
    arrival, st.integers(1, 50), opened=st.integers(0, 3), aborted=st.integers(0, 3), released=st.integers(0, 3),
    unknown=st.integers(0, 3),
)  # fmt: skip
moments = st.floats(0, 1e9)
spans = st.floats(0, 1e5)


def test_a_released_series_is_complete_after_quiet() -> None:
    one = arrival(released=2)
    assert judge(one, Seen(3, 100.0), 104.9, TIMES) == Wait(105.0)
    assert judge(one, Seen(3, 100.0), 105.0, TIMES) == Complete("released")


def test_an_open_association_takes_idle() -> None:
    one = arrival(released=1, opened=1)
    assert judge(one, Seen(3, 100.0), 159.9, TIMES) == Wait(160.0)
    assert judge(one, Seen(3, 100.0), 160.0, TIMES) == Complete("idle")


def test_an_abort_takes_idle_even_if_another_association_was_released() -> None:
    one = arrival(released=1, aborted=1)
    assert judge(one, Seen(3, 100.0), 159.9, TIMES) == Wait(160.0)
    assert judge(one, Seen(3, 100.0), 160.0, TIMES) == Complete("aborted")


def test_an_association_nobody_knows_is_no_evidence_of_release() -> None:
    assert judge(arrival(unknown=1), Seen(3, 100.0), 110.0, TIMES) == Wait(160.0)
    assert judge(arrival(released=1, unknown=1), Seen(3, 100.0), 110.0, TIMES) == Wait(160.0)
    assert judge(arrival(), Seen(3, 100.0), 160.0, TIMES) == Complete("idle")


def test_a_release_ends_nothing_where_associations_follow_one_another() -> None:
    one = replace(arrival(released=2), followed=True)
    assert judge(one, Seen(3, 100.0), 159.9, TIMES) == Wait(160.0)
    assert judge(one, Seen(3, 100.0), 160.0, TIMES) == Complete("spread")
    assert judge(replace(arrival(released=1), seen_spreading=True), Seen(3, 100.0), 110.0, TIMES) == Wait(160.0)
    assert judge(replace(one, associations_aborted=1), Seen(3, 100.0), 160.0, TIMES) == Complete("aborted")


def test_an_addendum_tells_of_spreading_if_waiting_longer_would_have_caught_it() -> None:
    assert not spreads(arrival(released=1), TIMES)
    for late_s, spread in ((0.0, True), (60.0, True), (60.1, False), (-5.0, False)):
        assert spreads(replace(arrival(released=1), late_s=late_s), TIMES) is spread


def test_an_idle_time_below_the_quiet_time_shortens_nothing() -> None:
    one = replace(arrival(released=1), seen_spreading=True)
    assert judge(one, Seen(3, 100.0), 110.0, Times(20.0, 2.0)) == Wait(120.0)


def test_silence_starts_anew_with_each_image_and_without_memory() -> None:
    assert look(arrival(3), None, 50.0) == Seen(3, 50.0)
    assert look(arrival(3), Seen(3, 10.0), 50.0) == Seen(3, 10.0)
    assert look(arrival(4), Seen(3, 10.0), 50.0) == Seen(4, 50.0)


@given(arrivals, moments, spans, spans, spans)
def test_a_wait_ends_exactly_when_it_said(
    one: OpenArrival, since: float, silence: float, quiet: float, idle: float
) -> None:
    times, seen = Times(quiet, idle), Seen(one.images, since)
    judged = judge(one, seen, since + silence, times)
    if isinstance(judged, Wait):
        assert judged.until > since + silence
        assert isinstance(judge(one, seen, judged.until, times), Complete)


@given(arrivals, moments, spans)
def test_nothing_but_full_release_completes_before_idle(one: OpenArrival, since: float, silence: float) -> None:
    judged = judge(one, Seen(one.images, since), since + silence, Times(0.0, 1e6))
    everything_released = one.associations > 0 and one.associations_released == one.associations
    assert isinstance(judged, Complete) == everything_released


@given(arrivals, moments, spans, spans)
def test_waiting_longer_never_undoes_completeness(
    one: OpenArrival, since: float, silence: float, longer: float
) -> None:
    seen = Seen(one.images, since)
    if isinstance(judge(one, seen, since + silence, TIMES), Complete):
        assert isinstance(judge(one, seen, since + silence + longer, TIMES), Complete)
