"""The series of a study on one axis of time, in percent of its length, and the studies of a patient. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from protocol.records import record
from webgui.areas.series.lines import Line

Row = Mapping[str, Any]
SHORTEST = 0.8
"""Percent: what is shorter could not be seen."""


@record
class Bar:
    """A part of a lane: `start` and `width` in percent; `word` says what it is, for who cannot see it."""

    start: float
    width: float
    kind: str
    word: str


@record
class Lane:
    """One series: while images came, until each delivery ended."""

    line: Line
    bars: list[Bar]


@record
class Lanes:
    """All lanes and the moments (seconds UTC) that the axis names."""

    lanes: list[Lane]
    begin: float
    end: float
    marks: list[tuple[float, float]]


@record
class Study:
    """One study of a patient, or what a page of a study is headed with; patient data."""

    uid: str
    first: float
    description: str
    accession: str
    modalities: list[str]
    series: int
    images: int
    bytes: int
    chips: list[tuple[str, str]]
    sources: list[str]


def lanes(lines: Sequence[Line], times: Mapping[int, Row], now: float) -> Lanes:
    """`times` has by series `opened`, `last`, and `deliveries` as (target, created, ended or None, state)."""
    ends = [value for row in times.values() for value in (row["last"], *(one[2] or now for one in row["deliveries"]))]
    begin = min((line.time for line in lines), default=now)
    end = max([*ends, begin + 1.0])
    length = end - begin

    def bar(start: float, stop: float, kind: str, word: str) -> Bar:
        at = max(0.0, min(100.0 - SHORTEST, 100.0 * (start - begin) / length))
        return Bar(round(at, 2), round(min(100.0 - at, max(SHORTEST, 100.0 * (stop - start) / length)), 2), kind, word)

    made = []
    for line in lines:
        row = times.get(line.id, {"last": line.time, "deliveries": ()})
        bars = [bar(line.time, row["last"], "in", "images came in")]
        bars += [
            bar(created, ended or now, _kind(state), f"{target}: {state}")
            for target, created, ended, state in row["deliveries"]
        ]
        made.append(Lane(line, bars))
    marks = [(part * 25.0, begin + length * part / 4) for part in range(5)]
    return Lanes(made, begin, end, marks)


def _kind(state: str) -> str:
    return {"delivered": "ok", "parked": "bad", "cancelled": "off", "held": "held"}.get(state, "wait")


def studies(lines: Iterable[Line]) -> list[Study]:
    """Series by their studies, the newest study first."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(line.study_uid, []).append(line)
    made = [study(uid, group) for uid, group in groups.items()]
    return sorted(made, key=lambda one: one.first, reverse=True)


def study(uid: str, lines: Sequence[Line]) -> Study:
    """What its series say of a study."""
    states: dict[tuple[str, str], int] = {}
    for line in lines:
        states[line.chip] = states.get(line.chip, 0) + 1
    chips = [(level, f"{count} {word}" if len(lines) > 1 else word) for (level, word), count in states.items()]
    return Study(
        uid, min(line.time for line in lines), next((line.study_description for line in lines if line.study_description), ""),
        next((line.accession for line in lines if line.accession), ""), sorted({line.modality for line in lines if line.modality}),
        len({line.series_uid for line in lines}), sum(line.images for line in lines), sum(line.bytes for line in lines), chips,
        sorted({line.source for line in lines}),
    )  # fmt: skip
