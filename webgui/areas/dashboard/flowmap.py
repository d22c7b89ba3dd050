"""The map of flows: sources, rules and targets in three columns, edges as wide as what goes along them. Made of data alone.
It must not colour: a level goes with a word.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any
from urllib.parse import quote

from protocol.records import record
from protocol.spool.figures.reading import Flow
from webgui import words
from webgui.attention import is_down

COLUMN_W, ROW_H, BOX_H = 180, 40, 30
COLUMNS = (1, 331, 661)
WIDTH = COLUMNS[2] + COLUMN_W + 1
MOST = 12
"""Boxes in a column; the rest stands in one."""
OTHERS = "others"
LONGEST = 20
THIN, THICK = 1.5, 9.0

NO_GROUPS: Mapping[str, tuple[str, ...]] = {}


@record
class Box:
    """A source, rule or target. `level` and `word` tell its state; `title` is read out and shown on hover."""

    x: float
    y: float
    label: str
    title: str
    href: str
    level: str = ""
    word: str = ""


@record
class Edge:
    """A path between two boxes, `width` in pixels; nothing went along an `idle` one."""

    path: str
    width: float
    title: str
    failing: bool
    idle: bool


@record
class FlowMap:
    """All of it; `lines` say the same in words."""

    boxes: list[Box] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    width: int = WIDTH
    height: int = 0


def flow_map(
    flows: Sequence[Flow], rules: Sequence[tuple[str, tuple[str, ...]]], targets: Mapping[str, Mapping[str, Any]],
    groups: Mapping[str, tuple[str, ...]] = NO_GROUPS,
) -> FlowMap:  # fmt: skip
    """`flows` of the last hour, active `rules` with their targets, the targets of the status document, `groups` with their members.

    A group fails when every member does; attempts are those of members, so nothing else says so.
    """
    ins: dict[tuple[str, str], int] = defaultdict(int)
    outs: dict[tuple[str, str], int] = {(rule, target): 0 for rule, reached in rules for target in reached}
    for flow in flows:
        ins[flow.source, flow.rule] += flow.series
        outs[flow.rule, flow.target] = outs.get((flow.rule, flow.target), 0) + flow.series
    failing = {flow.target for flow in flows if flow.failing} | {
        name for name, target in targets.items() if target.get("state") == "failing"
    }
    bad = {name: sum(one in failing for one in members) for name, members in groups.items()}
    failing |= {name for name, count in bad.items() if 0 < count == len(groups[name])}
    partly = {
        name: f"{count} of {len(groups[name])} members fail"
        for name, count in bad.items()
        if 0 < count < len(groups[name])
    }
    columns = (
        _few(_sums(ins, 0)),
        _few(_sums(outs, 0), [rule for rule, _ in rules]),
        _few(_sums(outs, 1)),
    )
    ins, outs = _merged(ins, columns[0], columns[1]), _merged(outs, columns[1], columns[2])
    places = [
        {name: row * ROW_H + (max(map(len, columns)) - len(names)) * ROW_H / 2 for row, name in enumerate(names)}
        for names in columns
    ]
    widest = max([*ins.values(), *outs.values(), 1])
    edges = [_edge(0, places, pair, count, widest, False) for pair, count in ins.items()]
    edges += [_edge(1, places, pair, count, widest, pair[1] in failing) for pair, count in outs.items()]
    boxes = [
        *(_box(0, y, name, f"/series?source={quote(name, safe='')}") for name, y in places[0].items()),
        *(_box(1, y, name, f"/rules/{quote(name, safe='')}") for name, y in places[1].items()),
        *(
            _target_box(y, name, targets.get(name), name in failing, partly.get(name, ""))
            for name, y in places[2].items()
        ),
    ]
    ends = {flow.target: ", failing" if flow.target in failing else "" for flow in flows}
    lines = [
        f"{flow.source} by {flow.rule} to {flow.target}: {words.number(flow.series)} series/h{ends[flow.target]}"
        for flow in flows[: 3 * MOST]
    ]
    edges.sort(key=lambda edge: (edge.failing, not edge.idle))
    return FlowMap(boxes, edges, lines, WIDTH, max(map(len, columns)) * ROW_H if boxes else 0)


def _sums(pairs: Mapping[tuple[str, str], int], side: int) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for pair, count in pairs.items():
        found[pair[side]] += count
    return found


def _few(sums: Mapping[str, int], order: Sequence[str] = ()) -> list[str]:
    """The busiest, in the given order or by how busy they are; the rest as one."""
    busiest = sorted(sums, key=lambda name: (-sums[name], name))
    shown = busiest if len(busiest) <= MOST else busiest[: MOST - 1]
    if order:
        shown = sorted(shown, key=lambda name: order.index(name) if name in order else len(order))
    return shown if len(busiest) <= MOST else [*shown, OTHERS]


def _merged(
    pairs: Mapping[tuple[str, str], int], left: Sequence[str], right: Sequence[str]
) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = defaultdict(int)
    for (a, b), count in pairs.items():
        found[a if a in left else OTHERS, b if b in right else OTHERS] += count
    return found


def _box(column: int, y: float, name: str, href: str, level: str = "", word: str = "") -> Box:
    label = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
    title = f"{name}: {word}" if word else name
    return Box(COLUMNS[column], y + (ROW_H - BOX_H) / 2, label, title, "" if name == OTHERS else href, level, word)


def _target_box(y: float, name: str, target: Mapping[str, Any] | None, failing: bool, partly: str) -> Box:
    href = f"/targets/{quote(name, safe='')}"
    if target is None:
        level = "bad" if failing else "warn" if partly else ""
        return _box(2, y, name, href, level, "failing" if failing else partly)
    state = str(target.get("state") or "")
    if is_down(dict(target)):
        return _box(2, y, name, href, "bad", "down")
    levels = {"up": "ok", "paused": "held", "removed": "off"}
    return _box(2, y, name, href, "bad" if failing else levels.get(state, "warn"), "failing" if failing else state)


def _edge(
    column: int, places: Sequence[Mapping[str, float]], pair: tuple[str, str], count: int, widest: int, failing: bool
) -> Edge:
    x1, x2 = COLUMNS[column] + COLUMN_W, COLUMNS[column + 1]
    y1, y2 = places[column][pair[0]] + ROW_H / 2, places[column + 1][pair[1]] + ROW_H / 2
    middle = (x1 + x2) / 2
    width = THIN + (THICK - THIN) * math.sqrt(count / widest)
    title = f"{pair[0]} to {pair[1]}: {words.number(count)} series in the last hour{', failing' if failing else ''}"
    path = f"M{x1} {y1:.1f} C{middle} {y1:.1f} {middle} {y2:.1f} {x2} {y2:.1f}"
    return Edge(path, round(width, 1), title, failing, count == 0)
