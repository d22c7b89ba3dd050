"""`scanpost commitment`: storage commitment: what scanners asked of us, what we asked of targets; report again.
Acts are written down as commands; the router carries them out.
"""

from __future__ import annotations

from typing import Any

import click

from scanpost.asking import act, opened, when
from scanpost.common import Options, json_option, pass_options, print_answer, print_json, print_table

REASONS = {
    0x0000: "committed",
    0x0110: "processing failure",
    0x0112: "no such image",
    0x0119: "another SOP class",
    0x0122: "SOP class not supported",
    0x0131: "transaction UID in use",
    0x0213: "resource limitation",
}


@click.group()
def commitment() -> None:
    """Storage commitment: list, show, retry; targets."""


@commitment.command("list")
@click.option("--state", "states", multiple=True, help="waiting, answered, reported, given_up.")
@click.option("--source", "calling_ae", help="Only of this calling AE title.")
@click.option("--before", type=int, help="Older than this id (the next page).")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@json_option
@pass_options
def list_requests(options: Options, as_json: bool, states: tuple[str, ...], **filters: Any) -> None:
    """What scanners asked us to take responsibility for, newest first.

    \b
    Example: scanpost commitment list --state given_up
    """
    with opened(options, reading=True) as (_, spool):
        rows = spool.commitments.list(states=states, **filters)
    columns = ["id", "source", "state", "images", "failed", "asked", "answered", "attempts", "next try", "error"]
    print_answer(as_json, rows, columns, [
        [row["id"], row["calling_ae"], row["state"], row["images"], "" if row["answered"] is None else row["failed"],
         when(row["asked"]), when(row["answered"]), row["attempts"],
         when(row["due"]) if row["state"] == "answered" else "", row["error"]] for row in rows])  # fmt: skip


@commitment.command()
@click.argument("id", type=int)
@json_option
@pass_options
def show(options: Options, id: int, as_json: bool) -> None:
    """One request with each image and what became of it."""
    with opened(options, reading=True) as (_, spool):
        request = spool.commitments.show(id)
    if as_json:
        print_json(request)
        return
    print_table(["", ""], [[name, request[name]] for name in ("id", "calling_ae", "transaction_uid", "state", "error")])
    print_table(["SOP instance UID", ""], [[one["sop_uid"], _words(one["reason"])] for one in request["images"]])


def _words(reason: int | None) -> str:
    if reason is None:
        return "waiting"
    return REASONS.get(reason, "failed") + (f" ({reason:04X})" if reason else "")


@commitment.command()
@click.argument("id", type=int)
@json_option
@pass_options
def retry(options: Options, id: int, as_json: bool) -> None:
    """Report an answer (again) at once; also one that was given up or that the scanner lost."""
    act(options, "commitment.retry", {"commitment": id}, as_json)


@commitment.command()
@click.option("--target", help="Only of this target.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@json_option
@pass_options
def targets(options: Options, as_json: bool, **filters: Any) -> None:
    """What we asked targets to commit to, newest first."""
    with opened(options, reading=True) as (_, spool):
        rows = spool.confirmations.list(**filters)
    columns = ["delivery", "target", "state", "images", "failed", "asked", "answered", "delivery is"]
    print_answer(as_json, rows, columns, [
        [row["delivery"], row["target"], row["state"], row["count"], len(row["failed"]) if row["answered"] else "",
         when(row["asked"]), when(row["answered"]), row["delivery_state"]] for row in rows])  # fmt: skip
