"""What the audit is told of a version of the routing configuration: each part that changed, before and after. Pure.

It must not hold secrets (they are references) nor values of test cases: those are somebody's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from protocol.routing.difference import Change, summary

MOST_AUDITED = 20  # parts of one publication that get an entry each; more are told together


def entries(changes: Sequence[Change], version: int, reason: str) -> list[tuple[str, str, Any, Any]]:
    """Action, object, before and after of each changed part."""
    stamp = {"version": version, "reason": reason}
    found = []
    for change in changes[:MOST_AUDITED]:
        before, after = _values(change, 0), _values(change, 1)
        found.append((f"config.{change.kind}", change.title, before or None, after | stamp))
    if rest := changes[MOST_AUDITED:]:
        found.append(("config.changed", f"{len(rest)} more parts", None, {"what": summary(rest)} | stamp))
    return found


def _values(change: Change, side: int) -> dict[str, Any]:
    places = {"place": (change.before, change.after)[side]} if change.kind == "moved" else {}
    fields: Mapping[str, Any] = {one.field: (one.old, one.new)[side] for one in change.fields}
    return places | {
        name: _count(value) if name.startswith("tests") else value
        for name, value in fields.items()
        if value is not None
    }


def _count(value: Any) -> Any:
    return f"{len(value)} test cases" if isinstance(value, list) else "changed"
