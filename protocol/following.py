"""How many of the associations that open next the receiver is to log step by step: a wish of a person, one small file in the
run folder, from which whoever opens an association takes one. It must not outlive its day, restart anything or nudge anybody.

All processes of the receiver share it: it is counted under `flock`. A restart changes nothing, the file stays.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.fsops import disk_errors
from protocol.records import record

if TYPE_CHECKING:
    from protocol.settings import Settings

ACTOR = "receiver"
"""Whose associations they are."""
MOST = 1000
LASTS_S = 86_400.0
"""A scanner that is looked for may call once a day; whoever forgot the wish is not surprised next week."""
_LIMIT = 4096  # bytes of the file


@record
class Following:
    """`left` of `count` associations are still to be logged. `until`: seconds UTC; `by`: who wants it."""

    count: int
    left: int
    until: float
    by: str


def follow(settings: Settings, count: int, by: str, now: float) -> Following:
    """Have the next `count` (1 to MOST) associations that open logged, instead of those wished for before.

    Raises ValueError, DiskFailed, OutOfSpace.
    """
    if not 1 <= count <= MOST:
        raise ValueError(f"1 to {MOST} associations can be logged, not {count}")
    file, made = place(settings), Following(count, count, now + LASTS_S, by)
    fresh = file.with_suffix(f".{os.getpid()}.tmp")
    with disk_errors("the wish for associations to be logged could not be kept"):
        file.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("w", encoding="utf-8") as written:
            json.dump(asdict(made), written)
            written.flush()
            os.fsync(written.fileno())
        fresh.replace(file)
    return made


def end(settings: Settings) -> None:
    """No further one; there may be no wish. Those that are open are logged until they end. Raises DiskFailed."""
    with disk_errors("the wish for associations to be logged could not be ended"):
        place(settings).unlink(missing_ok=True)


def following(settings: Settings, now: float) -> Following | None:
    """What is still to be logged; None: nothing."""
    try:
        return _read(place(settings).read_bytes(), now)
    except OSError:
        return None


def place(settings: Settings) -> Path:
    """Where the wish stands."""
    return settings.run_folder / "debug.associations.json"


def take(file: Path, now: float) -> bool:
    """Whether an association that opens now is one of them; it is counted. Never fails: receiving is worth more than a line."""
    with suppress(OSError):
        fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        with closing(os.fdopen(fd, "r+b", buffering=0)):
            fcntl.flock(fd, fcntl.LOCK_EX)
            raw = os.pread(fd, _LIMIT, 0)
            found = _read(raw, now)
            if found is None:
                return False
            text = json.dumps({**asdict(found), "left": found.left - 1}).encode()
            os.pwrite(fd, text.ljust(len(raw)), 0)  # never longer than before: one write, which no death tears
            return True
    return False


def _read(raw: bytes, now: float) -> Following | None:
    """None: used up, over, or no wish. One that would last longer than any can was made before the clock was set back."""
    try:
        kept = json.loads(raw)
        found = Following(int(kept["count"]), int(kept["left"]), float(kept["until"]), str(kept.get("by", "")))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None
    return found if found.left > 0 and now < found.until <= now + LASTS_S else None
