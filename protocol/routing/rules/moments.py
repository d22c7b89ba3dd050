"""Dates and times of day: what DA, TM and DT values and the texts in a rule mean, and which of two comes first.

It must not raise on any text, and must not ask what time it is now.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Literal

MomentKind = Literal["date", "time", "datetime"]

LIMIT_CHARACTERS = 40  # a DT has at most 26 (PS3.5 section 6.2), ISO 8601 with zone 32
_WHOLE: dict[str, int] = {"date": 3, "time": 3, "datetime": 6}  # a fraction of a second may be left out
_DATE_PART = r"(?P<year>\d{4})(?:(?P<sep>[-.]?)(?P<month>\d\d)(?:(?P=sep)(?P<day>\d\d))?)?"
_TIME_PART = r"(?P<hour>\d\d|\d(?=:))(?:(?P<colon>:?)(?P<minute>\d\d)(?:(?P=colon)(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6})\d*)?)?)?"
_ZONE_PART = r"(?P<zone>Z|[+-]\d\d:?\d\d)"
_DATE = re.compile(_DATE_PART, re.ASCII)
_TIME = re.compile(_TIME_PART, re.ASCII)
_DATETIME = re.compile(rf"{_DATE_PART}(?(day)(?:[T ]?{_TIME_PART})?){_ZONE_PART}?", re.ASCII)
_DATE_NAMES, _TIME_NAMES = ("year", "month", "day"), ("hour", "minute", "second")


class Moment(str):
    """A date, a time of day or both: the text as it is, and what it means.

    `parts` are year, month, day, hour, minute, second, microsecond, or the last four for a time, as far as the text
    tells them; without any the text is no date (time). `offset` is the zone in minutes east of UTC, None if none is
    told. `written`: a person wrote it, so that what is left out means the whole day, hour, ...
    """

    __slots__ = ("kind", "parts", "offset", "written")
    kind: MomentKind
    parts: tuple[int, ...]
    offset: int | None
    written: bool

    @property
    def whole(self) -> bool:
        """Whether it tells everything that its kind has."""
        return len(self.parts) >= _WHOLE[self.kind]


def made(
    text: str, kind: MomentKind, parts: tuple[int, ...], offset: int | None = None, written: bool = False
) -> Moment:
    """A moment of known parts."""
    moment = Moment(text)
    moment.kind, moment.parts, moment.offset, moment.written = kind, parts, offset, written
    return moment


@lru_cache(maxsize=4096)
def moment_of(text: str, kind: MomentKind, written: bool = False) -> Moment:
    """The moment that a text means (PS3.5 section 6.2: DA, TM, DT and their older forms; ISO 8601 as people write it).

    A header's date may have zeros for an unknown month or day (0000 is no year); a person's may not.
    """
    pattern = _DATE if kind == "date" else _TIME if kind == "time" else _DATETIME
    found = pattern.fullmatch(text) if len(text) <= LIMIT_CHARACTERS else None
    if found is None:
        return made(text, kind, (), None, written)
    told = found.groupdict()
    days = _days(told, written) if kind != "time" else ()
    times = _times(told) if told.get("hour") is not None else ()
    zone = told.get("zone")
    offset = _offset(zone) if zone else None
    wrong = (
        days is None or times is None or (zone and offset is None) or (times and kind == "datetime" and len(days) < 3)
    )
    return made(text, kind, () if wrong else (*(days or ()), *(times or ())), offset, written)


def received(text: str, zone: tzinfo | None) -> Moment:
    """The time of receipt (ISO 8601 in UTC) on the clock of the node; `zone` None is that of this machine."""
    try:
        told = datetime.fromisoformat(text)
        moment = (told if told.tzinfo else told.replace(tzinfo=UTC)).astimezone(zone)
    except (ValueError, OverflowError, OSError):
        return made(text, "datetime", ())
    offset = moment.utcoffset() or timedelta()
    parts = (*moment.timetuple()[:6], moment.microsecond)
    return made(moment.isoformat(timespec="seconds"), "datetime", parts, offset // timedelta(minutes=1))


def day_of(moment: Moment) -> Moment:
    """The date of a date-time; a time has none, and then `parts` is empty."""
    parts = moment.parts[:3] if moment.kind != "time" else ()
    return made("-".join(f"{part:02}" for part in parts) or str(moment), "date", parts, None, moment.written)


def comparable(left: Moment, right: Moment) -> bool:
    """Both can be read, and neither is a time of day where the other has a date."""
    return bool(left.parts and right.parts) and (left.kind == "time") is (right.kind == "time")


def order(left: Moment, right: Moment) -> int | None:
    """-1, 0 or 1: whether `left` is earlier, the same, or later; None if a partial value leaves it open.

    Compared as precisely as both are told: what a person left out means the whole day (minute, ...), a date in a header is
    a whole day; a header's date-time that tells only the day is not known better. Zones count if both tell one.
    """
    earlier, later = left.parts, right.parts
    if left.offset is not None and right.offset is not None and left.offset != right.offset:
        later = _shifted(later, left.offset - right.offset)
    shared = min(len(earlier), len(later))
    if earlier[:shared] != later[:shared]:
        return -1 if earlier[:shared] < later[:shared] else 1
    if len(earlier) == len(later):
        return 0
    coarser = left if len(earlier) < len(later) else right
    return 0 if coarser.written or coarser.whole else None


def _days(told: dict[str, str | None], written: bool) -> tuple[int, ...] | None:
    numbers = [int(part) for name in _DATE_NAMES if (part := told[name]) is not None]
    while len(numbers) > 1 and numbers[-1] == 0 and not written:
        numbers.pop()
    try:
        date(*(numbers + [1, 1])[:3])
    except ValueError:
        return None
    return tuple(numbers)


def _times(told: dict[str, str | None]) -> tuple[int, ...] | None:
    numbers = [int(part) for name in _TIME_NAMES if (part := told[name]) is not None]
    hour, minute, second = (numbers + [0, 0])[:3]
    if (hour > 23 or minute > 59 or second > 60) and (hour, minute, second) != (24, 0, 0):
        return None
    fraction = told["fraction"]
    return (*numbers, int(fraction.ljust(6, "0"))) if fraction is not None else tuple(numbers)


def _offset(zone: str) -> int | None:
    """Minutes east of UTC, from -12:00 to +14:00 (PS3.5 section 6.2, DT)."""
    if zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[-2:])
    minutes = -minutes if zone[0] == "-" else minutes
    return minutes if -12 * 60 <= minutes <= 14 * 60 and int(zone[-2:]) < 60 else None


def _shifted(parts: tuple[int, ...], minutes: int) -> tuple[int, ...]:
    """The same instant on a clock that is `minutes` ahead; what does not tell its minute stays as it is."""
    if len(parts) < 5:
        return parts
    year, month, day, hour, minute = parts[:5]
    try:
        moment = datetime(year, month, day) + timedelta(hours=hour, minutes=minute + minutes)
    except OverflowError:
        return parts
    return (*moment.timetuple()[:5], *parts[5:])
