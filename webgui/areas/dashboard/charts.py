"""Ranges of the charts, and their lines as points of an SVG for pages without JavaScript; charts.js draws the same better.
It must not style or read anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from protocol.records import record
from webgui import words
from webgui.outlook import Mark

WIDTH, HEIGHT = 600, 80
LINES = 4
"""Targets with a line of their own in the backlog."""


@record
class Range:
    """How far a chart goes back (seconds), and how wide its buckets are."""

    name: str
    label: str
    span_s: int
    width_s: int


RANGES: Mapping[str, Range] = {
    one.name: one
    for one in (
        Range("10min", "10 min", 600, 10),
        Range("1h", "1 h", 3600, 10),
        Range("8h", "8 h", 8 * 3600, 60),
        Range("1d", "1 day", 86_400, 60),
    )
}

Rows = Mapping[str, Mapping[str, Any]]


def drawing(rows: Rows, chosen: Range, marks: Sequence[Mark]) -> dict[str, Any]:
    """`points` of each line, the tops of both scales, and where configuration changed; newest at the right edge."""
    newest = max((int(key) for key in rows), default=0)
    shown = sorted((int(key), row) for key, row in rows.items() if newest - int(key) < chosen.span_s)
    across = {start: WIDTH * (1 - (newest - start) / chosen.span_s) for start, _ in shown}
    top = top_of([value for _, row in shown for value in (row["in"], row["out"])])
    names = list(dict.fromkeys(name for _, row in shown[::-1] for name in row["q"]))[:LINES]
    deepest = top_of([row["q"].get(name) or 0 for _, row in shown for name in names])
    return {
        "top": f"{words.number(top)} images/s",
        "deepest": words.count(deepest, "delivery", "deliveries"),
        "in": _line([(across[start], row["in"]) for start, row in shown], top),
        "out": _line([(across[start], row["out"]) for start, row in shown], top),
        "queues": [
            (name, _line([(across[s], row["q"][name]) for s, row in shown if row["q"].get(name) is not None], deepest))
            for name in names
        ],
        "marks": [
            (round(WIDTH * (1 - (newest - one.at) / chosen.span_s), 1), f"version {one.number} by {one.author}")
            for one in marks
            if newest - chosen.span_s < one.at <= newest
        ],
    }


def top_of(values: Sequence[float]) -> int:
    """The next of 1, 2, 5, 10, 20, ... above all values: the scale must not jump at every tick."""
    largest, step = max(values, default=0.0), 1
    while True:
        for factor in (1, 2, 5):
            if largest <= factor * step:
                return factor * step
        step *= 10


def _line(points: Sequence[tuple[float, float]], top: float) -> str:
    return " ".join(f"{x:.1f},{HEIGHT - 2 - (HEIGHT - 4) * value / top:.1f}" for x, value in points)
