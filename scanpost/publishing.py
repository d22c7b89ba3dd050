"""What the commands share that publish a version of the routing configuration: reading files, telling what changed.
It must not decide what may be published; protocol/routing does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.errors import RoutingError, SpoolMissing
from scanpost.asking import opened, routing_of, who
from scanpost.audited import audited_changes
from scanpost.common import EXIT_CONFIGURATION, Options, print_json, say

if TYPE_CHECKING:
    from protocol.routing.checks.findings import Finding
    from protocol.routing.difference import Change
    from protocol.routing.parse import Draft
    from protocol.routing.publishing import Edit
    from protocol.routing.versions import Version
    from protocol.settings import Settings

FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


def read_draft(file: Path) -> tuple[str, Draft]:
    """The name of a file (`-`: standard input) for messages, and what is in it. Raises RoutingError."""
    from protocol.routing.parse import load_json, unmarked

    name = "standard input" if str(file) == "-" else file.name
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as exc:
        raise RoutingError(f"cannot be read: {exc.strerror}", name) from exc
    return name, unmarked(load_json(data, name), name)


def in_use(options: Options) -> dict[str, str]:
    """Targets and groups that may not be removed; a node that never ran needs none."""
    try:
        with opened(options, reading=True) as (_, spool):
            return spool.deliveries.targets_in_use()
    except SpoolMissing:
        return {}


def now_of(settings: Settings) -> datetime:
    """The time, in the zone in which rules expire."""
    return datetime.now().astimezone(settings.node.zone)


def published(version: Version, changes: Sequence[Change], findings: Sequence[Finding] = ()) -> dict[str, Any]:
    """The JSON document of a command that published a version."""
    return {
        "version": version.number,
        "changes": [change.to_data() for change in changes],
        "findings": [finding.to_data() for finding in findings],
    }


def tell_changes(changes: Sequence[Change]) -> None:
    """What changed, on stderr: it is a message about what a command did."""
    from protocol.routing.difference import lines

    for line in lines(changes) or ["nothing changed"]:
        say(line)


def refused(error: RoutingError, as_json: bool) -> click.exceptions.Exit:
    """Tell every fault, one a line on stderr and with `--json` as a list on stdout; the exit to raise."""
    if as_json:
        faults = [
            {"level": "error", "place": one.place, "message": one.message, "cure": one.cure} for one in error.faults
        ]
        print_json({"ok": False, "findings": faults, "more": error.more})
    for line in error.lines():
        say(line)
    return click.exceptions.Exit(EXIT_CONFIGURATION)


def edit(options: Options, change: Edit, reason: str, as_json: bool) -> None:
    """Publish a small edit and tell what it changed."""
    from protocol.routing.checks.ourselves import ourselves
    from protocol.routing.difference import difference
    from protocol.routing.publishing import apply

    settings = options.settings()
    versions = routing_of(settings)
    done = apply(versions, change, who(), reason, now_of(settings), ourselves(settings), in_use(options))
    changes = difference(done.before.configuration, done.after.configuration)
    if changes:
        audited_changes(settings, changes, done.after.number, reason)
    if as_json:
        print_json(published(done.after, changes, done.findings))
    for finding in done.findings:
        say(finding.line())
    tell_changes(changes)
    say(f"version {done.after.number} " + ("is current" if changes else "stays current"))
