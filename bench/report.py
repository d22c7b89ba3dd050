"""What the benches found, as table on stdout, JSON, and Markdown with the machine's data. It measures nothing.

Nothing in it may name this machine: no host name, no path, no user.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from bench.runs import Result


class Report:
    """Collects results; prints each bench as soon as it is done."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.missing: set[str] = set()

    def add(self, results: Sequence[Result]) -> None:
        self.results += results
        print(table(results), flush=True)

    def absent(self, names: Sequence[str]) -> None:
        """Peers that are not installed: named, and not measured."""
        for name in set(names) - self.missing:
            print(f"absent: {name}", flush=True)
        self.missing |= set(names)


def table(results: Sequence[Result]) -> str:
    """For a terminal."""
    lines = []
    for bench, found in groupby(results, lambda result: result.bench):
        lines.append(f"\n{bench}")
        lines += [_line(one) for one in found]
    return "\n".join(lines)


def number(value: float) -> str:
    """Three significant digits are more than the machine repeats."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _line(one: Result) -> str:
    ratio = "" if one.ratio is None else f"{one.ratio:.2f} x"
    cpu = "" if one.cpu_ms is None else f"{one.cpu_ms:.2f} ms CPU"
    goal = one.goal and f"{one.goal}: {'met' if one.met else 'MISSED'}"
    said = "  ".join(filter(None, (cpu, goal, one.notes)))
    runs = " ".join(map(number, one.values[:9]))
    return f"  {one.contender:<34} {number(one.median):>9} {one.unit:<9} {ratio:>8}  {said}   [{runs}]"


def as_json(report: Report) -> str:
    """Everything, for programs."""
    return json.dumps(
        {"absent": sorted(report.missing), "results": [asdict(result) for result in report.results]}, indent=1
    )


def write(report: Report, folder: Path) -> None:
    """JSON beside the other results."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(as_json(report))
