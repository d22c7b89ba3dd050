"""Letters in words: items in, subject and text out. Pure; it must not send anything.

Every value is made harmless first (`plain`): no control characters, no line breaks, nothing that turns the direction of
writing, nothing that a chat program takes for a tag. A subject never holds what a rule's text says.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from protocol.causes import hint
from protocol.spool.letters import Item

MOST_LINES = 100
"""Of one part of a letter; of the others their number."""
MOST_NAMED = 20
VALUE_LIMIT = 200
SUBJECT_LIMIT = 150
_CHANGED = str.maketrans({"<": "\u2039", ">": "\u203a"})
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_PARTS = (("new", "New:"), ("again", "Still there:"), ("cleared", "Over:"))
_DONE = {
    "received": "series came in",
    "completed": "series delivered everywhere",
    "failed": "series not delivered",
    "held": "series held until a person decides",
    "discarded": "series discarded",
}

When = Callable[[float], str]


def clock_words(zone: tzinfo | None) -> When:
    """Writes a time (seconds UTC) as date and time in the zone of the node (None: of this machine)."""
    return lambda seconds: datetime.fromtimestamp(seconds, zone).astimezone(zone).strftime("%Y-%m-%d %H:%M")


def plain(value: Any, limit: int = VALUE_LIMIT) -> str:
    """A value as harmless text of one line."""
    text = unicodedata.normalize("NFC", str(value)).translate(_CHANGED)
    kept = [" " if one.isspace() else one for one in text[: 4 * limit] if one.isspace() or _shown(one)]
    text = " ".join("".join(kept).split())
    return text if len(text) <= limit else text[: limit - 1] + "\u2026"


def _shown(letter: str) -> bool:
    return letter not in _TURNING and unicodedata.category(letter) not in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp")


def letter_of(items: Sequence[Item], node: str, when: When) -> dict[str, Any]:
    """One letter of these items, which are of one recipient: count, subject, text, and the items as plain values."""
    alerts = _last_of_each(one.body for one in items if one.body.get("kind") == "alert")
    rules = [one.body for one in items if one.body.get("kind") == "rule"]
    tests = [one.body for one in items if one.body.get("kind") == "test"]
    lines = [plain(one.get("text", "")) for one in tests]
    for part, title in _PARTS:
        lines += _part(title, [_alert_line(one, when) for one in alerts if _part_of(one) == part])
    lines += _part("Rules:", _rule_lines(rules))
    lines += [
        "",
        "-- ",
        f"scanpost on {plain(node)}. To say that you take care of it: scanpost alerts ack KEY --note TEXT",
    ]
    return {
        "count": len(items),
        "subject": subject_of(alerts, rules, node),
        "text": "\n".join(lines).strip("\n") + "\n",
        "items": [dict(one) for one in (*alerts, *rules, *tests)],
    }


def subject_of(alerts: Sequence[Mapping[str, Any]], rules: Sequence[Mapping[str, Any]], node: str) -> str:
    """One line without patient data."""
    start = f"[scanpost {plain(node, 64)}] "
    if len(alerts) == 1 and not rules:
        (one,) = alerts
        word = {"cleared": "over", "again": "still"}.get(_part_of(one), str(one.get("severity", "")).upper())
        return plain(f"{start}{word}: {one.get('text', '')}", SUBJECT_LIMIT)
    parts = []
    there = [one for one in alerts if _part_of(one) != "cleared"]
    critical = sum(one.get("severity") == "critical" for one in there)
    if there:
        parts.append(f"{len(there)} alert{'s' * (len(there) > 1)}" + (f", {critical} critical" if critical else ""))
    if over := len(alerts) - len(there):
        parts.append(f"{over} over")
    for on in _DONE:
        if number := sum(one.get("on") == on for one in rules):
            parts.append(f"{number} {_DONE[on]}")
    return plain(start + ("; ".join(parts) or "test message"), SUBJECT_LIMIT)


def _last_of_each(alerts: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of one alert the last word counts; the worst and the newest come first."""
    last = {one.get("key"): one for one in alerts}
    order = {"critical": 0, "warning": 1}
    return sorted(last.values(), key=lambda one: (order.get(one.get("severity", ""), 2), -float(one.get("time", 0))))


def _part_of(alert: Mapping[str, Any]) -> str:
    what = str(alert.get("what"))
    return what if what in ("again", "cleared") else "new"


def _part(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    more = [f"  and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
    return ["", title, *(f"  {line}" for line in lines[:MOST_LINES]), *more]


def _alert_line(one: Mapping[str, Any], when: When) -> str:
    raised = when(float(one.get("raised", 0)))
    over = f", over since {when(float(one['time']))}" if one.get("what") == "cleared" else ""
    severity = str(one.get("severity", "")).upper()
    return f"{severity} {plain(one.get('text', ''), 500)} ({plain(one.get('key', ''))}, since {raised}{over})"


def _rule_lines(rules: Sequence[Mapping[str, Any]]) -> list[str]:
    """What has the same rule, outcome, target and cause in one line; texts of rules in lines of their own below it."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for one in rules:
        groups.setdefault(tuple(str(one.get(name, "")) for name in ("rule", "on", "target", "cause")), []).append(one)
    lines = []
    for (rule, on, target, cause), ones in groups.items():
        named = [str(one.get("arrival", "")) for one in ones]
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        where = f" to {plain(target)}" if target else ""
        why = f" ({hint(cause).means.rstrip('.')})" if cause else ""
        what = f"rule {plain(rule)}: {len(ones)} {_DONE.get(on, plain(on))}{where}{why}"
        lines.append(f"{what}: {', '.join(named[:MOST_NAMED])}{more}")
        lines += [f"  {plain(one['text'], 500)}" for one in ones[:MOST_NAMED] if one.get("text")]
    return lines
