"""Timers around named functions, without a profiler's weight: what each took for itself, callees that are timed left out.
It must not change what a function does; what is not there (any more) is skipped and named.
"""

from __future__ import annotations

import functools
import importlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Spent:
    """Of one step: calls, nanoseconds that passed, nanoseconds of the thread's CPU."""

    calls: int = 0
    wall_ns: int = 0
    cpu_ns: int = 0


@dataclass
class Timers:
    """Sums by step's name, over all threads."""

    spent: dict[str, Spent] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    _local: threading.local = field(default_factory=threading.local)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function with a timer around."""
        sums = self.spent.setdefault(name, Spent())

        @functools.wraps(function)
        def wrapper(*arguments: Any, **named: Any) -> Any:
            stack: list[list[int]] = self._local.__dict__.setdefault("stack", [])
            inner = [0, 0]  # of the timed callees: wall, CPU
            stack.append(inner)
            wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
            try:
                return function(*arguments, **named)
            finally:
                wall, cpu = time.perf_counter_ns() - wall, time.thread_time_ns() - cpu
                stack.pop()
                if stack:
                    stack[-1][0] += wall
                    stack[-1][1] += cpu
                with self._lock:
                    sums.calls += 1
                    sums.wall_ns += wall - inner[0]
                    sums.cpu_ns += cpu - inner[1]

        return wrapper

    def reset(self) -> None:
        """Begin to count anew."""
        with self._lock:
            for sums in self.spent.values():
                sums.calls = sums.wall_ns = sums.cpu_ns = 0

    @contextmanager
    def around(self, steps: Sequence[tuple[str, str]]) -> Iterator[None]:
        """Put timers around (step, "module:Class.method" or "module:function") and take them away afterwards."""
        undo: list[tuple[Any, str, Any]] = []
        try:
            for name, place in steps:
                try:
                    owner, attribute = _find(place)
                    original = owner.__dict__[attribute]
                except (ImportError, AttributeError, KeyError):
                    self.absent.append(place)
                    continue
                undo.append((owner, attribute, original))
                setattr(owner, attribute, self.timed(name, original))
            yield
        finally:
            for owner, attribute, original in reversed(undo):
                setattr(owner, attribute, original)


def _find(place: str) -> tuple[Any, str]:
    module, _, path = place.partition(":")
    owner: Any = importlib.import_module(module)
    *parts, attribute = path.split(".")
    for part in parts:
        owner = getattr(owner, part)
    return owner, attribute
