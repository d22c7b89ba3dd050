"""Edits of targets and groups as pure functions of the configuration's JSON data. They must not publish anything."""

from __future__ import annotations

from typing import Any

from protocol.errors import NotFound, RoutingError, StepRefused
from protocol.routing.publishing import Data, Edit


def put(section: str, name: str, settings: Data, was: str) -> Edit:
    """Add one, or change `was`; under a new name everything that names it follows. The edit raises RoutingError."""

    def edit(data: Data) -> Data:
        parts = dict(data[section])
        if was != name and name in parts:
            where = f"this {section[:-1]}: {section}.{name}.name"
            raise RoutingError(f"There is a '{name}' already", where, "Choose another name")
        if was and was != name and was in parts:
            parts = {name if key == was else key: one for key, one in parts.items()}
            data = renamed(data, was, name)
        return data | {section: parts | {name: settings}}

    return edit


def renamed(data: Data, was: str, name: str) -> Data:
    """Rules, groups and sources that named it."""

    def follow(names: list[str]) -> list[str]:
        return [name if one == was else one for one in names]

    rules = [rule | {"targets": follow(rule["targets"])} for rule in data["rules"]]
    groups = {key: group | {"members": follow(group["members"])} for key, group in data["groups"].items()}
    sources: dict[str, Any] = {}
    for key, source in data["sources"].items():
        commitment = source.get("commitment") or {}
        if commitment.get("target") == was:
            source = source | {"commitment": commitment | {"target": name}}
        sources[key] = source
    return data | {"rules": rules, "groups": groups, "sources": sources}


def remove(section: str, name: str) -> Edit:
    """Forget one that nobody names. The edit raises NotFound, StepRefused: where it is used."""

    def edit(data: Data) -> Data:
        if name not in data[section]:
            raise NotFound(f"there is no '{name}' in {section}")
        users = [f"rule '{rule['name']}'" for rule in data["rules"] if name in rule["targets"]]
        users += [f"group '{key}'" for key, group in data["groups"].items() if name in group["members"]]
        users += [
            f"source '{key}'"
            for key, one in data["sources"].items()
            if (one.get("commitment") or {}).get("target") == name
        ]
        if users:
            raise StepRefused(f"'{name}' is used by {', '.join(users[:5])}: take it out there first")
        return data | {section: {key: one for key, one in data[section].items() if key != name}}

    return edit
