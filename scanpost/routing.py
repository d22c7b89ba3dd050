"""`scanpost routing`: the versioned routing configuration: import, export, history, check, rollback.
Nothing invalid ever becomes current; every version says who, when and why.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from protocol.errors import SpoolMissing
from scanpost.asking import opened, routing_of, when, who
from scanpost.common import EXIT_CONFIGURATION, Options, json_option, pass_options, print_answer, print_json, say

if TYPE_CHECKING:
    from protocol.routing.model import RoutingConfiguration

_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


@click.group()
def routing() -> None:
    """The routing configuration: targets, groups, sources, rules; in versions."""


def _read(file: Path) -> RoutingConfiguration:
    import sys

    from protocol.routing.parse import parse

    if str(file) == "-":
        return parse(sys.stdin.buffer.read(), "standard input")
    return parse(file.read_bytes(), file.name)


def _failed_tests(configuration: RoutingConfiguration) -> list[str]:
    return [f"rule {rule.name}: {text}" for rule in configuration.rules for text in rule.failed_tests()]


def _in_use(options: Options) -> dict[str, str]:
    """Targets that may not be removed; a node that never ran needs none."""
    try:
        with opened(options) as (_, spool):
            return spool.deliveries.targets_in_use()
    except SpoolMissing:
        return {}


@routing.command("import")
@click.argument("file", type=_FILE)
@click.option("--reason", "-r", default="", help="Why, for the history.")
@json_option
@pass_options
def import_(options: Options, file: Path, reason: str, as_json: bool) -> None:
    """Make FILE the current version. Refused (exit 78, one line) if anything in it is wrong.

    \b
    Example: scanpost routing import routing.json --reason "new PACS"
    """
    configuration = _read(file)
    versions = routing_of(options.settings())
    version = versions.publish(configuration, who(), reason, versions.current().number, in_use=_in_use(options))
    if as_json:
        print_json({"version": version.number})
    say(f"version {version.number} is current")


@routing.command()
@pass_options
def export(options: Options) -> None:
    """Print the current version, as `import` reads it."""
    from protocol.routing.parse import dump

    click.echo(dump(routing_of(options.settings()).current().configuration))


@routing.command()
@json_option
@pass_options
def history(options: Options, as_json: bool) -> None:
    """All versions, newest first."""
    versions = sorted(routing_of(options.settings()).history(), key=lambda version: -version.number)
    rows = [[v.number, when(v.time), v.author, v.reason] for v in versions]
    print_answer(as_json, [{"number": v.number, "time": v.time, "author": v.author, "reason": v.reason, "parent": v.parent}
                           for v in versions], ["version", "time", "author", "reason"], rows)  # fmt: skip


@routing.command()
@click.argument("number", type=int)
@pass_options
def show(options: Options, number: int) -> None:
    """Print one version."""
    from protocol.routing.parse import dump

    click.echo(dump(routing_of(options.settings()).get(number).configuration))


@routing.command()
@click.argument("a", type=int)
@click.argument("b", type=int)
@pass_options
def diff(options: Options, a: int, b: int) -> None:
    """What changed from version A to version B."""
    from protocol.routing.parse import dump

    versions = routing_of(options.settings())
    old, new = (dump(versions.get(number).configuration).splitlines() for number in (a, b))
    click.echo("\n".join(difflib.unified_diff(old, new, f"version {a}", f"version {b}", lineterm="")))


@routing.command()
@click.argument("number", type=int)
@click.option("--reason", "-r", default="", help="Why, for the history.")
@pass_options
def rollback(options: Options, number: int, reason: str) -> None:
    """Make an earlier version current again, as a new version."""
    with opened(options) as (settings, spool):
        versions = routing_of(settings)
        version = versions.rollback(
            number, who(), reason or f"rollback to {number}", in_use=spool.deliveries.targets_in_use()
        )
    say(f"version {version.number} is current, equal to version {number}")


@routing.command()
@click.argument("file", type=_FILE)
@json_option
def check(file: Path, as_json: bool) -> None:
    """Exit 0 if FILE could be imported, else 78 with one line: file, place, cure."""
    configuration = _read(file)
    failed = _failed_tests(configuration)
    if as_json:
        print_json(
            {
                "ok": not failed,
                "rules": len(configuration.rules),
                "targets": len(configuration.targets),
                "failed_tests": failed,
            }
        )
    for text in failed:
        say(text)
    if failed:
        raise click.exceptions.Exit(EXIT_CONFIGURATION)
    say(f"{file.name}: good, {len(configuration.rules)} rules, {len(configuration.targets)} targets")
