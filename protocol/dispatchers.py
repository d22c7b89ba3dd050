"""How many dispatchers are wanted, kept over restarts because supervisord forgets, and having so many run.
For the command line and the web page alike. It must not know what a dispatcher does: one that is stopped finishes its image and
gives back the rest by itself.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from protocol.errors import ScanpostError
from protocol.programs import SLOTS, ProcessManager, scale
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


def change(settings: Settings, programs: ProcessManager, number: int) -> None:
    """Have so many dispatchers run from now on, also after the next start; those that are too many end in order.

    Waits for their end, at most as long as supervisord.conf leaves them. Raises NotRunning, ScanpostError.
    """
    if not 1 <= number <= SLOTS:
        raise ScanpostError(f"{number} dispatchers are not possible; between 1 and {SLOTS} are")
    programs.programs()  # before anything is written: without a process manager nothing would come of it
    remember(settings, number)  # first: who dies in between is put right by the next start
    scale(programs, number)


def _file(settings: Settings) -> Path:
    return settings.run_folder / "dispatchers.json"


def _read(file: Path) -> dict[str, int]:
    try:
        kept = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return {key: value for key, value in kept.items() if isinstance(value, int)} if isinstance(kept, dict) else {}
