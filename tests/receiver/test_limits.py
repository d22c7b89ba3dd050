"""Associations at once and images a second, counted in one place; by example and against a plain model."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.receiver.limits import BURST_S, Limits, Pace
from protocol.clock import ManualClock


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def test_each_limit_says_which_one_it_is_and_opens_again() -> None:
    limits = Limits(4, per_address=3)
    assert [limits.enter(key(n), "mr1", "10.0.0.1", source_most=2) for n in (1, 2)] == [None, None]
    assert limits.enter(key(3), "mr1", "10.0.0.2", source_most=2) == "source 'mr1' has 2 associations open, its limit"
    assert limits.enter(key(4), None, "10.0.0.1") is None
    assert "10.0.0.1 has 3 associations open" in str(limits.enter(key(5), None, "10.0.0.1"))
    assert limits.enter(key(6), None, "10.0.0.2") is None
    assert "the limit of the receiver" in str(limits.enter(key(7), None, "10.0.0.3"))
    limits.leave(key(1))
    limits.leave(key(1))
    limits.leave(key(99))
    assert limits.enter(key(8), "mr1", "10.0.0.1", source_most=2) is None and len(limits) == 4


def test_a_worker_that_dies_gives_back_what_it_served_and_nothing_else() -> None:
    limits = Limits(10, per_address=2)
    for number, worker in ((1, "a"), (2, "b")):
        assert limits.enter(key(number), "mr1", "10.0.0.1", worker=worker) is None
    assert limits.enter(key(3), "mr1", "10.0.0.1", worker="b") is not None
    assert limits.lost("a") == 1 and limits.lost("a") == 0
    limits.leave(key(1))
    assert limits.enter(key(3), "mr1", "10.0.0.1", worker="b") is None
    assert limits.enter(key(4), "mr1", "10.0.0.1", worker="b") is not None
    assert limits.lost("b") == 2 and len(limits) == 0


def test_while_it_is_shut_only_who_answers_us_comes_in_and_what_is_open_stays_open() -> None:
    limits = Limits(3, per_address=2)
    assert limits.enter(key(1), "mr1", "10.0.0.1", source_most=1) is None
    limits.shut("the node is being drained")
    assert limits.enter(key(2), None, "10.0.0.2") == "the node is being drained" and len(limits) == 1
    assert limits.enter(key(3), "pacs", "10.0.0.2", answers=True) is None
    assert "its limit" in str(limits.enter(key(4), "mr1", "10.0.0.1", source_most=1, answers=True)), (
        "limits still count"
    )
    limits.leave(key(1))
    assert limits.enter(key(4), "mr1", "10.0.0.1", source_most=1) == "the node is being drained"
    limits.shut("another reason")
    assert limits.enter(key(4), None, "10.0.0.1") == "another reason"
    limits.shut("")
    assert limits.enter(key(4), "mr1", "10.0.0.1", source_most=1) is None and len(limits) == 2


acts = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.integers(0, 30), st.sampled_from([None, "a", "b"]), st.sampled_from("xyz"),
                  st.sampled_from(["w1", "w2"])),
        st.tuples(st.just("leave"), st.integers(0, 30)),
        st.tuples(st.just("lost"), st.sampled_from(["w1", "w2"])),
    ),
    max_size=60,
)  # fmt: skip


@settings(max_examples=100)
@given(acts, st.integers(1, 6), st.integers(0, 3), st.integers(1, 3))
def test_no_limit_is_ever_exceeded_and_none_bites_without_reason(
    acts: list[tuple], most: int, per_address: int, source_most: int
) -> None:
    limits, model = Limits(most, per_address), dict[int, tuple]()
    for act in acts:
        if act[0] == "enter" and act[1] not in model:
            _, number, source, address, worker = act
            reason = limits.enter(key(number), source, address, source_most=source_most, worker=worker)
            full = (
                len(model) >= most
                or bool(per_address and sum(one[1] == address for one in model.values()) >= per_address)
                or (source is not None and sum(one[0] == source for one in model.values()) >= source_most)
            )
            assert (reason is not None) is full
            if reason is None:
                model[number] = (source, address, worker)
        elif act[0] == "leave":
            limits.leave(key(act[1]))
            model.pop(act[1], None)
        elif act[0] == "lost":
            gone = [number for number, one in model.items() if one[2] == act[1]]
            assert limits.lost(act[1]) == len(gone)
            for number in gone:
                del model[number]
        assert len(limits) == len(model)
    for number in list(model):
        limits.leave(key(number))
    assert not limits._addresses and not limits._sources, "nothing is kept of who is gone"


def test_threads_that_enter_at_once_never_get_in_beyond_the_limit() -> None:
    limits, together = Limits(100, per_address=5), threading.Barrier(8)

    def run(worker: int) -> int:
        together.wait(60)
        return sum(limits.enter(key(worker * 100 + n), None, "10.0.0.1") is None for n in range(20))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(run, range(8))) == 5


def test_a_burst_passes_at_once_and_the_rest_is_spaced() -> None:
    clock = ManualClock()
    pace = Pace(clock)
    delays = [pace.delay("mr1", 8.0) for _ in range(17)]
    assert delays[:9] == [0.0] * 9 and delays[-1] == 1.0
    assert pace.delay("ct1", 8.0) == 0.0, "each source has its own bucket"
    clock.advance(BURST_S + 1.1)
    assert pace.delay("mr1", 8.0) == 0.0


@settings(max_examples=50)
@given(st.floats(0.1, 1000), st.lists(st.floats(0, 2), min_size=1, max_size=60))
def test_whoever_waits_as_told_never_exceeds_the_rate_for_long(rate: float, gaps: list[float]) -> None:
    clock = ManualClock()
    pace, answered = Pace(clock), list[float]()
    for gap in gaps:
        clock.advance(gap)
        clock.advance(pace.delay("s", rate))
        answered.append(clock.monotonic())
    for at, moment in enumerate(answered):
        within = sum(moment - BURST_S < other <= moment for other in answered[: at + 1])
        assert within <= 2 * rate * BURST_S + 2
    whole = answered[-1] - answered[0]
    assert len(answered) <= rate * (whole + BURST_S) + 2
