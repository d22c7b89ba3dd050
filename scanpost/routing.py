"""`scanpost routing`: the versioned routing configuration. This file has the group and the commands that only read.
They must not change anything; those that publish are in `routing_import`.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scanpost.asking import routing_of, when
from scanpost.common import Options, json_option, pass_options, print_answer, print_json
from scanpost.publishing import read_draft
from scanpost.routing_import import check, import_, mode, rollback, undo

if TYPE_CHECKING:
    from protocol.routing.model import RoutingConfiguration
    from protocol.routing.versions import RoutingVersions, Version


@click.group()
def routing() -> None:
    """The routing configuration: targets, groups, sources, rules; in versions."""


for _command in (import_, check, rollback, undo, mode):
    routing.add_command(_command)


@routing.command()
@click.option("--targets", is_flag=True, help="Only the targets; options may be joined.")
@click.option("--groups", is_flag=True, help="Only the groups.")
@click.option("--sources", is_flag=True, help="Only the sources.")
@click.option("--rules", is_flag=True, help="Only the rules.")
@pass_options
def export(options: Options, **wanted: bool) -> None:
    """Print the current version, as `import` reads it. "$base" in it tells `import` what you started from.

    \b
    Examples:
      scanpost routing export > routing.json
      scanpost routing export --rules | ssh other-node scanpost routing import -
    """
    versions = routing_of(options.settings())
    _print(versions.current(), tuple(section for section, is_wanted in wanted.items() if is_wanted))


@routing.command()
@click.argument("number", type=int)
@pass_options
def show(options: Options, number: int) -> None:
    """Print one version."""
    _print(routing_of(options.settings()).get(number))


def _print(version: Version, only: tuple[str, ...] = ()) -> None:
    from protocol.routing.parse import dump
    from protocol.routing.publishing import mark_of

    click.echo(dump(version.configuration, mark_of(version), only), nl=False)


@routing.command()
def schema() -> None:
    """Print the JSON Schema of routing.json, for editors that check while you type."""
    from protocol.routing.schema import schema_text

    click.echo(schema_text(), nl=False)


@routing.command()
@json_option
@pass_options
def history(options: Options, as_json: bool) -> None:
    """All versions, newest first, with what each changed."""
    from protocol.routing.difference import summary

    versions = routing_of(options.settings())
    document = [
        {"number": v.number, "time": v.time, "author": v.author, "reason": v.reason, "parent": v.parent,
         "changes": summary(_changes_of(v, versions))} for v in versions.history()
    ]  # fmt: skip
    rows = [[v["number"], when(v["time"]), v["author"], v["reason"], v["changes"]] for v in document]
    print_answer(as_json, document, ["version", "time", "author", "reason", "changed"], rows)


def _changes_of(version: Version, versions: RoutingVersions) -> Any:
    from protocol.errors import RoutingError
    from protocol.routing.difference import difference

    try:
        return difference(versions.get(version.parent).configuration, version.configuration)
    except RoutingError:  # damaged by hand: `problems` tells
        return ()


@routing.command()
@click.argument("what", nargs=-1)
@click.option("--text", "as_text", is_flag=True, help="Line by line, as diff does.")
@json_option
@pass_options
def diff(options: Options, what: tuple[str, ...], as_text: bool, as_json: bool) -> None:
    """What changed: between versions A and B, from A to the current one, from the current one to FILE; without
    arguments, by the current one.

    \b
    Examples:
      scanpost routing diff 3 5
      scanpost routing diff routing.json
    """
    from protocol.routing.difference import difference, lines

    versions = routing_of(options.settings())
    (old_name, old), (new_name, new) = _sides(versions, what)
    if as_text:
        click.echo("\n".join(_text_diff(old_name, old, new_name, new)))
        return
    changes = difference(old, new)
    if as_json:
        print_json({"from": old_name, "to": new_name, "changes": [change.to_data() for change in changes]})
        return
    for line in [f"{old_name} -> {new_name}", *(lines(changes) or ["nothing changed"])]:
        click.echo(line)


_Side = tuple[str, "RoutingConfiguration"]


def _sides(versions: RoutingVersions, what: tuple[str, ...]) -> tuple[_Side, _Side]:
    current = versions.current()
    if not what:
        return _side(versions, str(current.parent)), _named(current)
    if len(what) == 2:
        return _side(versions, what[0]), _side(versions, what[1])
    if len(what) > 2:
        raise click.UsageError("diff takes two versions or files at most")
    one = _side(versions, what[0])
    return (one, _named(current)) if what[0].isdecimal() else (_named(current), one)


def _side(versions: RoutingVersions, word: str) -> _Side:
    """A version by its number, or a file; one that is about some sections only counts on top of the current version."""
    from protocol.routing.publishing import plan

    if word.isdecimal():
        return _named(versions.get(int(word)))
    if word != "-" and not Path(word).is_file():
        raise click.BadParameter(f"{word!r} is neither the number of a version nor a file")
    name, draft = read_draft(Path(word))
    return name, plan(versions, draft, name, versions.current().number).configuration


def _named(version: Version) -> _Side:
    return f"version {version.number}", version.configuration


def _text_diff(old_name: str, old: RoutingConfiguration, new_name: str, new: RoutingConfiguration) -> list[str]:
    from protocol.routing.parse import dump

    before, after = (dump(one).splitlines() for one in (old, new))
    return list(difflib.unified_diff(before, after, old_name, new_name, lineterm=""))
