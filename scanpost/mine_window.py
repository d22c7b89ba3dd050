"""What `scanpost mine` looks at: a time, a source, a modality, a node; the options of all its queries and of the export."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from scanpost.common import Options

if TYPE_CHECKING:
    from protocol.ledger.mining.spelling import Selection

DAY_S = 86_400.0


def window(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of what is looked at."""
    for option in (
        click.option("--node", default="", help="Of one node only (several may share a database)."),
        click.option("--modality", default="", help="Of one modality only, such as CT."),
        click.option("--source", "scanner", default="", help="Of one source, by its name or AE title."),
        click.option(
            "--to", "until_text", metavar="TIME", help="Received before (2026-02-01, with or without a time)."
        ),
        click.option("--from", "since_text", metavar="TIME", help="Received from then on."),
        click.option(
            "--days", type=click.FloatRange(min=0, min_open=True), help="Of the last days; 30 if no time is given."
        ),
    ):
        command = option(command)
    return command


def selection_of(
    options: Options, days: float | None, since_text: str | None, until_text: str | None, scanner: str, modality: str,
    node: str,
) -> Selection:  # fmt: skip
    """The window in seconds: the last days, or from and to."""
    from protocol.ledger.mining.spelling import Selection
    from scanpost.moments import moment

    if days is not None and (since_text or until_text):
        raise click.UsageError("give --days, or --from and --to")
    now, zone = time.time(), options.settings().node.zone
    until = now if until_text is None else moment(until_text, now, zone)
    since = until - (days or 30.0) * DAY_S if since_text is None else moment(since_text, now, zone)
    if since >= until:
        raise click.UsageError("--from must be before --to")
    return Selection(since, until, scanner, modality, node)
