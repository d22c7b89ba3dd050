"""The name of the time zone that a node tells time in, for whoever has to write it down. It must not read settings."""

from __future__ import annotations

import os
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_LINK = Path("/etc/localtime")


def zone_name(zone: ZoneInfo | None) -> str:
    """The IANA name of a zone; of None the machine's own, and "UTC" where that has no name."""
    if zone is not None:
        return zone.key
    for name in (os.environ.get("TZ", "").lstrip(":"), _linked()):
        if name and _known(name):
            return name
    return "UTC"


def _linked() -> str:
    try:
        return os.path.realpath(_LINK).partition("/zoneinfo/")[2]
    except OSError:
        return ""


def _known(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return False
    return True
