"""Dates, times and ages of DICOM as numbers: seconds since 1970 UTC, and years. Pure, and it never raises:
what is no date or time is None.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DATE = re.compile(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})", re.ASCII)  # with dots: ACR-NEMA, PS3.5 table 6.2-1
_TIME = re.compile(r"(\d{2}):?(?:(\d{2}):?(?:(\d{2})(\.\d{1,6})?)?)?", re.ASCII)
_DATETIME = re.compile(r"(\d{8})(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?([+-]\d{4})?", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d{2})(\d{2})", re.ASCII)
_AGE = re.compile(r"(\d{1,3})([DWMY])", re.ASCII)
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
FIRST_YEAR, LAST_YEAR = 1900, 2200
OLDEST = 150.0


def moment(day: object, time: object, offset: object = None, zone: str = "") -> float | None:
    """Seconds since 1970 UTC of a DA and a TM (PS3.5 section 6.2); without a time the beginning of the day.

    `offset` is TimezoneOffsetFromUTC (PS3.3 C.12.1.1.8); without it the time is that of `zone` (an IANA name; "": UTC).
    """
    found, clock = _day(day), _clock(time)
    if found is None:
        return None
    return _seconds(found, clock or timedelta(), _fixed(offset) or _zone(zone))


def moment_of_datetime(value: object, offset: object = None, zone: str = "") -> float | None:
    """Seconds since 1970 UTC of a DT (PS3.5 section 6.2); its own offset comes before `offset` and `zone`."""
    match = _DATETIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    return moment(match[1], match[2] or None, match[3] or offset, zone)


def age_years(age: object, born: object, studied: object) -> float | None:
    """Age in years: as the scanner says it (AS), else from the birth date to the date of the study."""
    match = _AGE.fullmatch(age.strip()) if isinstance(age, str) else None
    years = None
    if match is not None:
        years = int(match[1]) * _YEARS[match[2]]
    else:
        birth, study = _day(born), _day(studied)
        if birth is not None and study is not None:
            years = (study - birth).days / 365.25
    return round(years, 3) if years is not None and 0 <= years <= OLDEST else None


def _day(value: object) -> date | None:
    match = _DATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or not FIRST_YEAR <= int(match[1]) <= LAST_YEAR:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def _clock(value: object) -> timedelta | None:
    match = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    hours, minutes, seconds = int(match[1]), int(match[2] or 0), int(match[3] or 0)
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    return timedelta(hours=hours, minutes=minutes, seconds=seconds + float(match[4] or 0))


def _fixed(offset: object) -> tzinfo | None:
    match = _OFFSET.fullmatch(offset.strip()) if isinstance(offset, str) else None
    if match is None or int(match[2]) > 14 or int(match[3]) > 59:
        return None
    away = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(-away if match[1] == "-" else away)


def _seconds(day: date, clock: timedelta, zone: tzinfo) -> float:
    # As on the wall: the clock is added before the zone, so that a day of 23 hours shifts nothing.
    return (datetime(day.year, day.month, day.day) + clock).replace(tzinfo=zone).timestamp()


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return UTC
