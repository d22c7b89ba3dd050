"""What takes long is worked out once, in the background; what is quick is asked anew each time."""

import asyncio

import pytest

from protocol.clock import ManualClock
from webgui.lately import KEPT_S, Lately


class Question:
    def __init__(self, clock, took=0.0):
        self.clock, self.took, self.asked, self.go = clock, took, 0, asyncio.Event()

    async def __call__(self):
        self.asked += 1
        await self.go.wait()
        self.clock.advance(self.took)
        return self.asked


async def test_what_is_quick_is_asked_anew_each_time():
    clock = ManualClock()
    question, lately = Question(clock), Lately(clock)
    question.go.set()
    assert [await lately.get(question) for _ in range(3)] == [1, 2, 3]


async def test_what_takes_long_is_worked_on_once_and_kept_for_a_while():
    clock = ManualClock()
    question, lately = Question(clock, took=3.0), Lately(clock)
    assert [await lately.get(question, 0.001) for _ in range(3)] == [None] * 3
    question.go.set()
    assert await lately.get(question, 10) == 1
    assert await lately.get(question, 10) == 1 and question.asked == 1
    clock.advance(KEPT_S)
    assert await lately.get(question, 10) == 2


async def test_a_failure_is_told_and_not_kept():
    async def fails():
        raise ValueError("gone")

    lately = Lately(ManualClock())
    for _ in range(2):
        with pytest.raises(ValueError, match="gone"):
            await lately.get(fails)
