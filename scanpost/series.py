"""`scanpost series`: arrivals: list, show one with everything that happened, and the acts of people on them.
Acts are written down as commands; the router carries them out.
"""

from __future__ import annotations

from typing import Any

import click

from scanpost.asking import act, opened, routing_of, size, when
from scanpost.common import Options, json_option, pass_options, print_answer, print_json, print_table


@click.group()
def series() -> None:
    """Series as they came in: list, show, route, hold, release, discard."""


@series.command("list")
@click.option("--state", help="open, closed, waiting, held, in_delivery, delivered, discarded, deleted.")
@click.option("--source", "calling_ae", help="AE title of the sender.")
@click.option("--modality", help="CT, MR, ...")
@click.option("--study", "study_uid", help="Study Instance UID.")
@click.option("--series", "series_uid", help="Series Instance UID.")
@click.option("--before", type=int, help="Older than this id (the next page).")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@json_option
@pass_options
def list_series(options: Options, as_json: bool, **filters: Any) -> None:
    """Arrivals, newest first.

    \b
    Examples:
      scanpost series list --state held
      scanpost series list --source CT1 --modality CT --json
    """
    with opened(options) as (_, spool):
        rows = spool.arrivals.list(**filters)
    columns = ["id", "received", "source", "modality", "images", "size", "state", "why", "reason"]
    print_answer(as_json, rows, columns, [
        [row["id"], when(row["opened"]), row["calling_ae"], row["modality"], row["images"], size(row["bytes"]), row["state"],
         row["why"], row["reason"]] for row in rows])  # fmt: skip


@series.command()
@click.argument("id", type=int)
@json_option
@pass_options
def show(options: Options, id: int, as_json: bool) -> None:
    """Everything about one arrival: images, decisions and why, deliveries."""
    with opened(options) as (_, spool):
        story = {**spool.arrivals.story(id), "studies": spool.studies.waits_of(id)}
    if as_json:
        print_json(story)
        return
    print_table(["", ""], [[key, when(value) if key in ("opened", "closed", "since", "last_image") else value]
                           for key, value in story["arrival"].items()])  # fmt: skip
    print_table(["decision", "time", "version", "outcome", "reason"],
                [[d["id"], when(d["time"]), d["revision"], d["outcome"], d["reason"]] for d in story["decisions"]],
                title="\nDecisions")  # fmt: skip
    if story["studies"]:
        print_table(["study rule", "state", "waits since", "result", "why"],
                    [[w["rule"], w["state"], when(w["opened"]), w["result"], w["why"]] for w in story["studies"]],
                    title="\nStudy rules")  # fmt: skip
    print_table(["delivery", "target", "state", "sent", "of", "transcoded", "attempts", "error"],
                [[d["id"], d["target"], d["state"], d["sent"], d["images"], d["transcoded"] or "", d["attempts"], d["error"]]
                 for d in story["deliveries"]],
                title="\nDeliveries")  # fmt: skip


@series.command()
@click.argument("id", type=int)
@click.option("--target", "targets", multiple=True, required=True, help="Where to; may be given several times.")
@json_option
@pass_options
def route(options: Options, id: int, targets: tuple[str, ...], as_json: bool) -> None:
    """Send an arrival to targets, whatever the rules said; also discarded, delivered and held ones.

    \b
    Example: scanpost series route 217500123 --target pacs
    """
    known = routing_of(options.settings()).current().configuration
    for name in targets:
        if name not in known.targets and name not in known.groups:
            names = ", ".join(sorted({*known.targets, *known.groups})) or "none"
            raise click.BadParameter(f"there is no target {name!r} (there are: {names})", param_hint="--target")
    act(options, "series.route", {"arrival": id, "targets": list(targets)}, as_json)


def _simple(kind: str, text: str) -> None:
    @series.command(kind, help=text)
    @click.argument("id", type=int)
    @click.option("--reason", default="", help="Kept with the arrival.")
    @json_option
    @pass_options
    def command(options: Options, id: int, reason: str, as_json: bool) -> None:
        act(options, f"series.{kind}", {"arrival": id, "reason": reason}, as_json)


_simple("reroute", "Let the rules decide again.")
_simple("hold", "Set an arrival aside until it is released.")
_simple("release", "Release a held arrival: its deliveries go on, or the rules decide.")
_simple("discard", "Discard a held arrival; it is kept for its retention.")
