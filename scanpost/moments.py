"""Times as people write them on the command line. It must not read a clock: now is handed in."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LAST = 253_402_214_400.0  # the last day that a calendar of Python's knows begins


def moment(text: str, now: float, zone: tzinfo | None = None) -> float:
    """Seconds UTC of a duration from now (2h30m), a time of day (22:00, the next one) or an ISO 8601 time.

    Without an offset times are those of `zone` (None: this machine's). Raises click.BadParameter.
    """
    if re.fullmatch(r"(\d+[smhd])+", text):
        at_s = now + sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)([smhd])", text))
        if at_s >= _LAST:
            raise click.BadParameter(f"{text!r} from now is after the year 9999")
        return at_s
    local = datetime.fromtimestamp(now, zone)
    if re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        at = local.replace(hour=int(text[:2]), minute=int(text[3:]), second=0, microsecond=0)
        return (at if at.timestamp() > now else at + timedelta(days=1)).timestamp()
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError) as exc:
        raise click.BadParameter(
            f"{text!r} is no time (2026-01-31T08:00), time of day (22:00) or duration (2h30m)"
        ) from exc
