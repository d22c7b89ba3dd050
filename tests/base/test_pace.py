"""The bandwidth cap: the arithmetic, and its agreement over a file between sessions, processes, deaths and boots."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import pace as module
from actors.pace import BURST_S, Bucket, Pace, book, pace_of

NS = 10**9
RATES = st.floats(1250, 1e10)


class Time:
    """Of one host: whoever sleeps lets it go on."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now = int(now_s * NS)

    def now_ns(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += int(seconds * NS)


def paced(file: Path, rate: float, time: Time) -> Pace:
    return Pace(file, rate, time.now_ns, time.sleep)


@given(RATES, st.lists(st.tuples(st.floats(0, 5), st.integers(1, 2_000_000)), min_size=1, max_size=30))
def test_over_any_time_no_more_goes_out_than_the_rate_and_one_burst_or_piece(rate, asked):
    bucket, now, sent = Bucket(), 0, []
    piece = Pace(Path("unused"), rate).piece
    for later_s, wanted in asked:
        now, size = now + int(later_s * NS), min(wanted, piece)
        bucket, wait_s = book(bucket, now, rate, size)
        sent.append((now / NS + wait_s, size))
    for first in range(len(sent)):
        for last in range(first, len(sent)):
            out = sum(size for _, size in sent[first : last + 1])
            time_s = sent[last][0] - sent[first][0]
            assert out <= rate * time_s + max(BURST_S * rate, sent[first][1]) + 1 + out * 1e-6


@given(RATES, st.integers(1, 100), st.integers(1, 1_000_000))
def test_who_always_has_something_to_send_gets_the_whole_rate(rate, count, size):
    time, bucket = Time(), Bucket()
    begun = time.now
    for _ in range(count):
        bucket, wait_s = book(bucket, time.now, rate, size)
        time.sleep(wait_s)
    assert (time.now - begun) / NS <= count * size / rate + 1e-6 * count


@given(st.integers(0, 10**18), st.floats(allow_nan=True, allow_infinity=True), st.integers(0, 10**18), RATES)
def test_whatever_the_file_said_nobody_waits_longer_than_an_honest_debt(at_ns, level, now_ns, rate):
    after, wait_s = book(Bucket(at_ns, level), now_ns, rate, 1000)
    assert 0 <= wait_s <= 3600 + 1000 / rate and after.at_ns == now_ns
    if at_ns > now_ns:  # written in another boot
        assert wait_s == max(0.0, 1000 / rate - BURST_S)


def test_two_sessions_share_the_cap_and_one_alone_has_it_all(tmp_path):
    time, both = Time(), []
    one, other = (paced(tmp_path / "cap", 100_000, time) for _ in range(2))
    for _ in range(50):
        both += [one.take(1000), other.take(1000)]  # nobody sleeps: both wait for what was booked before
    assert both == sorted(both) and both[-1] == pytest.approx(1.0 - BURST_S)
    time.sleep(10)
    alone = [one.take(1000) for _ in range(100)]
    assert alone[-1] == pytest.approx(1.0 - BURST_S)


def test_a_long_wait_is_made_in_steps_with_a_sign_of_life_after_each(tmp_path):
    time, signs = Time(), []
    pace = paced(tmp_path / "cap", 1250, time)
    pace.take(12_500)
    pace.wait(1, lambda: signs.append(time.now))
    gaps = [(after - before) / NS for before, after in zip(signs, signs[1:], strict=False)]
    assert len(signs) >= 19 and max(gaps) <= 0.5 + 1e-6


def test_a_changed_cap_lets_go_what_was_booked_at_its_own_rate(tmp_path):
    time = Time()
    assert paced(tmp_path / "cap", 1250, time).take(125_000) > 99
    assert paced(tmp_path / "cap", 125_000, time).take(1) < 1.01


@pytest.mark.parametrize("content", [b"", b"\0" * 20, b"\xff" * 20, b"torn", bytes(range(7, 27))])
def test_a_torn_file_is_an_empty_bucket_and_is_mended(tmp_path, content):
    file = tmp_path / "cap"
    file.write_bytes(content)
    time = Time()
    assert paced(file, 100_000, time).take(20_000) == pytest.approx(0.1)
    assert paced(file, 100_000, time).take(10_000) == pytest.approx(0.2)


def test_after_another_boot_nobody_waits_for_the_time_of_the_one_before(tmp_path):
    before = Time(1_000_000)
    paced(tmp_path / "cap", 1250, before).take(100_000)
    assert paced(tmp_path / "cap", 1250, Time(5)).take(1) == 0


def test_without_a_place_for_the_file_a_process_still_keeps_to_the_cap(tmp_path):
    pace = paced(tmp_path / "none" / "cap", 100_000, Time())
    assert [pace.take(10_000) for _ in range(3)] == pytest.approx([0.0, 0.1, 0.2])


def test_a_holder_of_the_lock_that_was_stopped_holds_up_nobody_for_long(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_TRIES", 2)
    fd = os.open(tmp_path / "cap", os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert paced(tmp_path / "cap", 100_000, Time()).take(1) == 0
    os.close(fd)


def test_a_target_without_a_cap_has_no_pace_and_pieces_are_of_a_size_that_comes_often():
    assert pace_of(Path("/run"), "pacs", None) is None
    assert pace_of(Path("/run"), "pacs", 0.01).piece == 1024
    assert pace_of(Path("/run"), "pacs", 8).piece == 100_000
    assert pace_of(Path("/run"), "pacs", 100_000).piece == 1 << 20


def _take(file: Path, count: int) -> None:
    pace = Pace(file, 1000.0, lambda: 7 * NS)
    for _ in range(count):
        pace.take(1)


@pytest.mark.slow
def test_processes_that_book_at_once_lose_no_booking_of_each_other(tmp_path):
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_take, args=(tmp_path / "cap", 200)) for _ in range(3)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert Pace(tmp_path / "cap", 1000.0, lambda: 7 * NS).take(1) == pytest.approx(0.601 - BURST_S)
