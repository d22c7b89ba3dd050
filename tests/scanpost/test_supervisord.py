"""supervisord that sleeps while nothing goes on: when it may, and what wakes it."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from supervisor.poller import Poller
from supervisor.states import ProcessStates, SupervisorStates

from scanpost import supervisord
from scanpost.supervisord import LIVELY_S, LONGEST_S, PatientPoller, settled


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(at=1000.0)
    monkeypatch.setattr(supervisord, "time", SimpleNamespace(monotonic=lambda: clock.at))
    return clock


@pytest.fixture
def poller(clock: SimpleNamespace) -> Iterator[PatientPoller]:
    before, made = signal.set_wakeup_fd(-1), PatientPoller(SimpleNamespace(), lambda: True)
    yield made
    ring = signal.set_wakeup_fd(before)
    for fd in (ring, made._bell):
        if fd >= 0:
            os.close(fd)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long it slept each time, without sleeping."""
    found: list[float] = []
    monkeypatch.setattr(Poller, "poll", lambda self, timeout: found.append(timeout) or ([], []))
    return found


def manager(*states: int, mood: int = SupervisorStates.RUNNING) -> Any:
    processes = {number: SimpleNamespace(state=state) for number, state in enumerate(states)}
    groups = {"group": SimpleNamespace(processes=processes)}
    return SimpleNamespace(options=SimpleNamespace(mood=mood), process_groups=groups)


def test_it_may_sleep_while_programs_run_or_do_not() -> None:
    calm = [ProcessStates.RUNNING, ProcessStates.STOPPED, ProcessStates.EXITED, ProcessStates.FATAL]
    assert settled(manager(*calm)) and settled(manager())
    for busy in (ProcessStates.STARTING, ProcessStates.BACKOFF, ProcessStates.STOPPING, ProcessStates.UNKNOWN):
        assert not settled(manager(*calm, busy))
    assert not settled(None) and not settled(manager(*calm, mood=SupervisorStates.SHUTDOWN))
    assert not settled(manager(*calm, mood=SupervisorStates.RESTARTING))


def test_at_first_it_looks_each_second_since_what_is_to_be_started_is_still_called_stopped(
    poller, clock, asked
) -> None:
    for second in range(12):
        clock.at = 1000.0 + second
        poller.poll(1)
    assert asked == [1] * round(LIVELY_S) + [LONGEST_S] * 2


def test_while_something_goes_on_it_looks_each_second(poller, clock, asked) -> None:
    poller.poll(1)
    clock.at += LIVELY_S
    poller._settled = lambda: False
    poller.poll(1)
    poller._settled = lambda: True
    poller.poll(1)
    assert asked == [1, 1, LONGEST_S]


def test_a_signal_ends_its_sleep_and_is_nothing_that_can_be_read(poller, clock, monkeypatch) -> None:
    monkeypatch.setattr(supervisord, "LONGEST_S", 10)
    former = signal.signal(signal.SIGUSR2, lambda number, frame: None)
    try:
        poller.poll(0)
        clock.at += LIVELY_S
        sender = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR2))
        sender.start()
        assert poller.poll(0) == ([], [])
        sender.join()
        assert poller._lively_until == clock.at + LIVELY_S, "it slept to the end"
    finally:
        signal.signal(signal.SIGUSR2, former)


def test_a_signal_that_came_before_it_slept_is_not_slept_over(poller, clock, monkeypatch) -> None:
    monkeypatch.setattr(supervisord, "LONGEST_S", 10)
    former = signal.signal(signal.SIGUSR2, lambda number, frame: None)
    try:
        poller.poll(0)
        clock.at += LIVELY_S
        os.kill(os.getpid(), signal.SIGUSR2)
        assert poller.poll(0) == ([], [])
        assert poller._lively_until == clock.at + LIVELY_S
    finally:
        signal.signal(signal.SIGUSR2, former)


def test_what_can_be_read_ends_its_sleep_and_keeps_it_awake_for_a_while(poller, clock, monkeypatch) -> None:
    poller.poll(0)
    clock.at += LIVELY_S
    ours, theirs = socket.socketpair()
    with ours, theirs:
        poller.register_readable(ours.fileno())
        theirs.send(b"x")
        assert poller.poll(1) == ([ours.fileno()], [])
        assert poller._lively_until == clock.at + LIVELY_S
        poller.unregister_readable(ours.fileno())
