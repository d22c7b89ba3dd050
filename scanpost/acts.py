"""`scanpost acts`: what people (and programs) asked of this node: who, when, why, and what came of it; taking one back.

The spool has them as long as what they touched; the ledger keeps their events.
"""

from __future__ import annotations

from typing import Any

import click

from scanpost.asking import act, how_far, opened, since, when
from scanpost.common import Options, json_option, pass_options, print_answer, print_json, print_table, say


@click.group()
def acts() -> None:
    """What people did: list, show, undo, stop."""


@acts.command("list")
@click.option("--by", help="Only of this person.")
@click.option("--kind", help="Only of this kind, or group of kinds: queue.retry, queue, series, target, ...")
@click.option("--state", type=click.Choice(["new", "done", "failed"]))
@click.option("--since", "since_text", help="A duration (2h30m) or an ISO 8601 time.")
@click.option("--before", type=int, help="Older than this id (the next page).")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@json_option
@pass_options
def list_acts(options: Options, since_text: str | None, as_json: bool, **wanted: Any) -> None:
    """Acts, newest first.

    \b
    Example: scanpost acts list --by anna --since 1d --kind queue
    """
    moment = None if since_text is None else since(since_text, "--since")
    with opened(options, reading=True) as (_, spool):
        found = [_document(one) for one in spool.commands.list(since=moment, **wanted)]
    if not found and not as_json:
        say("nobody asked for anything")
        return
    print_answer(as_json, found, ["id", "time", "by", "what", "state", "why", "answer"], [
        [one["id"], when(one["asked"]), one["by"], one["kind"], one["state"], one["reason"], one["answer"]]
        for one in found])  # fmt: skip


@acts.command()
@click.argument("id", type=int)
@json_option
@pass_options
def show(options: Options, id: int, as_json: bool) -> None:
    """One act with all it was asked with, and how far it is.

    \b
    Example: scanpost acts show 217500777
    """
    with opened(options, reading=True) as (_, spool):
        found = _document(spool.commands.find(id))
    if as_json:
        print_json(found)
        return
    times = {name: when(found[name]) for name in ("asked", "answered")}
    print_table(["", ""], [[name, value] for name, value in {**found, **times}.items()])


@acts.command()
@click.argument("id", type=int)
@click.option("--reason", default="undone", show_default=True, help="Why: kept with the act.")
@json_option
@pass_options
def undo(options: Options, id: int, reason: str, as_json: bool) -> None:
    """Take an act back where it was done: hold, release, discard (they are held then), keep, priority.

    \b
    Example: scanpost acts undo 217500777
    """
    from protocol.acts import undo_of

    with opened(options, reading=True) as (_, spool):
        found = spool.commands.find(id)
    kind, arguments = undo_of(found.kind, id)
    if found.state == "new":
        act(options, "act.stop", {"act": id, "reason": reason}, False)
    act(options, kind, {**arguments, "reason": reason}, as_json)


@acts.command()
@click.argument("id", type=int)
@click.option("--reason", default="", help="Why: kept with the act.")
@json_option
@pass_options
def stop(options: Options, id: int, reason: str, as_json: bool) -> None:
    """End a long act where it is; what it did stays.

    \b
    Example: scanpost acts stop 217500777 --reason "wrong filter"
    """
    act(options, "act.stop", {"act": id, "reason": reason}, as_json)


def _document(command: Any) -> dict[str, Any]:
    return {
        "id": command.id, "asked": command.asked, "by": command.by, "kind": command.kind, "reason": command.reason,
        "state": command.state, "answered": command.answered, "answer": command.answer,
        "arguments": dict(command.arguments), **how_far(command),
    }  # fmt: skip
