"""The pipe between a slot and its parent, and the ears of a slot."""

from __future__ import annotations

import os
import threading

from actors.dispatcher.reports import PipeReports, parse
from actors.dispatcher.slot import WORK, Ears
from protocol.clock import ManualClock
from protocol.spool.deliveries import Claim

CLAIM = Claim(7, 3, "a", "", 1, "me", [], 100, 0.0, 0.0, 0, 0.0)


def lines(fd: int) -> list[dict]:
    return [parse(line) for line in os.read(fd, 1 << 20).splitlines()]


def test_progress_is_told_at_most_four_times_a_second_and_always_at_the_end():
    read, write = os.pipe()
    clock = ManualClock()
    reports = PipeReports(write, clock)
    for sent in range(1, 101):
        clock.advance(0.01)
        reports.progress(CLAIM, sent)
    sent = [line["sent"] for line in lines(read)]
    assert len(sent) <= 5 and sent[-1] == 100
    os.close(read), os.close(write)


def test_a_parent_that_does_not_read_costs_progress_only_and_one_that_died_nothing():
    read, write = os.pipe()
    reports = PipeReports(write, ManualClock())
    for _ in range(10_000):
        reports.events()  # would block for ever
    assert len(lines(read)) < 10_000
    reports.idle()
    assert lines(read) == [{"is": "idle"}]
    os.close(read)
    reports.idle()
    os.close(write)


def test_what_is_no_report_is_ignored():
    assert [parse(line) for line in (b'{"is": "id', b"\xff\xfe", b"3", b"")] == [{}] * 4


def test_an_idle_slot_sleeps_until_there_is_work_and_stops_at_the_end_of_the_pipe():
    read, write = os.pipe()
    ears = Ears(read)
    assert not ears.stopping()
    woken = threading.Event()
    thread = threading.Thread(target=lambda: (ears.wait(), woken.set()))
    thread.start()
    assert not woken.wait(0.05)
    os.write(write, WORK)
    assert woken.wait(60) and not ears.stopping()
    thread.join()
    os.close(write)
    ears.wait()
    assert ears.stopping()
    os.close(read)
