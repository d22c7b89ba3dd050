"""For how long an actor is to log its single steps (debug): a wish of a person, one small file an actor in the run folder.
It must not outlive its time, whatever happens to whoever made it or to the clock; it restarts nothing and nudges nobody.

An actor's logger reads its own file once a second while it has something to say at debug level, so that a wish reaches all
its processes, those that were started before it, too.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.errors import NotFound
from protocol.fsops import disk_errors
from protocol.records import record

if TYPE_CHECKING:
    from protocol.settings import Settings

ACTORS = ("receiver", "router", "dispatcher")
"""Those that have something to say at debug level; of a dispatcher, all that run."""
LASTS_S = 15 * 60.0


@record
class Wish:
    """Debug lines of one actor. `until`: seconds UTC; `by`: who wants it."""

    actor: str
    until: float
    by: str


def wish(settings: Settings, actor: str, by: str, now: float) -> Wish:
    """Have an actor log its steps for 15 minutes from now; again: 15 minutes from now. Raises NotFound, DiskFailed, OutOfSpace."""
    file, made = _known(settings, actor), Wish(actor, now + LASTS_S, by)
    fresh = file.with_suffix(f".{os.getpid()}.tmp")
    with disk_errors("the wish for debug lines could not be kept"):
        file.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("w", encoding="utf-8") as written:
            json.dump({"until": made.until, "by": by}, written)
            written.flush()
            os.fsync(written.fileno())
        fresh.replace(file)
    return made


def end(settings: Settings, actor: str) -> None:
    """No debug lines of this actor any more; there may be none already. Raises NotFound, DiskFailed."""
    with disk_errors("the wish for debug lines could not be ended"):
        _known(settings, actor).unlink(missing_ok=True)


def wishes(settings: Settings, now: float) -> list[Wish]:
    """Those that count now."""
    found = (read(place(settings, actor), actor, now) for actor in ACTORS)
    return [one for one in found if one is not None]


def place(settings: Settings, actor: str) -> Path:
    """Where the wish for an actor stands."""
    return settings.run_folder / f"debug.{actor}.json"


def read(file: Path, actor: str, now: float) -> Wish | None:
    """The wish in this file if it counts. One that would last longer than any can was made before the clock was set back."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        until, by = float(kept["until"]), str(kept.get("by", ""))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return Wish(actor, until, by) if now < until <= now + LASTS_S else None


def _known(settings: Settings, actor: str) -> Path:
    if actor not in ACTORS:
        raise NotFound(f"{actor!r} has no debug lines; {', '.join(ACTORS)} have")
    return place(settings, actor)
