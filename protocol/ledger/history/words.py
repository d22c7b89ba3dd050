"""Words for people in timelines: why a series was complete, how an attempt ended, what a status means, how long it took.
Pure; it must not know rows.
"""

from __future__ import annotations

from typing import Any

from protocol.wire.messages import ERROR, INFO, WARNING

COMPLETE_WORDS = {
    "released": "its associations were released and it was quiet",
    "spread": "it was quiet for long enough for a source that spreads series over associations",
    "idle": "nothing came for long enough",
    "aborted": "an association was aborted and nothing came any more",
    "rebuilt": "the spool was made again from its files",
    "command": "a person said so",
}
DECISION_WORDS = {
    "route": "route", "hold": "hold until a person acts", "discard": "no rule wants it, discard", "wait": "wait for its study",
}  # fmt: skip
ATTEMPT_WORDS = {
    "delivered": ("succeeded", INFO), "confirming": ("sent everything and waits for commitment", INFO),
    "failed": ("failed", WARNING), "interrupted": ("was interrupted", WARNING), "parked": ("ended for good", ERROR),
    "held": ("was set aside", WARNING),
}  # fmt: skip
_STATUSES = {
    0x0110: "processing failure", 0x0111: "duplicate object", 0x0112: "no such object", 0x0117: "invalid instance UID",
    0x0122: "SOP class not supported", 0x0124: "not authorized", 0x0210: "duplicate invocation",
    0x0211: "unrecognized operation", 0xB000: "some elements were changed", 0xB006: "some elements were discarded",
    0xB007: "data set does not match its SOP class",
}  # fmt: skip


def status_words(status: int) -> str:
    """A DIMSE status of C-STORE with its meaning (PS3.4 table B.2-1, PS3.7 Annex C)."""
    words = _STATUSES.get(status)
    if words is None:
        words = {0xA7: "out of resources", 0xA9: "data set does not match its SOP class"}.get(status >> 8, "")
    if not words:
        words = "success" if status == 0 else {0xC: "cannot understand", 0xB: "warning"}.get(status >> 12, "refused")
    return f"{status:04X} {words}"


def seconds_words(seconds: float) -> str:
    """A duration as people say it: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, below, rest in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            small = whole % size // rest
            return f"{whole // size} {unit} {small} {below}" if small else f"{whole // size} {unit}"
    return f"{whole} s"


def plural(count: Any, noun: str) -> str:
    """`1 image`, `2 images`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: Any) -> str:
    """`a`, `a and b`, `a, b and c`; `nothing` for none."""
    words = [str(name) for name in names] if isinstance(names, list | tuple) else []
    if len(words) < 2:
        return words[0] if words else "nothing"
    return f"{', '.join(words[:-1])} and {words[-1]}"
