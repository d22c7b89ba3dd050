"""What the pages of configuration versions show, out of the versions themselves. It must not know HTTP nor change anything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from protocol.errors import NotFound, RoutingError
from protocol.routing.difference import Change, difference, summary
from protocol.routing.parse import LIMIT_BYTES, Draft, load_json, to_data, unmarked
from protocol.routing.publishing import Data, Edit
from protocol.routing.versions import RoutingVersions, Version


def changes_of(version: Version, versions: RoutingVersions) -> tuple[Change, ...]:
    """What a version changed; nothing where the one before it is damaged (`problems` tells)."""
    try:
        return difference(versions.get(version.parent).configuration, version.configuration)
    except RoutingError:
        return ()


def listed(
    versions: RoutingVersions, *, after: int | None = None, author: str = "", part: str = "", limit: int = 50
) -> tuple[list[dict[str, Any]], int | None]:
    """Versions as rows, newest first, and the number to go on after."""
    rows: list[dict[str, Any]] = []
    current = versions.current().number
    for version in versions.history(before=after):
        if author and author.lower() not in version.author.lower():
            continue
        changes = changes_of(version, versions)
        if part and not any(part.lower() in one.name for one in changes):
            continue
        if len(rows) == limit:
            return rows, rows[-1]["number"]
        rows.append(facts(version) | {"current": version.number == current, "changes": summary(changes)})
    return rows, None


def facts(version: Version) -> dict[str, Any]:
    """Who, when, why."""
    return {"number": version.number, "time": version.time, "author": version.author, "reason": version.reason,
            "parent": version.parent}  # fmt: skip


def parts(version: Version) -> list[dict[str, str]]:
    """What can be restored by itself."""
    configuration = version.configuration
    found = [
        {"section": section, "name": name}
        for section in ("targets", "groups", "sources") for name in getattr(configuration, section)
    ]  # fmt: skip
    return found + [{"section": "rules", "name": rule.name} for rule in configuration.rules]


def restore(section: str, name: str, earlier: Data) -> Edit:
    """An edit that takes one part as it was; what was not there then goes. The edit raises NotFound: it never was."""

    def edit(data: Data) -> Data:
        if section != "rules":
            now, then = dict(data[section]), earlier[section]
            if name in then:
                now[name] = then[name]
            elif now.pop(name, None) is None:
                raise NotFound(f"there is no '{name}' in {section}, neither then nor now")
            return data | {section: now}
        return data | {"rules": _restored(name, data["rules"], earlier["rules"])}

    return edit


def _restored(
    name: str, now: Sequence[Mapping[str, Any]], then: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The rules with one as it was: in its place of today, or of then if it is gone today."""
    at = next((at for at, rule in enumerate(then) if rule["name"] == name), None)
    names = [rule["name"] for rule in now]
    if at is None:
        if name not in names:
            raise NotFound(f"there is no rule '{name}', neither then nor now")
        return [rule for rule in now if rule["name"] != name]
    if name in names:
        return [then[at] if rule["name"] == name else rule for rule in now]
    return [*now[:at], then[at], *now[at:]]


def draft_of(routing: str | Mapping[str, Any]) -> Draft:
    """What somebody wants to import. Raises RoutingError."""
    if isinstance(routing, str):
        if not routing.strip():
            raise RoutingError("empty", "this file", "Choose a file, or paste what `scanpost routing export` printed")
        routing = load_json(routing, "this file")
    elif len(json.dumps(routing)) > LIMIT_BYTES:
        raise RoutingError("larger than 4 MB", "this file", "This is no routing configuration")
    return unmarked(routing, "this file")


def text_of(part: Any) -> str:
    """A part as readable JSON, only what differs from the defaults."""
    data = part.model_dump(mode="json", exclude_defaults=True) if hasattr(part, "model_dump") else part
    return json.dumps(data, indent=2, ensure_ascii=False)


def whole(version: Version) -> Data:
    """As JSON data."""
    return to_data(version.configuration)
