"""Numbers, times and sizes as people read them. It must not know what they measure."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, tzinfo

from protocol.records import record

NONE = "–"
_COMMAND = re.compile(r"(; to let go)?: `scanpost [^`]*`$")
"""What an alert says last to who reads it as a mail. On a page, a link and buttons stand beside the text instead."""


def number(value: float | None) -> str:
    """Whole number with narrow spaces between thousands."""
    return NONE if value is None else f"{round(value):,}".replace(",", "\u202f")


def rate(value: float | None) -> str:
    """A rate: one decimal below 100, whole above."""
    if value is None:
        return NONE
    return f"{value:.1f}" if 0 < value < 99.95 else number(value)


def duration(seconds: float | None) -> str:
    """The two largest units: 42 s, 3 min 05 s, 2 h 10 min, 4 d 3 h."""
    if seconds is None:
        return NONE
    whole = max(0, int(seconds))
    days, hours, minutes, secs = whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02} min"
    if minutes:
        return f"{minutes} min {secs:02} s"
    return f"{secs} s"


def uptime(seconds: float | None) -> str:
    """A long duration: whole minutes after the first, so that it does not flicker each second."""
    if seconds is None or seconds < 60:
        return duration(seconds)
    return f"{int(seconds) // 60} min" if seconds < 3600 else duration(seconds)


def size(count: float | None) -> str:
    """Bytes in decimal units, as disks are sold."""
    if count is None:
        return NONE
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB" if count < 100 else f"{count:.0f} TB"


def local_time(epoch: float | None, now: float, zone: tzinfo | None = None) -> str:
    """Time of day in a zone, this machine's if none is given; with the date if it is not today's."""
    if epoch is None:
        return NONE
    then = datetime.fromtimestamp(epoch, zone)
    today = then.date() == datetime.fromtimestamp(now, zone).date()
    return then.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M")


@record
class Moment:
    """A time (seconds since 1970 UTC) that is told to each viewer in their own zone, with words before it."""

    at: float
    before: str = ""

    def text(self, zone: tzinfo | None) -> str:
        """In this zone, this machine's if none is given."""
        return self.before + local_time(self.at, time.time(), zone)


def utc_time(epoch: float | None) -> str:
    """ISO 8601 in UTC, whole seconds."""
    return NONE if epoch is None else datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def count(amount: int, singular: str, plural: str = "") -> str:
    """`1 delivery`, `3 deliveries`."""
    return f"{number(amount)} {singular if amount == 1 else plural or singular + 's'}"


def alert(text: str) -> str:
    """The text of an alert as a page says it: without the command at its end, without marks of code, with a capital."""
    said = _COMMAND.sub("", text).replace("`", "")
    return f"{said[:1].upper()}{said[1:]}"
