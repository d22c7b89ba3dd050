"""Reads log files from their end, merged by time, a page at a time; a place is an offset in each file.
It must not read whole files: a page costs what it shows, and a filter that finds little gives up after a while and says where.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from protocol.records import record

BLOCK = 64 << 10
LONGEST_LINE = 1 << 20
MOST_BYTES = 24 << 20
"""Of all files together for one page."""
MOST_FILES = 100
LEVELS = ("debug", "info", "warning", "error", "critical")

Place = dict[str, int]


@record
class Line:
    """One line. `at`: seconds UTC, of a line without a time that of the line before it, or behind it if none before
    it has one, or of the last that was written where the whole file has none; `fields` without time, level and
    action; `start`: where it begins in its file.
    """

    file: str
    start: int
    at: float
    level: str
    actor: str
    action: str
    fields: Mapping[str, Any]
    text: str


@record
class Wanted:
    """Which lines: of a file's program, at least of a level, that contain a text, that tell of an arrival."""

    program: str = ""
    level: str = ""
    text: str = ""
    arrival: int | None = None

    def fits(self, line: Line) -> bool:
        """Whether a line is one."""
        if self.level and line.level in LEVELS and LEVELS.index(line.level) < LEVELS.index(self.level):
            return False
        if self.arrival is not None and line.fields.get("arrival") != self.arrival:
            return False
        return not self.text or self.text.casefold() in line.text.casefold()


@record
class Page:
    """Lines, newest first. `next`: the place behind which older ones are; None: there are none. `cut`: the search gave up."""

    lines: list[Line]
    next: Place | None
    cut: bool = False


@dataclass
class _Tail:
    """One file, read backwards."""

    name: str
    path: Path
    end: int
    read: int = 0
    lines: Iterator[tuple[int, bytes]] = field(default_factory=lambda: iter(()))


def files(folder: Path) -> dict[str, list[Path]]:
    """Log files by program, the newest of each first (router.log, router.log.1, ...)."""
    found: dict[str, list[Path]] = {}
    if not folder.is_dir():
        return found
    for path in sorted(folder.glob("*.log*"), key=_age)[:MOST_FILES]:
        name, _, number = path.name.partition(".log")
        if name != "supervisord" and (not number or number[1:].isdecimal()):
            found.setdefault(name, []).append(path)
    return dict(sorted(found.items()))


def page(folder: Path, wanted: Wanted, before: Place | None, limit: int) -> Page:
    """The newest lines that are wanted, those before a place if one is given. Blocks."""
    tails = []
    for program, paths in files(folder).items():
        if wanted.program and program != wanted.program:
            continue
        for path in paths:
            size = _size(path)
            end = size if before is None else min(size, before.get(path.name, size))
            tails.append(_Tail(path.name, path, end))
    place: Place = {tail.name: tail.end for tail in tails}
    found: list[Line] = []
    merged = heapq.merge(*(_parsed(tail) for tail in tails), key=lambda line: -line.at)
    for line in merged:
        place[line.file] = line.start
        if wanted.fits(line):
            found.append(line)
            if len(found) == limit:
                return Page(found, place)
        if sum(tail.read for tail in tails) > MOST_BYTES:
            return Page(found, place, cut=True)
    return Page(found, None)


def _parsed(tail: _Tail) -> Iterator[Line]:
    """Lines of a file from its end, their times never rising, whatever a program printed."""
    newest = float("inf")
    waiting: list[tuple[int, bytes]] = []
    for start, raw in _backwards(tail):
        line = _line(tail.name, start, raw)
        if line is None:
            waiting.append((start, raw))  # belongs to a line before it
            if len(waiting) < 200:
                continue
        at = min(newest, line.at if line is not None else _written(tail.path))
        newest = at
        for other, text in waiting:
            yield Line(tail.name, other, at, "", _program(tail.name), "", {}, text.decode("utf-8", "replace"))
        waiting = []
        if line is not None:
            yield Line(**{**line.__dict__, "at": at})
    at = newest if newest != float("inf") else _written(tail.path)
    for other, text in waiting:
        yield Line(tail.name, other, at, "", _program(tail.name), "", {}, text.decode("utf-8", "replace"))


def _backwards(tail: _Tail) -> Iterator[tuple[int, bytes]]:
    """(start, line) of a file's lines before `tail.end`, the last first."""
    try:
        with tail.path.open("rb") as file:
            rest, at = b"", tail.end
            while at > 0:
                size = min(BLOCK, at)
                at -= size
                file.seek(at)
                tail.read += size
                *whole, (_, rest) = _split(file.read(size) + rest)
                yield from ((at + start, line) for start, line in whole if line.strip())
                if len(rest) > LONGEST_LINE:
                    rest = b""
            if rest.strip():
                yield 0, rest
    except OSError:
        return


def _split(data: bytes) -> list[tuple[int, bytes]]:
    """Lines of a block, the last first; the first of the block, which may be a part, stands at the end."""
    found, start = [], 0
    for piece in data.split(b"\n"):
        found.append((start, piece))
        start += len(piece) + 1
    return found[::-1]


def _line(file: str, start: int, raw: bytes) -> Line | None:
    try:
        told = json.loads(raw)
        at = datetime.fromisoformat(told.pop("time")).timestamp()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    level, action = str(told.pop("level", "")), str(told.pop("action", ""))
    actor = str(told.pop("actor", "") or _program(file))
    return Line(file, start, at, level, actor, action, told, raw.decode("utf-8", "replace"))


def _program(file: str) -> str:
    return file.partition(".log")[0]


def _age(path: Path) -> tuple[str, int]:
    name, _, number = path.name.partition(".log")
    return name, int(number[1:]) if number[1:].isdecimal() else 0


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
