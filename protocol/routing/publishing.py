"""From somebody's file to the next version: on top of what, with which changes, and what stands against it.

It must not overwrite an edit that the file's author has not seen, nor print anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from protocol.errors import Fault, RoutingConflict, RoutingError
from protocol.records import record
from protocol.routing.checks.findings import Finding
from protocol.routing.checks.ourselves import Ourselves
from protocol.routing.checks.whole import errors_of, examine
from protocol.routing.conflicts import conflict
from protocol.routing.difference import Change, difference
from protocol.routing.model import RoutingConfiguration
from protocol.routing.parse import Draft, build, to_data
from protocol.routing.versions import RoutingVersions, Version

Data = dict[str, Any]
Edit = Callable[[Data], Data]
_TRIES = 20  # of an edit whose author is overtaken each time
_NOBODY: Mapping[str, str] = {}


@record
class Plan:
    """What a file would make of the current version. `note`: something its author should know, or empty."""

    configuration: RoutingConfiguration
    current: Version
    changes: tuple[Change, ...]
    note: str = ""


def mark_of(version: Version) -> str:
    """What an export says about where it comes from: number and content, so that another node's 12 is not ours."""
    content = version.configuration.model_dump(mode="json", exclude_defaults=True)
    text = json.dumps(content, ensure_ascii=False, sort_keys=True)
    return f"{version.number}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def plan(
    versions: RoutingVersions, draft: Draft, file: str, base: int | None = None, only: Sequence[str] = ()
) -> Plan:  # fmt: skip
    """What `draft` would change. `base` and `only` come before what its marks say.

    Raises RoutingError: faults of the file; RoutingConflict: what it would replace was changed since its base.
    """
    current = versions.current()
    sections = tuple(only) or draft.only
    configuration = build(_merged(current, draft, sections, file), file)
    started, note = (base, "") if base is not None else _base(versions, draft.base, current, file)
    if started is not None and started != current.number:
        _refuse_overtaken(versions, started, current, sections, file)
    return Plan(configuration, current, difference(current.configuration, configuration), note)


def _merged(current: Version, draft: Draft, sections: Sequence[str], file: str) -> Data:
    """The file, or where it is about some sections only, those on top of the current version."""
    if not sections:
        return draft.data
    missing = [section for section in sections if section not in draft.data]
    if missing:
        faults = [Fault(section, "missing", "Add it, or leave it out of what is imported") for section in missing]
        raise RoutingError.of(faults, file)
    return to_data(current.configuration) | {section: draft.data[section] for section in sections}


def _base(
    versions: RoutingVersions, mark: str | int | None, current: Version, file: str
) -> tuple[int | None, str]:  # fmt: skip
    """The version that a mark speaks of, None if it is no version of this node."""
    if mark is None:
        return None, ""
    number, _, digest = str(mark).partition("-")
    if not number.isdecimal() or not number.isascii() or len(number) > 12:
        cure = "Leave it as `scanpost routing export` wrote it, or remove it"
        raise RoutingError("says no number of a version", f"{file}: $base", cure)
    try:
        known = versions.get(int(number))
    except RoutingError:
        known = None  # damaged or removed: then it counts as ours if it could be
    foreign = int(number) > current.number if known is None else digest and mark_of(known) != mark
    if foreign:
        return None, f"$base {mark} is no version of this node: imported on top of version {current.number}"
    return int(number), ""


def _refuse_overtaken(
    versions: RoutingVersions, started: int, current: Version, sections: Sequence[str], file: str
) -> None:  # fmt: skip
    try:
        former = versions.get(started).configuration
    except RoutingError as exc:
        raise conflict(started, current, None, file) from exc
    changes = [
        one for one in difference(former, current.configuration) if not sections or one.section in sections
    ]  # fmt: skip
    if changes:
        raise conflict(started, current, changes, file)


def judged(
    plan: Plan, file: str, now: datetime, node: Ourselves | None, strict: bool = False
) -> tuple[Finding, ...]:  # fmt: skip
    """The warnings about a plan. Raises RoutingError: an error among the findings (`strict`: or a warning)."""
    findings = examine(plan.configuration, now, node)
    refusal = errors_of(findings, file, strict)
    if refusal is not None:
        raise refusal
    return findings


# --- small edits


@record
class Edited:
    """An edit that was published; the same version twice where it changed nothing. `findings`: those it brought in."""

    before: Version
    after: Version
    findings: tuple[Finding, ...] = ()


def apply(
    versions: RoutingVersions,
    edit: Edit,
    author: str,
    reason: str,
    now: datetime,
    node: Ourselves | None = None,
    in_use: Mapping[str, str] = _NOBODY,
) -> Edited:
    """Publish a small edit on top of the current version, whoever else publishes at the same time.

    `edit` gets the configuration as JSON data and is asked again on top of what somebody faster published. Findings that
    were there before do not stop it. Raises what `edit` raises, RoutingError, and as `publish` does.
    """
    for _ in range(_TRIES):
        before = versions.current()
        _refuse_unusable(before, versions)
        configuration = build(edit(to_data(before.configuration)), "this edit")
        if configuration == before.configuration:
            return Edited(before, before)
        known = set(examine(before.configuration, now, node))
        fresh = [one for one in examine(configuration, now, node) if one not in known]
        refusal = errors_of(fresh, "this edit")
        if refusal is not None:
            raise refusal
        try:
            after = versions.publish(configuration, author, reason, before.number, in_use)
        except RoutingConflict:
            continue
        return Edited(before, after, tuple(fresh))
    raise RoutingConflict("somebody else keeps publishing", "this edit", "Try again")


def _refuse_unusable(current: Version, versions: RoutingVersions) -> None:
    problems = versions.problems()
    if current.number == 0 and problems:
        cure = "Import a whole file, or see `scanpost routing history`"
        raise RoutingError(f"no version can be used ({problems[0].message})", "this edit", cure)
