"""Repeats what is compared, in turn, and takes the median. It knows no DICOM and prints nothing.

The order of the contenders alternates, so that what one leaves behind (dirty pages, a warm disk) does not always meet
the same next one.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_TOUCHED = 1 << 30  # bytes


@dataclass(frozen=True)
class Contender:
    """One that is measured. `prepare` is not timed; `run` is, unless it returns the seconds itself; `cpu_s` reads its CPU
    seconds so far, `stored` the images it has so far; `images` is its own number of images, if it differs.

    `mark`: no opponent, only shown (such as the sender's own limit). `every`: it runs in one repetition of so many; what no
    goal is judged by must not use up the time in which the others could be told from each other.
    """

    name: str
    run: Callable[[], object]
    prepare: Callable[[], object] = lambda: None
    cpu_s: Callable[[], float] | None = None
    stored: Callable[[], int] | None = None
    mark: bool = False
    images: int = 0
    every: int = 1


@dataclass(frozen=True)
class Result:
    """One contender's figures: each repetition, their median, the ratio to the base's median (higher is better, if
    `unit` is a rate), CPU milliseconds for each image; `goal` is that of performance.md for exactly this line.
    """

    bench: str
    contender: str
    values: list[float]
    unit: str
    median: float
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None
    cpu_ms: float | None = None
    notes: str = ""


@dataclass(frozen=True)
class Session:
    """What every bench gets: a folder of its own, how much to do, and where results and the names of absent peers go.

    `keep`: a folder that stays after the run; what takes long to make is made there once.
    """

    folder: Path
    share: float
    repetitions: int
    sets: Sequence[str]
    add: Callable[[Sequence[Result]], None]
    absent: Callable[[Sequence[str]], None]
    keep: Path | None = None

    def kept(self, name: str) -> Path:
        """A folder for what other runs may use, too."""
        found = (self.keep or self.folder) / name
        found.mkdir(parents=True, exist_ok=True)
        return found


@dataclass(frozen=True)
class Goal:
    """`contender` must reach `times` the base's rate."""

    name: str
    contender: str
    times: float


def compare(
    bench: str, images: int, contenders: Sequence[Contender], repetitions: int, goals: Sequence[Goal] = ()
) -> list[Result]:
    """Run the contenders in turn, `repetitions` times; the first one is the peer that the others are measured by.

    Raises RuntimeError if one did not store what it acknowledged.
    """
    rates: dict[str, list[float]] = {one.name: [] for one in contenders}
    cpu: dict[str, list[float]] = {one.name: [] for one in contenders}
    for repetition in range(repetitions):
        due = [one for one in contenders if repetition % one.every == 0]
        for one in due if repetition % 2 == 0 else reversed(due):
            rate, cpu_ms = _once(one, one.images or images)
            rates[one.name].append(rate)
            if cpu_ms is not None:
                cpu[one.name].append(cpu_ms)
            print(f"  {bench}: {one.name} {rate:.0f}/s", file=sys.stderr, flush=True)
    base = statistics.median(rates[contenders[0].name])
    results = []
    for one in contenders:
        median = statistics.median(rates[one.name])
        goal = next((goal for goal in goals if goal.contender == one.name), None)
        results.append(
            Result(
                bench, one.name, [round(rate, 1) for rate in rates[one.name]], "images/s", round(median, 1),
                round(median / base, 2), f"{goal.name} >= {goal.times:g} x" if goal else "",
                median / base >= goal.times if goal else None,
                round(statistics.median(cpu[one.name]), 3) if cpu[one.name] else None, "a mark" if one.mark else "",
            )
        )  # fmt: skip
    return results


def _once(one: Contender, images: int) -> tuple[float, float | None]:
    """(images/s, CPU milliseconds for an image)"""
    one.prepare()
    os.sync()  # what others left to write must not be written on this one's time
    _touch_memory()
    stored, used = one.stored() if one.stored else 0, one.cpu_s() if one.cpu_s else 0.0
    begun = time.perf_counter()
    told = one.run()
    elapsed = told if isinstance(told, float) else time.perf_counter() - begun
    cpu_ms = 1000 * (one.cpu_s() - used) / images if one.cpu_s else None
    if one.stored is not None and one.stored() - stored != images:
        raise RuntimeError(f"{one.name} stored {one.stored() - stored} of {images} images")
    return images / max(elapsed, 1e-6), cpu_ms


def _touch_memory() -> None:
    """Let the memory that files will lie in be there.

    A virtual machine that gives free memory back to its host gets it again a page at a time, which costs more than to
    receive an image does, now for one contender and now for the other.
    """
    block = bytes(_TOUCHED >> 10)
    with tempfile.TemporaryFile(dir=".") as file:
        for _ in range(1 << 10):
            file.write(block)


def measured(
    bench: str,
    what: str,
    values: Sequence[float],
    unit: str,
    *,
    limit: float | None = None,
    goal: str = "",
    notes: str = "",
) -> Result:
    """A figure of its own, without a peer; below `limit` its goal is met. Several values: the median counts."""
    median = statistics.median(values)
    kept = [round(value, 2) for value in values]
    return Result(
        bench, what, kept, unit, round(median, 3), goal=goal, met=None if limit is None else median < limit, notes=notes
    )


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which `part` (0 to 1) of the values lie; the nearest one."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
