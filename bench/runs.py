"""Repeats what is compared, in turn, and takes the median; prints a table and writes JSON. It knows no DICOM."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Result:
    """One contender: images/s of each repetition, their median, and the ratio to the first contender's median."""

    bench: str
    contender: str
    images_per_s: list[float]
    median: float
    ratio: float


def compare(
    bench: str, images: int, contenders: Sequence[tuple[str, Callable[[], None]]], repetitions: int
) -> list[Result]:
    """Run the contenders in turn, `repetitions` times; the first one is the peer that the others are measured by."""
    rates: dict[str, list[float]] = {name: [] for name, _ in contenders}
    for _ in range(repetitions):
        for name, run in contenders:
            begun = time.monotonic()
            run()
            rates[name].append(images / (time.monotonic() - begun))
    base = statistics.median(rates[contenders[0][0]])
    return [
        Result(bench, name, [round(rate, 1) for rate in found], round(statistics.median(found), 1),
               round(statistics.median(found) / base, 2))
        for name, found in rates.items()
    ]  # fmt: skip


def report(results: Sequence[Result], folder: Path) -> None:
    """A table on stdout, JSON beside."""
    print(f"{'bench':<26} {'contender':<28} {'images/s':>9} {'ratio':>6}   repetitions")
    for result in results:
        runs = " ".join(f"{rate:.0f}" for rate in result.images_per_s)
        print(f"{result.bench:<26} {result.contender:<28} {result.median:>9.0f} {result.ratio:>6.2f}   {runs}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps([asdict(result) for result in results], indent=1))
