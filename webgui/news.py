"""What happened in the node, as pages need it: which topics changed, and the few events that people are told at once.
Pure: it must not read anything, and no free text of scanners or peers may pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from protocol.records import record
from protocol.wire.messages import Envelope
from webgui import words

TOPICS: Mapping[str, tuple[str, ...]] = {
    "association": ("sources",),
    "image": ("series",),
    "image.quarantined": ("series", "quarantine"),
    "quarantine": ("quarantine",),
    "arrival": ("series",),
    "arrival.decided": ("series", "queue", "rules"),
    "arrival.images.routed": ("series", "rules"),
    "study": ("series", "queue", "rules"),
    "rule": ("rules", "series"),
    "delivery": ("queue", "series", "targets"),
    "commitment": ("series",),
    "confirmation": ("queue", "series"),
    "target": ("targets", "queue"),
    "command": ("acts", "audit"),
    "node": ("system",),
    "config": ("rules", "targets", "sources", "config", "audit"),
    "actor": ("system",),
    "alert": ("alerts",),
    "silence": ("alerts",),
    "letter": ("alerts",),
    "ledger": ("system",),
}
"""Beginning of an event's type -> what pages call it; the longest counts."""

AT_ONCE = 5
"""Toasts of one look; who is told more reads nothing."""

Row = dict[str, Any]
Say = Callable[[Mapping[str, Any], int], tuple[str, str, str]]


@record
class News:
    """Topics that changed since the last look, and what to tell."""

    topics: frozenset[str] = frozenset()
    toasts: tuple[Row, ...] = ()


def topics_of(kinds: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Topics of (event type, correlation) pairs; an arrival's own page is `series:ID`."""
    found: set[str] = set()
    for kind, correlation in kinds:
        parts = kind.split(".")
        for end in range(len(parts), 0, -1):
            if named := TOPICS.get(".".join(parts[:end])):
                found.update(named)
                if "series" in named and correlation.isdecimal():
                    found.add(f"series:{correlation}")
                break
    return frozenset(found)


def toasts(events: Iterable[Envelope]) -> tuple[Row, ...]:
    """What to tell of these events, alike ones together, the newest few."""
    groups: dict[tuple[str, str], list[Envelope]] = {}
    for one in events:
        if one.type in SAYINGS:
            groups.setdefault((one.type, one.shard), []).append(one)
    told: list[Row] = []
    for (kind, _), group in groups.items():
        try:
            level, text, href = SAYINGS[kind](group[-1].data, len(group))
        except (KeyError, TypeError):
            continue  # of another version
        told.append({"id": group[-1].seq, "sev": level, "text": text, "href": href})
    return tuple(sorted(told, key=lambda row: row["id"])[-AT_ONCE:])


def _target(name: str) -> str:
    return f"/targets/{quote(name, safe='')}"


def _alert_raised(data: Mapping[str, Any], count: int) -> tuple[str, str, str]:
    level = {"critical": "bad", "info": "ok"}.get(str(data.get("severity")), "warn")
    more = f" (and {count - 1} more)" if count > 1 else ""
    return level, f"{words.alert(data['text'])}{more}", "/alerts"


def _parked(data: Mapping[str, Any], count: int) -> tuple[str, str, str]:
    what = words.count(count, "delivery", "deliveries")
    return "bad", f"{what} to {data['target']} used up all attempts", "/queue?state=parked"


SAYINGS: Mapping[str, Say] = {
    "alert.raised": _alert_raised,
    "alert.cleared": lambda data, count: ("ok", f"Over: {data['alert']}", "/alerts"),
    "target.breaker.opened": lambda data, _: ("bad", f"{data['target']} does not answer", _target(data["target"])),
    "target.breaker.closed": lambda data, _: ("ok", f"{data['target']} answers again", _target(data["target"])),
    "target.paused": lambda data, _: ("held", f"{data['target']} was paused", _target(data["target"])),
    "target.resumed": lambda data, _: ("ok", f"{data['target']} goes on", _target(data["target"])),
    "delivery.parked": _parked,
    "config.changed": lambda data, _: ("ok", f"Routing version {data['revision']} is in force", "/config/versions"),
    "config.damaged": lambda data, _: ("bad", "A routing version cannot be used", "/config/versions"),
    "node.drain.begun": lambda data, _: ("held", f"{data['by']} drains this node: new images are refused", "/system"),
    "node.drain.ended": lambda data, _: ("ok", "This node takes images again", "/system"),
    "ledger.down": lambda data, _: ("warn", "The ledger's database is away; routing goes on", "/system"),
    "ledger.up": lambda data, _: ("ok", "The ledger's database is back", "/system"),
}
