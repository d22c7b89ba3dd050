"""The rates of the last minutes as points of an SVG line, for pages without JavaScript; live.js draws the same.

It must not style anything.
"""

from __future__ import annotations

from typing import Any

from webgui import words
from webgui.rates import HISTORY_S

WIDTH, HEIGHT = 600, 80


def chart(rows: dict[str, dict[str, Any]]) -> dict[str, str]:
    """`points` of both lines and the label of the top; newest at the right edge."""
    top = top_of([value for row in rows.values() for value in (row["in"], row["out"])])
    newest = max((int(key) for key in rows), default=0)
    drawn = {"top": f"{words.number(top)} images/s"}
    for name in ("in", "out"):
        drawn[name] = " ".join(
            f"{WIDTH * (1 - (newest - at) / HISTORY_S):.1f},{HEIGHT - 2 - (HEIGHT - 4) * row[name] / top:.1f}"
            for at, row in sorted((int(key), row) for key, row in rows.items())
        )
    return drawn


def top_of(values: list[float]) -> int:
    """The next of 1, 2, 5, 10, 20, ... above all values: the scale must not jump at every tick."""
    largest, step = max(values, default=0.0), 1
    while True:
        for factor in (1, 2, 5):
            if largest <= factor * step:
                return factor * step
        step *= 10
