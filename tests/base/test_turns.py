"""Which scheduling policy processes of many senders have; in processes of their own, since it cannot be taken back."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SHOWS = """
import os, threading
from actors.turns import take_turns
take_turns()
def show(): print(os.sched_getscheduler(0))
show()
thread = threading.Thread(target=show)
thread.start()
thread.join()
"""


@pytest.mark.parametrize(
    ("outside", "there"),
    [
        pytest.param(["-o", "0"], os.SCHED_BATCH, id="nothing chosen"),
        pytest.param(["-i", "0"], os.SCHED_IDLE, id="idle chosen"),
        pytest.param(["-b", "0"], os.SCHED_BATCH, id="batch chosen"),
    ],
)
def test_the_caller_and_its_threads_take_turns_unless_something_was_chosen(outside: list[str], there: int) -> None:
    shown = subprocess.run(
        ["chrt", *outside, sys.executable, "-c", SHOWS], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert shown.split() == [str(there)] * 2


def test_where_it_is_forbidden_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    from actors import turns

    def forbidden(*_: object) -> None:
        raise PermissionError

    before = os.sched_getscheduler(0)
    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    turns.take_turns()
    monkeypatch.delattr(os, "SCHED_BATCH")
    turns.take_turns()
    assert os.sched_getscheduler(0) == before
