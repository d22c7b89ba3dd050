"""What the benches found: a table for the terminal, JSON for programs, Markdown for bench/RESULTS.md. It measures nothing.

Each bench's newest results are kept in a file of their own, so that RESULTS.md can be put together from several runs. What
was not run here stays in it as it was, under its own date.
Nothing in it may name this machine: no host name, no path, no user.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path

from bench.runs import Result

MOST_SHOWN = 25  # repetitions in a line

HEAD = """# Results

Written by `scripts/bench --write`; do not edit. Each bench ran on one machine, on the day that stands with it: **the ratios
count**, the absolute figures move with the machine. Peers and scanpost ran in turn within one run, in alternating order; medians, with
all repetitions behind. CPU is that of the receiving side with all its processes, for each image. Goals are those of the design
(P1 to P13). What each bench does stands in its module under `bench/`.
"""


@dataclass
class Outcome:
    """One bench's run."""

    name: str
    about: str
    date: str
    share: float
    repetitions: int
    machine: dict[str, str]
    results: list[Result] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


def save(outcome: Outcome, folder: Path) -> None:
    """Keep it as the bench's newest."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{outcome.name}.json").write_text(as_json(outcome))


def load(folder: Path, names: Sequence[str]) -> list[Outcome]:
    """The newest run of each bench that was ever run here."""
    found = []
    for name in names:
        path = folder / f"{name}.json"
        if path.exists():
            told = json.loads(path.read_text())
            found.append(Outcome(**told | {"results": [Result(**result) for result in told["results"]]}))
    return found


def as_json(outcome: Outcome) -> str:
    """Everything, for programs."""
    return json.dumps(asdict(outcome), indent=1)


def number(value: float) -> str:
    """Three significant digits are more than the machine repeats."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table(results: Sequence[Result]) -> str:
    """For a terminal."""
    lines = []
    for bench, found in groupby(results, lambda result: result.bench):
        lines.append(f"\n{bench}")
        lines += [_line(one) for one in found]
    return "\n".join(lines)


def _line(one: Result) -> str:
    ratio = "" if one.ratio is None else f"{one.ratio:.2f} x"
    said = "  ".join(filter(None, (_cpu(one), _goal(one), one.notes)))
    runs = " ".join(map(number, one.values[:MOST_SHOWN]))
    return f"  {one.contender:<38} {number(one.median):>9} {one.unit:<9} {ratio:>8}  {said}   [{runs}]"


def _cpu(one: Result) -> str:
    return "" if one.cpu_ms is None else f"{one.cpu_ms:.2f} ms CPU"


def _goal(one: Result) -> str:
    return one.goal and f"{one.goal}: {'met' if one.met else 'MISSED'}"


@dataclass(frozen=True)
class Section:
    """A bench's part of RESULTS.md, and its rows in the table of goals."""

    goals: list[str]
    text: str


def markdown(outcomes: Sequence[Outcome], before: str, order: Sequence[str]) -> str:
    """The whole of RESULTS.md, its benches in this order; `before` is what it was."""
    found = sections(before) | {outcome.name: _section(outcome) for outcome in outcomes}
    shown = [found[name] for name in order if name in found]
    goals = ["| goal | bench | reached | |", "|---|---|---|---|", *(row for one in shown for row in one.goals)]
    return "\n".join([HEAD, "\n".join(goals) + "\n", *(one.text for one in shown)])


def sections(text: str) -> dict[str, Section]:
    """Those of a RESULTS.md, by the names of their benches."""
    head, *parts = text.split("\n## ")
    rows = [line for line in head.splitlines() if line.startswith("| ")]
    found = {}
    for part in parts:
        titles = tuple(f"{line.removeprefix('### ')}: " for line in part.splitlines() if line.startswith("### "))
        goals = [row for row in rows if row.split(" | ")[1].startswith(titles)]
        found[part.splitlines()[0]] = Section(goals, f"## {part.rstrip()}\n")
    return found


def _section(outcome: Outcome) -> Section:
    parts = [f"## {outcome.name}\n\n{outcome.about}\n\n{_circumstances(outcome)}\n"]
    for bench, found in groupby(outcome.results, lambda result: result.bench):
        parts.append(_markdown_table(bench, list(found)))
    return Section([_row(one) for one in outcome.results if one.goal], "\n".join(parts))


def _row(one: Result) -> str:
    reached = f"{one.ratio:.2f} x" if one.ratio is not None else f"{number(one.median)} {one.unit}"
    return f"| {one.goal} | {one.bench}: {one.contender} | {reached} | {'met' if one.met else '**missed**'} |"


def _circumstances(outcome: Outcome) -> str:
    said = [
        outcome.date,
        f"{outcome.repetitions} repetitions",
        *(f"{name} {value}" for name, value in outcome.machine.items()),
    ]
    if outcome.share != 1.0:
        said.insert(0, f"**a quick look with {outcome.share:.0%} of the set, no result**")
    if outcome.absent:
        said.append(f"absent, so not measured: {', '.join(outcome.absent)}")
    return " · ".join(said)


def _markdown_table(bench: str, results: Sequence[Result]) -> str:
    unit = results[0].unit if len({one.unit for one in results}) == 1 else "figure"
    lines = [f"### {bench}\n", f"| | {unit} | ratio | CPU ms | goal | repetitions |", "|---|--:|--:|--:|---|---|"]
    for one in results:
        figure = number(one.median) + ("" if unit == one.unit else f" {one.unit}")
        ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
        cpu = "" if one.cpu_ms is None else f"{one.cpu_ms:.2f}"
        runs = " ".join(map(number, one.values[:MOST_SHOWN])) if len(one.values) > 1 else ""
        goal = ", ".join(filter(None, (_goal(one), one.notes)))
        lines.append(f"| {one.contender} | {figure} | {ratio} | {cpu} | {goal} | {runs} |")
    return "\n".join(lines) + "\n"
