"""`scanpost routing` import, check, rollback, undo, mode: the commands that make a version current, or say if one could.
They must not overwrite what somebody else published meanwhile.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from protocol.errors import RoutingError
from scanpost.asking import routing_of, who
from scanpost.audited import audited_changes
from scanpost.common import Options, json_option, pass_options, print_json, say
from scanpost.publishing import (
    FILE,
    edit,
    in_use,
    now_of,
    published,
    read_draft,
    refused,
    tell_changes,
)

if TYPE_CHECKING:
    from protocol.routing.checks.findings import Finding
    from protocol.routing.publishing import Plan
    from protocol.routing.versions import RoutingVersions, Version

_REASON = click.option("--reason", "-r", default="", help="Why, for the history.")
_ONLY = click.option(
    "--only", multiple=True, type=click.Choice(["targets", "groups", "sources", "rules"]),
    help="Take only this section of FILE, the others from the current version.",
)  # fmt: skip
_STRICT = click.option("--strict", is_flag=True, help="Refuse warnings, too.")


def _plan(
    options: Options, versions: RoutingVersions, file: Path, base: int | None, only: tuple[str, ...], strict: bool
) -> tuple[Plan, tuple[Finding, ...]]:
    from protocol.routing.checks.ourselves import ourselves
    from protocol.routing.publishing import judged, plan

    settings = options.settings()
    name, draft = read_draft(file)
    planned = plan(versions, draft, name, base, only)
    return planned, judged(planned, name, now_of(settings), ourselves(settings), strict)


@click.command("import")
@click.argument("file", type=FILE)
@_REASON
@click.option("--base", type=int, help="The version that FILE started from (default: what its $base says).")
@_ONLY
@_STRICT
@click.option("--dry-run", is_flag=True, help="Tell what would change, change nothing.")
@json_option
@pass_options
def import_(
    options: Options, file: Path, reason: str, base: int | None, only: tuple[str, ...], strict: bool, dry_run: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Make FILE the current version. Refused (exit 78, one line for each fault) if anything in it is wrong.

    \b
    Examples:
      scanpost routing import routing.json --reason "new PACS"
      scanpost routing import rules.json --only rules --dry-run
    """
    versions = routing_of(options.settings())
    try:
        planned, findings = _plan(options, versions, file, base, only, strict)
        version = planned.current
        if not dry_run:
            version = versions.publish(planned.configuration, who(), reason, version.number, in_use(options))
            audited_changes(options.settings(), planned.changes, version.number, reason)
    except RoutingError as exc:
        raise refused(exc, as_json) from exc
    if as_json:
        print_json(published(version, planned.changes, findings) | {"dry_run": dry_run})
    _tell(planned, findings)
    if dry_run:
        say(f"version {version.number} stays current: this was a dry run")
    else:
        _tell_current(version, file)


def _tell(planned: Plan, findings: tuple[Finding, ...]) -> None:
    if planned.note:
        say(f"note: {planned.note}")
    for finding in findings:
        say(finding.line())
    tell_changes(planned.changes)


def _tell_current(version: Version, file: Path) -> None:
    from protocol.routing.publishing import mark_of

    say(f"version {version.number} is current")
    if str(file) != "-" and b'"$base"' in file.read_bytes():
        say(f'to go on editing {file.name}, export it again or set "$base": "{mark_of(version)}" in it')


@click.command()
@click.argument("file", type=FILE)
@_ONLY
@_STRICT
@json_option
@pass_options
def check(options: Options, file: Path, only: tuple[str, ...], strict: bool, as_json: bool) -> None:
    """Exit 0 if FILE could be imported, else 78 with one line for each fault: file, place, cure. Warnings are told, too."""
    versions = routing_of(options.settings())
    try:
        planned, findings = _plan(options, versions, file, versions.current().number, only, strict)
    except RoutingError as exc:
        raise refused(exc, as_json) from exc
    rules, targets = len(planned.configuration.rules), len(planned.configuration.targets)
    if as_json:
        told = [finding.to_data() for finding in findings]
        print_json({"ok": True, "rules": rules, "targets": targets, "failed_tests": [], "findings": told})
    for finding in findings:
        say(finding.line(file.name))
    say(f"{file.name}: good, {rules} rules, {targets} targets")


@click.command()
@click.argument("number", type=int)
@_REASON
@click.option("--dry-run", is_flag=True, help="Tell what would change, change nothing.")
@json_option
@pass_options
def rollback(options: Options, number: int, reason: str, dry_run: bool, as_json: bool) -> None:
    """Make an earlier version current again, as a new version."""
    versions = routing_of(options.settings())
    _back(options, versions, versions.get(number), reason or f"rollback to {number}", dry_run, as_json)


@click.command()
@_REASON
@click.option("--dry-run", is_flag=True, help="Tell what would change, change nothing.")
@json_option
@pass_options
def undo(options: Options, reason: str, dry_run: bool, as_json: bool) -> None:
    """Take the current version back: what was current before it is published again. A second undo takes back the first."""
    versions = routing_of(options.settings())
    current = versions.current()
    before = versions.before(current)
    _back(options, versions, before, reason or f"undo of {current.number}", dry_run, as_json)


def _back(
    options: Options, versions: RoutingVersions, earlier: Version, reason: str, dry_run: bool, as_json: bool
) -> None:
    from protocol.routing.difference import difference

    current = versions.current()
    changes = difference(current.configuration, earlier.configuration)
    tell_changes(changes)
    version = current
    if not dry_run:
        version = versions.publish(earlier.configuration, who(), reason, current.number, in_use(options))
        audited_changes(options.settings(), changes, version.number, reason)
    if as_json:
        print_json(published(version, changes) | {"dry_run": dry_run})
    if dry_run:
        say(f"version {current.number} stays current: this was a dry run")
    else:
        say(f"version {version.number} is current, equal to version {earlier.number}")


@click.command()
@click.argument("rule")
@click.argument("mode", type=click.Choice(["active", "shadow", "off"]))
@click.option("--off-until", metavar="DAY", help="Off until this day (or time with zone), then in that mode by itself.")
@click.option("--reason", "-r", required=True, help="Why, for the history.")
@json_option
@pass_options
def mode(options: Options, rule: str, mode: str, off_until: str | None, reason: str, as_json: bool) -> None:
    """Switch one rule to active, shadow (evaluated and counted only) or off.

    \b
    Examples: scanpost routing mode cardiac shadow --reason "is tried first"
              scanpost routing mode cardiac active --off-until 2026-12-31 --reason "the PACS moves house"
    """
    from protocol.routing.edits import set_mode

    if off_until and mode == "off":
        raise click.UsageError("what is off stays off: say active or shadow, which it is to be afterwards")
    edit(options, set_mode(rule, mode, off_until), reason, as_json)
