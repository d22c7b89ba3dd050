"""What changed from one routing configuration to another, by meaning: parts added, removed, moved, changed field by field.

It must not compare text: spelling and order of keys are no change. Times and authors belong to `versions`.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from protocol.records import record
from protocol.routing.faults import one_line, place_text
from protocol.routing.model import RoutingConfiguration
from protocol.routing.parse import SECTIONS, to_data

Kind = Literal["added", "removed", "moved", "changed"]
_SIGNS: dict[Kind, str] = {"added": "+", "removed": "-", "moved": ">", "changed": "~"}
_SINGULAR = {"targets": "target", "groups": "group", "sources": "source", "rules": "rule"}
_LIMIT_NAMED = 4  # changes that a summary names


@record
class FieldChange:
    """One setting: its place inside the part (``retry.first_s``), JSON values before and after."""

    field: str
    old: Any
    new: Any


@record
class Change:
    """One part that changed. `fields`: of an added or removed one what differs from the defaults.

    `before` and `after` are places in the list of rules, from 1; None for other parts.
    """

    section: str
    name: str
    kind: Kind
    fields: tuple[FieldChange, ...] = ()
    before: int | None = None
    after: int | None = None

    @property
    def title(self) -> str:
        """``rule 'cardiac'``."""
        return f"{_SINGULAR[self.section]} '{self.name}'"

    def to_data(self) -> dict[str, Any]:
        """As JSON data."""
        fields = [{"field": one.field, "old": one.old, "new": one.new} for one in self.fields]
        data = {"section": self.section, "name": self.name, "kind": self.kind, "fields": fields}
        return data | ({"before": self.before, "after": self.after} if self.section == "rules" else {})


def difference(old: RoutingConfiguration, new: RoutingConfiguration) -> tuple[Change, ...]:
    """Every change, section by section; those of rules in the order of the new list, removed ones last."""
    before, after = to_data(old), to_data(new)
    changes: list[Change] = []
    for section in SECTIONS[:3]:
        changes += _of_section(section, before[section], after[section], old, new)
    return (*changes, *_of_rules(before["rules"], after["rules"], old, new))


def lines(changes: Sequence[Change]) -> list[str]:
    """For people, one line for each part and, indented, for each of its settings."""
    told: list[str] = []
    for change in changes:
        told.append(f"{_SIGNS[change.kind]} {change.title}{_where(change)}")
        told += [f"    {line}" for field in change.fields for line in [_field_line(change.kind, field)]]
    return told


def summary(changes: Sequence[Change]) -> str:
    """One line: ``rule 'cardiac' changed, target 'ai3' added``."""
    named = [f"{change.title} {change.kind}" for change in changes[:_LIMIT_NAMED]]
    if len(changes) > len(named):
        named.append(f"{len(changes) - len(named)} more")
    return ", ".join(named) or "nothing changed"


def _of_section(
    section: str, before: dict[str, Any], after: dict[str, Any], old: RoutingConfiguration, new: RoutingConfiguration
) -> Iterator[Change]:
    for name in dict.fromkeys((*before, *after)):
        if name not in after:
            yield Change(section, name, "removed", _leaving(_sparse(getattr(old, section)[name])))
        elif name not in before:
            yield Change(section, name, "added", _coming(_sparse(getattr(new, section)[name])))
        elif fields := tuple(_fields((), before[name], after[name])):
            yield Change(section, name, "changed", fields)


def _of_rules(
    before: list[dict[str, Any]], after: list[dict[str, Any]], old: RoutingConfiguration, new: RoutingConfiguration
) -> Iterator[Change]:
    places = {rule["name"]: at for at, rule in enumerate(before)}
    now = {rule["name"]: at for at, rule in enumerate(after)}
    moved = _moved([places[name] for name in now if name in places])
    for name, at in now.items():
        if name not in places:
            yield Change("rules", name, "added", _coming(_sparse(new.rules[at])), None, at + 1)
            continue
        was = places[name]
        if was in moved:
            yield Change("rules", name, "moved", (), was + 1, at + 1)
        if fields := tuple(_fields((), before[was], after[at])):
            yield Change("rules", name, "changed", fields, was + 1, at + 1)
    for name, at in places.items():
        if name not in now:
            yield Change("rules", name, "removed", _leaving(_sparse(old.rules[at])), at + 1, None)


def _moved(places: Sequence[int]) -> set[int]:
    """The fewest of these former places whose rules must have moved: all but a longest rising row (patience sorting)."""
    tops: list[int] = []
    at_top: list[int] = []
    previous: list[int] = []
    for at, place in enumerate(places):
        pile = bisect_left(tops, place)
        previous.append(at_top[pile - 1] if pile else -1)
        tops[pile:], at_top[pile:] = [place, *tops[pile + 1 :]], [at, *at_top[pile + 1 :]]
    kept: set[int] = set()
    at = at_top[-1] if at_top else -1
    while at >= 0:
        kept.add(places[at])
        at = previous[at]
    return set(places) - kept


def _sparse(part: Any) -> dict[str, Any]:
    """What of a part differs from the defaults, without its name."""
    data: dict[str, Any] = part.model_dump(mode="json", exclude_defaults=True, exclude={"name"})
    return data


def _coming(data: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    return tuple(FieldChange(key, None, value) for key, value in data.items())


def _leaving(data: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    return tuple(FieldChange(key, value, None) for key, value in data.items())


def _fields(place: tuple[str | int, ...], old: Any, new: Any) -> Iterator[FieldChange]:
    """Objects key by key, lists of objects item by item while they are equally long, everything else whole."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from _fields((*place, key), old.get(key), new.get(key))
    elif _are_objects(old) and _are_objects(new) and len(old) == len(new):
        for at, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _fields((*place, at), one, other)
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        yield FieldChange(place_text(place), old, new)


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _where(change: Change) -> str:
    match change.kind:
        case "moved":
            return f" from place {change.before} to {change.after}"
        case "added" if change.after is not None:
            return f" at place {change.after}"
    return ""


def _field_line(kind: Kind, field: FieldChange) -> str:
    if kind == "added":
        return f"{field.field}: {_shown(field.new)}"
    if kind == "removed":
        return f"{field.field}: {_shown(field.old)}"
    return f"{field.field}: {_shown(field.old)} -> {_shown(field.new)}"


def _shown(value: Any) -> str:
    return one_line(json.dumps(value, ensure_ascii=False))
