"""Times of day as people write them, one window a line: `mon-fri 22:00-06:00`; and as the settings hold them.

It must not judge a time or a day; the model does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LINE = re.compile(r"(?P<days>[a-z][a-z, -]*)?\s*(?:(?P<start>[\d:]+)\s*(?:-|–|to)\s*(?P<end>[\d:]+))?", re.IGNORECASE)


def read(text: str) -> list[dict[str, Any]]:
    """One window for each line. What is no window comes out as a window with odd values, so that the model says so."""
    found = []
    for line in re.split(r"[\n;]", text):
        line = line.strip()
        if line:
            found.append(_window(line))
    return found


def _window(line: str) -> dict[str, Any]:
    match = _LINE.fullmatch(line)
    if match is None:
        return {"days": [line]}
    window: dict[str, Any] = {}
    if match["days"] and match["days"].strip():
        window["days"] = _days(match["days"].strip().lower())
    if match["start"]:
        window |= {"start": _time(match["start"]), "end": _time(match["end"])}
    return window


def _days(text: str) -> list[str]:
    found: list[str] = []
    for part in re.split(r"[,\s]+", re.sub(r"\s*-\s*", "-", text)):
        first, dash, last = part.partition("-")
        if dash and first in DAYS and last in DAYS:
            at, end = DAYS.index(first), DAYS.index(last)
            found += DAYS[at : end + 1] if at <= end else (*DAYS[at:], *DAYS[: end + 1])
        elif part and part != "daily":
            found.append(part)
    return list(dict.fromkeys(found)) or list(DAYS)


def _time(text: str) -> str:
    return f"0{text}" if re.fullmatch(r"\d:\d\d", text) else f"{int(text):02}:00" if text.isdecimal() else text


def text_of(schedule: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None) -> str:
    """The windows as `read` takes them."""
    if not schedule:
        return ""
    listed = [schedule] if isinstance(schedule, Mapping) else schedule
    return "\n".join(_line(one) for one in listed)


def _line(window: Mapping[str, Any]) -> str:
    days = list(window.get("days") or DAYS)
    times = f"{window.get('start', '00:00')}-{window.get('end', '24:00')}"
    return times if days == list(DAYS) else f"{_shorter(days)} {times}"


def _shorter(days: Sequence[str]) -> str:
    places = [DAYS.index(day) for day in days if day in DAYS]
    in_row = len(places) == len(days) > 2 and places == list(range(places[0], places[0] + len(places)))
    return f"{days[0]}-{days[-1]}" if in_row else ",".join(days)
