"""How often one thing may fail before it is set aside, so that one bad arrival or command never stops the others.
It must not hide what concerns all of them: a full or failed disk and a damaged spool are let through (`for_everybody`).
"""

from __future__ import annotations

import traceback
from collections import Counter
from pathlib import Path

from protocol.errors import DiskFailed, OutOfSpace, SpoolDamaged, SpoolNewer

TRIES = 3


class Patience:
    """Failures per number (of an arrival or command). In memory: a router that starts gives everything new tries."""

    def __init__(self, tries: int = TRIES) -> None:
        self._tries = tries
        self._failures: Counter[int] = Counter()

    def failed(self, number: int) -> bool:
        """Note one more failure; True if that is enough."""
        self._failures[number] += 1
        return self._failures[number] >= self._tries

    def forget(self, number: int) -> None:
        """It went well, or was set aside."""
        self._failures.pop(number, None)


def for_everybody(exc: Exception) -> bool:
    """Is this the disk's or the spool's trouble, not that of the one thing under way?"""
    return isinstance(exc, OutOfSpace | DiskFailed | SpoolDamaged | SpoolNewer | MemoryError)


def where(exc: BaseException) -> str:
    """Kind and place of an exception, without its text: that may quote a header value (known-failures 45)."""
    frames = traceback.extract_tb(exc.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(exc).__name__}{place}"
