"""Edits of the list of rules as pure functions of the configuration's JSON data. They must not publish anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from protocol.errors import NotFound
from protocol.routing.publishing import Data, Edit
from protocol.routing.rules.names import did_you_mean


class Overtaken(Exception):
    """Somebody else changed the rule since its editor was opened. `theirs`: the rule as it is now, None: it is gone."""

    def __init__(self, theirs: Data | None) -> None:
        self.theirs = theirs
        super().__init__("somebody else changed this rule meanwhile")


def put(rule: Data, was: str, seen: Data | None, place: int | None = None) -> Edit:
    """Add a rule, or put it in the place of `was`; `seen` is what the editor started from.

    `place`: where, from 1; None: where it was, a new one at the end. The edit raises Overtaken.
    """

    def edit(data: Data) -> Data:
        rules = list(data["rules"])
        at = next((at for at, one in enumerate(rules) if one["name"] == was), None) if was else None
        theirs = None if at is None else rules[at]
        if was and theirs != seen:
            raise Overtaken(theirs)
        if at is not None:
            del rules[at]
        to = (len(rules) if at is None else at) if place is None else min(max(place - 1, 0), len(rules))
        return data | {"rules": [*rules[:to], rule, *rules[to:]]}

    return edit


def remove(name: str) -> Edit:
    """Forget a rule. The edit raises NotFound."""

    def edit(data: Data) -> Data:
        _at(data, name)
        return data | {"rules": [one for one in data["rules"] if one["name"] != name]}

    return edit


def move(name: str, to: str) -> Edit:
    """One place `up` or `down`, or to a place from 1. The edit raises NotFound."""

    def edit(data: Data) -> Data:
        rules = list(data["rules"])
        at = _at(data, name)
        wanted = at - 1 if to == "up" else at + 1 if to == "down" else int(to) - 1
        rule = rules.pop(at)
        rules.insert(min(max(wanted, 0), len(rules)), rule)
        return data | {"rules": rules}

    return edit


def order(names: Sequence[str]) -> Edit:
    """The named rules in this order; a rule that somebody added meanwhile stays behind the one it followed."""

    def edit(data: Data) -> Data:
        rules: dict[str, Mapping[str, Any]] = {one["name"]: one for one in data["rules"]}
        made = [name for name in dict.fromkeys(names) if name in rules]
        listed, before = set(made), ""
        for name in rules:
            if name not in listed:
                made.insert(made.index(before) + 1 if before in made else 0, name)
            before = name
        return data | {"rules": [rules[name] for name in made]}

    return edit


def _at(data: Data, name: str) -> int:
    names = [one["name"] for one in data["rules"]]
    if name not in names:
        raise NotFound(f"there is no rule '{name}'; {did_you_mean(name, names, 'look at the list of rules')}")
    return names.index(name)
