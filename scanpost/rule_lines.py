"""What rules came to, as lines for a terminal: ticks, clauses, values. Text in, text out; it must not ask or decide anything."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

MARKS = {"true": "✓", "false": "✗", "unknown": "?", "error": "!", None: "·"}
_WIDTH = 60


def rule_lines(rule: Mapping[str, Any]) -> Iterator[str]:
    """One rule of `protocol.routing.trying.tried`, or of a kept decision, with its clauses below."""
    result = rule.get("result")
    said = f"{MARKS.get(result, '·')} {rule['rule']}: {result or 'not asked'}"
    notes = [rule["why"]] if rule.get("why") else []
    if rule.get("mode") not in (None, "active"):
        notes.insert(0, str(rule["mode"]))
    if rule.get("images"):
        notes.append(f"true of {rule['images']} images")
    yield said + (f"  ({'; '.join(notes)})" if notes else "")
    if rule.get("explanation"):
        yield from clause_lines(rule["explanation"], 1)
    yield from (f"    test fails: {text}" for text in rule.get("failed_tests", ()))


def clause_lines(explanation: Mapping[str, Any], depth: int) -> Iterator[str]:
    """A clause with its result, the values it read, and the clauses inside it."""
    left = f"{'  ' * (depth + 1)}{MARKS.get(explanation.get('result'), '·')} {_short(explanation.get('text', ''))}"
    right = [value_text(value) for value in explanation.get("values", ())]
    if explanation.get("images"):
        right.append("images: " + ", ".join(f"{count} {result}" for result, count in explanation["images"].items()))
    if explanation.get("reason"):
        right.append(str(explanation["reason"]))
    yield f"{left:<{_WIDTH}}  {'; '.join(right)}".rstrip()
    for inner in explanation.get("clauses", ()):
        yield from clause_lines(inner, depth + 1)


def value_text(value: Mapping[str, Any]) -> str:
    """`Modality = "CT"`, or that it is missing."""
    found, note = value.get("value"), value.get("note", "")
    if isinstance(found, Mapping):
        said = str(found.get("error", ""))
    else:
        said = "missing" if found is None else json.dumps(found, ensure_ascii=False)
    return f"{value['name']} = {said}" + (f" ({note})" if note else "")


def decision_line(decision: Mapping[str, Any]) -> str:
    """What follows: the outcome, where it goes, and why."""
    targets = ", ".join(delivery_text(one) for one in decision.get("deliveries", ()))
    outcome = decision["outcome"]
    if told := decision.get("on_release"):
        return f"→ {outcome}: {decision['reason']}; {told}"
    goes = f" to {targets}" if outcome == "route" and targets else f" (then to {targets})" if targets else ""
    return f"→ {outcome}{goes}: {decision['reason']}"


def delivery_text(delivery: Mapping[str, Any]) -> str:
    """A target with its priority, where that is not the usual one."""
    priority = delivery.get("priority", "normal")
    return str(delivery["name"]) + (f" ({priority})" if priority != "normal" else "")


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 100 else flat[:99] + "…"
