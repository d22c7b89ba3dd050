"""How many dispatchers are wanted, kept over restarts because supervisord forgets. It must not start any."""

from __future__ import annotations

import json
import os
from pathlib import Path

from protocol.settings import Settings


def dispatchers(settings: Settings, flag: int | None = None) -> int:
    """The flag, else what was asked for last, unless the settings were changed since."""
    kept = _read(_file(settings))
    if flag is not None:
        return flag
    if kept.get("settings") == settings.dispatcher.instances and 1 <= kept.get("dispatchers", 0) <= 8:
        return kept["dispatchers"]
    return settings.dispatcher.instances


def remember(settings: Settings, number: int) -> None:
    """Keep what was asked for, and what the settings said then."""
    file = _file(settings)
    fresh = file.with_suffix(f".{os.getpid()}.tmp")
    fresh.write_text(json.dumps({"dispatchers": number, "settings": settings.dispatcher.instances}))
    fresh.replace(file)


def _file(settings: Settings) -> Path:
    return settings.run_folder / "dispatchers.json"


def _read(file: Path) -> dict[str, int]:
    try:
        kept = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return {key: value for key, value in kept.items() if isinstance(value, int)} if isinstance(kept, dict) else {}
