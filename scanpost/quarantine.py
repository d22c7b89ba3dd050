"""`scanpost quarantine`: objects that could not be read or placed: list them, look at one, let one go.
Acts are written down as commands; the cleaner carries them out.
"""

from __future__ import annotations

from typing import Any

import click

from scanpost.asking import act, opened, size, when
from scanpost.common import Options, json_option, pass_options, print_answer, print_json, print_table, say


@click.group()
def quarantine() -> None:
    """Objects that could not be read or placed: list, show, discard."""


@quarantine.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@json_option
@pass_options
def list_objects(options: Options, limit: int, as_json: bool) -> None:
    """What is kept apart, newest first.

    \b
    Example: scanpost quarantine list --limit 10
    """
    with opened(options, reading=True) as (_, spool):
        rows = spool.quarantine.list(limit)
    if not rows and not as_json:
        say("nothing is in quarantine")
        return
    print_answer(as_json, rows, ["receipt", "source", "size", "since", "reason"], [
        [row["receipt"], row["calling_ae"], size(row["bytes"]), when(row["stored"]), row["reason"]] for row in rows])  # fmt: skip


@quarantine.command()
@click.argument("receipt")
@json_option
@pass_options
def show(options: Options, receipt: str, as_json: bool) -> None:
    """One object: why it is here, who sent it, and where its bytes are. The beginning of its receipt will do.

    \b
    Example: scanpost quarantine show 4f1c09
    """
    with opened(options, reading=True) as (_, spool):
        found = spool.quarantine.show(receipt)
    if as_json:
        print_json(found)
        return
    rows: list[list[Any]] = [[name, found[name]] for name in ("receipt", "state", "reason", "calling_ae", "file")]
    rows += [["since", when(found["stored"])], ["size", size(found["bytes"])]]
    print_table(["", ""], [*rows, *([name, value] for name, value in (found["meta"] or {}).items())])


@quarantine.command()
@click.argument("receipt")
@click.option("--reason", required=True, help="Why; kept with the command.")
@json_option
@pass_options
def discard(options: Options, receipt: str, reason: str, as_json: bool) -> None:
    """Delete one object for good. Without this they are kept, or as long as cleaner.retention_quarantined_h says.

    \b
    Example: scanpost quarantine discard 4f1c09 --reason "no image, sent by mistake"
    """
    act(options, "quarantine.discard", {"receipt": receipt, "reason": reason}, as_json, executor="cleaner")
