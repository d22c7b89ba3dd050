"""`scanpost queue`: deliveries: list them, see why they fail, and act on some or on all that match.
Acts are written down as commands; the router carries them out.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from scanpost.asking import opened, when
from scanpost.choosing import acting, ask, filters, selection_of
from scanpost.common import Options, json_option, pass_options, print_answer, print_json, say

if TYPE_CHECKING:
    from protocol.spool.targets import TargetState


@click.group()
def queue() -> None:
    """Deliveries: list, causes, retry, hold, release, cancel, priority, redirect.

    \b
    Acts take ids, or filters; then the router finds what matches when it carries them out:
      scanpost queue retry --target pacs --cause timeout --reason "PACS was restarted"
      scanpost queue hold --source CT1 --since 2h --dry-run
    """


@queue.command("list")
@filters("delivery")
@click.option("--all", "everything", is_flag=True, help="Also finished ones.")
@click.option("--before", type=int, help="Older than this id (the next page).")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@json_option
@pass_options
def list_queue(
    options: Options, everything: bool, before: int | None, limit: int, as_json: bool, **values: Any
) -> None:  # fmt: skip
    """Deliveries, newest first; without --state the unfinished ones.

    \b
    Examples:
      scanpost queue list --state parked --target pacs
      scanpost queue list --rule cardiac --since 1d --all
    """
    from dataclasses import replace

    selection = selection_of(values)
    if not selection.states and not everything:
        unfinished = ("waiting", "sending", "retrying", "confirming", "parked", "held")
        selection = replace(selection, states=unfinished)
    with opened(options, reading=True) as (_, spool):
        rows = spool.deliveries.select(selection, before=before, limit=limit)
        targets = spool.targets.all()
    columns = ["id", "arrival", "source", "target", "state", "sent", "of", "attempts", "next try", "cause", "error"]
    if not rows and not as_json:
        say("nothing matches")
        return
    print_answer(as_json, rows, columns, [
        [row["id"], row["arrival"], row["calling_ae"], row["target"], row["state"], row["sent"], row["images"], row["attempts"],
         _next(row, targets.get(row["target"])), row["cause"], row["error"]] for row in rows])  # fmt: skip


def _next(row: Mapping[str, Any], target: TargetState | None) -> str:
    """When it is tried next, or who keeps it from that."""
    if row["state"] not in ("waiting", "retrying"):
        return ""
    if target is not None and (paused := target.pause(time.time())):
        return paused if target.until is None else f"{paused} (until {when(target.until)})"
    if row["state"] == "waiting":
        return ""
    if target is None:
        return when(row["due"])
    return f"{'probe ' if target.breaker == 'open' else ''}{when(target.next_try(row['due']))}"


@queue.command()
@click.option("--target", help="Only of this target.")
@json_option
@pass_options
def causes(options: Options, target: str | None, as_json: bool) -> None:
    """Why deliveries do not get on: by target and cause, with what to do about it and the command that lets them go on.

    \b
    Example: scanpost queue causes --target pacs
    """
    from protocol.causes import hint

    with opened(options, reading=True) as (_, spool):
        found = spool.deliveries.causes(target)
    told = []
    for one in found:
        words = hint(one.cause)
        told.append(
            {
                **one.__dict__,
                "means": words.means,
                "first": words.first,
                "then": _then(one.target, one.cause, one.state),
            }
        )
    if as_json:
        print_json(told)
        return
    if not told:
        say("no delivery is kept from its target")
    for row in told:
        click.echo(f"{row['target']}: {row['count']} {row['state']}, {row['cause']}")
        click.echo(f"  {row['means']} {row['first']}")
        click.echo(f"  oldest {when(row['oldest'])}, such as delivery {row['example']}")
        click.echo(f"  then: {row['then']}\n")


def _then(target: str, cause: str, state: str) -> str:
    if cause == "target_removed":
        return f"scanpost queue redirect --target {target} --to OTHER"
    verb = "release" if state == "held" else "retry"
    return f"scanpost queue {verb} --target {target} --cause {cause} --state {state}"


_all_parked = click.option("--all-parked", is_flag=True, help="All parked ones; the same as --state parked.")


def _simple(kind: str, text: str, example: str) -> None:
    @queue.command(kind, help=f"{text}\n\n\b\nExample: scanpost queue {kind} {example}")
    @acting("delivery")
    @_all_parked
    @pass_options
    def command(options: Options, **values: Any) -> None:
        ask(options, f"queue.{kind}", values)


_simple(
    "retry", "Try again at once; attempts and age count anew.", "--all-parked --target pacs --reason 'PACS is back'"
)
_simple("hold", "Set aside until released.", "--target pacs --reason 'PACS is being moved'")
_simple("release", "Release what is held.", "--target pacs")
_simple("cancel", "Give up; the arrival stays and can be routed again.", "--source CT1 --since 1h --dry-run")


@queue.command()
@click.argument("level", type=click.Choice(["urgent", "normal", "offpeak"]))
@acting("delivery")
@_all_parked
@pass_options
def priority(options: Options, level: str, **values: Any) -> None:
    """Change the order: urgent, normal or offpeak.

    \b
    Example: scanpost queue priority urgent 217500130
    """
    ask(options, "queue.priority", values, {"priority": level})


@queue.command()
@acting("delivery")
@_all_parked
@click.option("--to", required=True, help="The target or group where they go instead; they begin anew there.")
@pass_options
def redirect(options: Options, to: str, **values: Any) -> None:
    """Send elsewhere what waits, is parked or held, as when a PACS was replaced.

    \b
    Examples:
      scanpost queue redirect --target old_pacs --to pacs --reason "PACS replaced"
      scanpost queue redirect 217500130 --to archive
    """
    ask(options, "queue.redirect", values, {"to": to})
