"""`scanpost queue`: deliveries: list them and retry, hold, release, cancel, redirect or re-prioritise them, one or many.
Acts are written down as commands; the router carries them out, all or none.
"""

from __future__ import annotations

from typing import Any

import click

from scanpost.asking import act, opened, when
from scanpost.common import Options, json_option, pass_options, print_answer


@click.group()
def queue() -> None:
    """Deliveries: list, retry, hold, release, cancel, priority, redirect."""


@queue.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    help="waiting, sending, retrying, confirming, parked, held, delivered, cancelled.",
)
@click.option("--all", "everything", is_flag=True, help="Also finished ones.")
@click.option("--target", help="Only to this target.")
@click.option("--before", type=int, help="Older than this id (the next page).")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@json_option
@pass_options
def list_queue(options: Options, states: tuple[str, ...], everything: bool, as_json: bool, **filters: Any) -> None:
    """Deliveries, newest first; without filters the unfinished ones.

    \b
    Example: scanpost queue list --state parked --target pacs
    """
    unfinished = ("waiting", "sending", "retrying", "confirming", "parked", "held")
    with opened(options) as (_, spool):
        rows = spool.deliveries.list(states=states or (() if everything else unfinished), **filters)
    columns = ["id", "arrival", "source", "target", "state", "sent", "of", "attempts", "next try", "error"]
    print_answer(as_json, rows, columns, [
        [row["id"], row["arrival"], row["calling_ae"], row["target"], row["state"], row["sent"], row["images"], row["attempts"],
         when(row["due"]) if row["state"] == "retrying" else "", row["error"]] for row in rows])  # fmt: skip


def _which(ids: tuple[int, ...], target: str | None, all_parked: bool) -> dict[str, Any]:
    chosen = [bool(ids), target is not None, all_parked]
    if not any(chosen) or (ids and sum(chosen) > 1):
        raise click.UsageError("name deliveries by their ids, or --target T, or --all-parked")
    return {"ids": list(ids), "target": target, "all_parked": all_parked}


def _simple(kind: str, text: str) -> None:
    @queue.command(kind, help=text)
    @click.argument("ids", type=int, nargs=-1)
    @click.option("--target", help="All to this target that can do it.")
    @click.option("--all-parked", is_flag=True, help="All parked ones.")
    @click.option("--reason", default="", help="Kept with the deliveries.")
    @json_option
    @pass_options
    def command(
        options: Options, ids: tuple[int, ...], target: str | None, all_parked: bool, reason: str, as_json: bool
    ) -> None:
        act(options, f"queue.{kind}", {**_which(ids, target, all_parked), "reason": reason}, as_json)


_simple("retry", "Try again at once; attempts and age count anew.")
_simple("hold", "Set aside until released.")
_simple("release", "Release what is held.")
_simple("cancel", "Give up; the arrival stays and can be routed again.")


@queue.command()
@click.argument("level", type=click.Choice(["urgent", "normal", "offpeak"]))
@click.argument("ids", type=int, nargs=-1)
@click.option("--target", help="All to this target.")
@json_option
@pass_options
def priority(options: Options, level: str, ids: tuple[int, ...], target: str | None, as_json: bool) -> None:
    """Change the order: urgent, normal or offpeak.

    \b
    Example: scanpost queue priority urgent 217500130
    """
    act(options, "queue.priority", {**_which(ids, target, False), "priority": level}, as_json)


@queue.command()
@click.argument("ids", type=int, nargs=-1)
@click.option("--target", help="All that are for this target and not being sent.")
@click.option("--all-parked", is_flag=True, help="All parked ones.")
@click.option("--to", required=True, help="The target or group where they go instead; they begin anew there.")
@click.option("--reason", default="", help="Kept with the deliveries.")
@json_option
@pass_options
def redirect(
    options: Options, ids: tuple[int, ...], target: str | None, all_parked: bool, to: str, reason: str, as_json: bool
) -> None:  # fmt: skip
    """Send elsewhere what waits, is parked or held, as when a PACS was replaced.

    \b
    Examples:
      scanpost queue redirect --target old_pacs --to pacs --reason "PACS replaced"
      scanpost queue redirect 217500130 --to archive
    """
    act(options, "queue.redirect", {**_which(ids, target, all_parked), "to": to, "reason": reason}, as_json)
