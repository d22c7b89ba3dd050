"""What the second of two editors is told: who published what meanwhile.

It must not decide whether there is a conflict; `versions` and `publishing` do.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from protocol.errors import RoutingConflict
from protocol.routing.difference import Change, summary
from protocol.routing.faults import one_line


class Published(Protocol):
    """What is told of a version: its number, who published it, when (seconds since 1970) and why."""

    @property
    def number(self) -> int: ...
    @property
    def author(self) -> str: ...
    @property
    def time(self) -> float: ...
    @property
    def reason(self) -> str: ...


def conflict(base: int, current: Published, changes: Sequence[Change] | None, file: str) -> RoutingConflict:
    """The error for an edit of version `base`; `changes` since then, None where that version cannot be read."""
    reason = f": {current.reason}" if current.reason else ""
    when = datetime.fromtimestamp(current.time, UTC).strftime("%Y-%m-%d %H:%M UTC")
    message = (
        f"this edit started from version {base}, but version {current.number} was published meanwhile "
        f"by {current.author or 'nobody known'} ({when}{reason})"
    )
    if changes is not None:
        message += f"; since version {base}: {summary(changes)}"
    cure = f"Look at `scanpost routing diff {base} {current.number}`, put that into your edit, publish it with --base {current.number}"
    return RoutingConflict(one_line(message), file, cure)
