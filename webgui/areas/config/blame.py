"""Who set each setting of one rule, target, group or source last: read out of the versions, back to where it was added.
It must not know HTTP nor change anything.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from protocol.records import record
from protocol.routing.difference import Change
from protocol.routing.versions import RoutingVersions, Version
from webgui.areas.config.history import changes_of

MOST = 500  # versions that are looked through


@record
class Blame:
    """A setting, its value now, and the version that gave it that value. `field` "" stands for all the others: they are as
    the part was added."""

    section: str
    name: str
    field: str
    value: Any
    version: Version

    def plain(self) -> dict[str, Any]:
        """For programs. `time` is seconds since 1970 UTC."""
        return {
            "section": self.section, "name": self.name, "field": self.field, "value": self.value,
            "version": self.version.number, "time": self.version.time, "author": self.version.author,
            "reason": self.version.reason,
        }  # fmt: skip


def blame(versions: RoutingVersions, name: str) -> list[Blame]:
    """Of every part of this name that is in force, the newest change first; [] if there is none."""
    now = versions.current()
    sections = {section for section in ("targets", "groups", "sources") if name in getattr(now.configuration, section)}
    sections |= {"rules"} if any(rule.name == name for rule in now.configuration.rules) else set()
    found: list[Blame] = []
    seen: set[tuple[str, str]] = set()
    for version in islice(versions.history(before=now.number + 1), MOST):
        if not sections:
            break
        for change in changes_of(version, versions):
            if change.name == name and change.section in sections:
                found += _of(change, version, seen)
                if change.kind == "added":
                    sections.discard(change.section)
    return found


def _of(change: Change, version: Version, seen: set[tuple[str, str]]) -> list[Blame]:
    if change.kind == "added":
        return [Blame(change.section, change.name, "", None, version)]
    found = []
    for one in change.fields:
        if (change.section, one.field) not in seen:
            seen.add((change.section, one.field))
            found.append(Blame(change.section, change.name, one.field, one.new, version))
    return found
