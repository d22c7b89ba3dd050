"""`scanpost series`: arrivals: list, show one with everything that happened, and the acts of people on them.
Acts are written down as commands; the router carries them out.
"""

from __future__ import annotations

import time
from typing import Any

import click

from scanpost.asking import opened, routing_of, size, when
from scanpost.choosing import acting, ask, filters, selection_of
from scanpost.common import Options, json_option, pass_options, print_answer, print_json, print_table, say

SHOWN_ANSWERS, MOST_ANSWERS = 20, 100_000  # images of a delivery: in a table, with --json


@click.group()
def series() -> None:
    """Series as they came in: list, show, route, reroute, hold, release, discard, keep.

    \b
    Acts take ids, or filters; then the router finds what matches when it carries them out:
      scanpost series route --source CT1 --since 2h --target archive --reason "second archive"
      scanpost series reroute --rule cardiac --state discarded --dry-run
    """


@series.command("list")
@filters("arrival")
@click.option("--before", type=int, help="Older than this id (the next page).")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@json_option
@pass_options
def list_series(options: Options, before: int | None, limit: int, as_json: bool, **values: Any) -> None:
    """Arrivals, newest first.

    \b
    Examples:
      scanpost series list --state held
      scanpost series list --source CT1 --modality CT --json
    """
    with opened(options, reading=True) as (_, spool):
        rows = spool.arrivals.select(selection_of(values), before=before, limit=limit)
    if not rows and not as_json:
        say("nothing matches")
        return
    columns = ["id", "received", "source", "modality", "images", "size", "state", "why", "reason"]
    print_answer(as_json, rows, columns, [
        [row["id"], when(row["opened"]), row["calling_ae"], row["modality"], row["images"], size(row["bytes"]), row["state"],
         row["why"], row["reason"]] for row in rows])  # fmt: skip


@series.command()
@click.argument("id", type=int)
@json_option
@pass_options
def show(options: Options, id: int, as_json: bool) -> None:
    """Everything about one arrival: images, decisions and why, deliveries, what targets answered other than success."""
    with opened(options, reading=True) as (_, spool):
        story = {**spool.arrivals.story(id), "studies": spool.studies.waits_of(id)}
        for delivery in story["deliveries"]:
            delivery["answers"] = spool.browsing.problems(
                delivery["id"], MOST_ANSWERS if as_json else SHOWN_ANSWERS + 1
            )
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
    print_table(["delivery", "target", "state", "sent", "of", "skipped", "transcoded", "attempts", "cause", "error"],
                [[d["id"], d["target"], d["state"], d["sent"], d["images"], d["skipped"] or "", d["transcoded"] or "",
                  d["attempts"], d["cause"], d["error"]] for d in story["deliveries"]],
                title="\nDeliveries")  # fmt: skip
    _print_answers(story["deliveries"])
    _print_acts(story["acts"])


def _print_answers(deliveries: list[dict[str, Any]]) -> None:
    """Which images a target did not plainly take, and what it said of each (PS3.4 table B.2-1)."""
    from actors.dicom.statuses import describe

    for one in deliveries:
        rows = [[answer["position"], answer["sop_uid"], answer["state"], describe(answer["status"]), answer["comment"]]
                for answer in one["answers"][:SHOWN_ANSWERS]]  # fmt: skip
        if rows:
            title = f"\nAnswers of {one['target']} other than success (delivery {one['id']})"
            print_table(["image", "SOP instance UID", "", "status", "comment"], rows, title=title)
        if len(one["answers"]) > SHOWN_ANSWERS:
            say(f"there are more than these {SHOWN_ANSWERS}; --json lists them")


def _print_acts(acts: list[dict[str, Any]]) -> None:
    """Who did what, when and why, and what came of it."""
    if acts:
        print_table(["act", "time", "by", "what", "on", "why", "outcome"],
                    [[a["command"], when(a["time"]), a["by"], a["kind"],
                      f"delivery {a['delivery']}" if a["delivery"] else "the series", a["reason"], a["outcome"]] for a in acts],
                    title="\nActs of people")  # fmt: skip


@series.command()
@acting("arrival")
@click.option("--target", "targets", multiple=True, required=True, help="Where to; may be given several times.")
@click.option("--priority", type=click.Choice(["urgent", "normal", "offpeak"]), default="normal", show_default=True)
@pass_options
def route(options: Options, targets: tuple[str, ...], priority: str, **values: Any) -> None:
    """Send series to targets, whatever the rules said; also discarded, delivered and held ones.

    \b
    Examples:
      scanpost series route 217500123 --target pacs
      scanpost series route --state discarded --modality MR --since 1d --target research --priority offpeak
    """
    known = routing_of(options.settings()).current().configuration
    for name in targets:
        if name not in known.targets and name not in known.groups:
            names = ", ".join(sorted({*known.targets, *known.groups})) or "none"
            raise click.BadParameter(f"there is no target {name!r} (there are: {names})", param_hint="--target")
    ask(options, "series.route", values, {"targets": list(targets), "priority": priority})


@series.command()
@acting("arrival")
@click.option("--keep-until", "keep_until", required=True, metavar="TIME",
              help="An ISO 8601 time (2027-03-31), a duration from now (90d), or `retention`: no longer than that says.")  # fmt: skip
@pass_options
def keep(options: Options, keep_until: str, **values: Any) -> None:
    """Keep series here at least until then, whatever their retention says; never shorter.

    \b
    Examples:
      scanpost series keep 217500123 --keep-until 2027-03-31 --reason "second reading"
      scanpost series keep --rule research --for-target ai --keep-until 90d
      scanpost series keep 217500123 --keep-until retention
    """
    from scanpost.moments import moment

    wanted = None if keep_until == "retention" else moment(keep_until, time.time(), options.settings().node.zone)
    ask(options, "series.keep", values, {"until": wanted})


def _simple(kind: str, text: str, example: str) -> None:
    @series.command(kind, help=f"{text}\n\n\b\nExample: scanpost series {kind} {example}")
    @acting("arrival")
    @pass_options
    def command(options: Options, **values: Any) -> None:
        ask(options, f"series.{kind}", values)


_simple("reroute", "Let the rules of today decide again: what is held, delivered, discarded, parked or cancelled.",
        "--state discarded --since 1d --reason 'rule was mended'")  # fmt: skip
_simple("hold", "Set series aside until they are released.", "217500123 --reason 'wrong patient'")
_simple("release", "Release held series: their deliveries go on, or the rules decide.", "--source CT1")
_simple("discard", "Discard held series; they are kept for their retention.", "217500123 --reason 'phantom'")
