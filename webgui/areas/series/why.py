"""Why rules came to what they came to, as trees for people, out of the explanation that was kept with a decision. Pure.

Everything here holds tag values: patient data.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import field
from typing import Any

from protocol.records import record
from webgui.areas.series import words

DEEPEST = 40
Data = Mapping[str, Any]


@record
class Clause:
    """A part of a condition: its text, result (level and word), the values that it read, notes, the parts inside it."""

    text: str
    chip: tuple[str, str]
    values: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    clauses: list[Clause] = field(default_factory=list)


@record
class RuleSaid:
    """What one rule came to. `short` is one line; `tree` is None where it was not asked."""

    rule: str
    action: str
    chip: tuple[str, str]
    short: str
    applied: bool
    tree: Clause | None


@record
class Said:
    """A decision as it was kept."""

    id: int
    time: float
    revision: int
    chip: tuple[str, str]
    reason: str
    deliveries: list[str]
    rules: list[RuleSaid]
    earlier: list[str]
    command: int


def said(row: Data) -> Said:
    """A decision of `spool.arrivals.story`."""
    kept: Data = row["explanation"] if isinstance(row.get("explanation"), Mapping) else {}
    deliveries = [_delivery(one) for one in kept.get("deliveries", ())]
    rules = [rule_said(one) for one in kept.get("rules", ()) if isinstance(one, Mapping)]
    earlier = [str(one[0]) for one in kept.get("earlier_targets", ()) if isinstance(one, list | tuple) and one]
    chip = words.OUTCOMES.get(row["outcome"], ("off", str(row["outcome"])))
    return Said(
        row["id"], row["time"], row["revision"], chip, row["reason"], deliveries, rules, earlier, row["command"]
    )


def hidden(data: Any, keys: Collection[str], mask: str) -> Any:
    """A copy of an explanation without the values of these keywords, for who may not see them."""
    if isinstance(data, Mapping):
        copy = {key: hidden(value, keys, mask) for key, value in data.items()}
        return (
            {**copy, "value": mask, "note": ""} if data.get("name") in keys and data.get("value") is not None else copy
        )
    return [hidden(one, keys, mask) for one in data] if isinstance(data, list | tuple) else data


def rule_said(one: Data) -> RuleSaid:
    """One rule of a decision, or of `protocol.routing.trying.tried`."""
    result, counts = one.get("result"), one.get("counts", True)
    level, word = words.RESULTS.get(str(result), ("off", "not asked"))
    if result is not None and not counts:
        level, word = ("wait", f"shadow {word}")
    elif one.get("blocked"):
        level, word = ("warn", "match, kept from acting")
    tree = clause(one["explanation"]) if one.get("explanation") else None
    return RuleSaid(str(one.get("rule", "")), str(one.get("action", "")), (level, word), _short(one, tree),
                    result == "true" and bool(counts) and not one.get("blocked"), tree)  # fmt: skip


def clause(data: Data, depth: int = 0) -> Clause:
    """A tree of protocol/routing/rules/explain."""
    notes = [str(data["reason"])] if data.get("reason") else []
    if isinstance(data.get("images"), Mapping):
        told = ", ".join(
            f"{count} {words.RESULTS.get(result, ('', result))[1]}" for result, count in data["images"].items()
        )
        notes.append(f"images: {told}")
    inner = (
        [clause(one, depth + 1) for one in data.get("clauses", ()) if isinstance(one, Mapping)]
        if depth < DEEPEST
        else []
    )
    values = [value(one) for one in data.get("values", ()) if isinstance(one, Mapping)]
    return Clause(str(data.get("text", "")), words.RESULTS.get(str(data.get("result")), ("off", "not asked")), values, notes,
                  inner)  # fmt: skip


def value(data: Data) -> str:
    """`Modality is "CT"`, or that it is missing."""
    found, note = data.get("value"), data.get("note", "")
    if isinstance(found, Mapping):
        told = str(found.get("error", ""))
    else:
        told = "missing" if found is None else json.dumps(found, ensure_ascii=False)
    return f"{data.get('name', '')} is {told}" + (f" ({note})" if note else "")


def _short(one: Data, tree: Clause | None) -> str:
    """Why it did not match or act, in one line; "" where a match says it all."""
    if one.get("blocked") or one.get("why"):
        return str(one.get("blocked") or one["why"])
    if tree is None or one.get("result") == "true":
        return ""
    told = [_leaf(leaf) for leaf in _decisive(tree, tree.chip)]
    return "; ".join(told[:3]) + ("; ..." if len(told) > 3 else "")


def _leaf(leaf: Clause) -> str:
    found = "; ".join([*leaf.values, *leaf.notes])
    return f"{found} (wanted: {leaf.text})" if found else leaf.text


def _decisive(tree: Clause, chip: tuple[str, str]) -> Iterator[Clause]:
    """The innermost parts with the result of the whole: what would have had to be otherwise."""
    inner = [one for one in tree.clauses if one.chip == chip]
    if not inner:
        yield tree
    for one in inner:
        yield from _decisive(one, chip)


def _delivery(one: Data) -> str:
    priority = one.get("priority", "normal")
    return str(one.get("name", "")) + (f" ({priority})" if priority != "normal" else "")
