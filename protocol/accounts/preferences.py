"""Rules for what a user may prefer. It must not store anything."""

from __future__ import annotations

import json
import re
from zoneinfo import ZoneInfo

from protocol.accounts.records import Preferences
from protocol.errors import AccountError

THEMES = ("system", "light", "dark")
MAX_LISTS, MAX_COLUMNS = 20, 40
_WORD = re.compile(r"[a-z][a-z0-9_.-]{0,39}\Z")


def check_preferences(preferences: Preferences) -> Preferences:
    """The preferences themselves. Raises AccountError."""
    if preferences.theme not in THEMES:
        raise AccountError(f"{preferences.theme[:40]!r} is no theme: {', '.join(THEMES)}")
    if preferences.time_zone and zone(preferences.time_zone) is None:
        raise AccountError(f"{preferences.time_zone[:80]!r} is no time zone: write a name such as Europe/Berlin")
    columns = preferences.columns
    if len(columns) > MAX_LISTS or any(len(names) > MAX_COLUMNS for names in columns.values()):
        raise AccountError(f"at most {MAX_COLUMNS} columns of {MAX_LISTS} lists are kept")
    for word in [*columns, *(name for names in columns.values() for name in names)]:
        if not _WORD.match(word):
            raise AccountError(f"{word[:40]!r} is no name of a list or column")
    return preferences


def zone(name: str) -> ZoneInfo | None:
    """The zone of that name, or None; also for names that reach out of the folder of zones."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return None


def to_text(preferences: Preferences) -> str:
    """As they are kept."""
    columns = {key: list(names) for key, names in preferences.columns.items()}
    return json.dumps({"theme": preferences.theme, "time_zone": preferences.time_zone, "columns": columns})
