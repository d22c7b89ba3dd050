"""`scanpost rules dry-run`: the rules of a file beside the active ones on live traffic. It decides and delivers nothing.

It follows the node's events, so a restart of the node is a pause and nothing more.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.errors import NotFound, RoutingError
from scanpost.asking import opened, routing_of
from scanpost.common import Options, pass_options, say
from scanpost.tap import EXIT_TIMEOUT
from scanpost.trying import rules_of

if TYPE_CHECKING:
    from protocol.routing.dryrun import Beside, DryRun
    from protocol.routing.versions import RoutingVersions
    from protocol.settings import Settings
    from protocol.spool import Spool
    from protocol.wire.messages import Envelope

_ROUTING = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


@click.command("dry-run")
@click.option("--routing", "routing_file", type=_ROUTING, required=True, help="The rules to try.")
@click.option("--since", help="A number, a duration (2h30m) or an ISO 8601 time; default: from now on.")
@click.option("--count", type=click.IntRange(1), help="Stop after so many arrivals.")
@click.option(
    "--timeout", "timeout_s", type=float, help="Stop after so many seconds (exit 124 if fewer than --count came)."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; the last one is the summary.")
@click.option("--no-bus", is_flag=True, help="Read the outbox instead of listening to the bus.")
@pass_options
def dry_run(
    options: Options, routing_file: Path, since: str | None, count: int | None, timeout_s: float | None, as_json: bool,
    no_bus: bool,
) -> None:  # fmt: skip
    """What the rules of a file would have done with each series, beside what the node did. Delivers nothing; ends with Ctrl-C.

    \b
    Example: scanpost rules dry-run --routing draft.json --since 2h
    """
    from protocol.routing.dryrun import DryRun

    draft, _ = rules_of(options, routing_file)
    run = DryRun(draft)
    with opened(options, reading=True) as (settings, spool):
        try:
            complete = _follow(settings, spool, run, since, count, timeout_s, as_json, no_bus)
        except KeyboardInterrupt:
            complete = True
    _summary(run, as_json)
    if not complete:
        raise click.exceptions.Exit(EXIT_TIMEOUT)


def _follow(
    settings: Settings, spool: Spool, run: DryRun, since: str | None, count: int | None, timeout_s: float | None, as_json: bool,
    no_bus: bool,
) -> bool:  # fmt: skip
    """Judge what is decided until it is enough; whether it was."""
    from protocol.wire.lanes import endpoints
    from protocol.wire.tap import tap

    bus = settings.bus.enabled and not no_bus and spool.fs.is_locked(spool.places.run / "bus.lock")
    source: Any = endpoints(settings) if bus else spool
    seen, versions = 0, routing_of(settings)
    with tap(source, ["arrival.decided"], since, None, timeout_s, follow=True, notice=say) as events:
        for event in events:
            beside = _judged(spool, settings, versions, run, event)
            if beside is None:
                continue
            seen += 1
            click.echo(json.dumps(beside.to_data()) if as_json else _line(beside, event.time))
            if count is not None and seen >= count:
                return True
    return count is None


def _judged(
    spool: Spool, settings: Settings, versions: RoutingVersions, run: DryRun, event: Envelope
) -> Beside | None:  # fmt: skip
    """None for what a person decided, and for what the spool does not know any more."""
    from actors.router.verdicts import case_of

    if event.data.get("command"):
        return None
    number = int(event.data["arrival"])
    try:
        headers = spool.arrivals.subject(number)
    except NotFound:
        return None
    if not headers.differing:
        return None
    try:
        decided_by = versions.get(int(event.data["revision"]))
    except RoutingError:  # cannot be used any more
        decided_by = versions.current()
    case = case_of(headers, settings.node.zone)
    return run.judge(number, case, event.data["outcome"], event.data["targets"], decided_by)


def _line(beside: Beside, at: float) -> str:
    mark = "≠" if beside.differs else "="
    active, draft = (" ".join([side[0], ", ".join(side[1:])]).strip() for side in (beside.active, beside.draft))
    would = f"  draft: {draft} ({beside.reason})" if beside.differs else ""
    errors = f"  errors in {', '.join(beside.errors)}" if beside.errors else ""
    untold = f"  cannot tell: {', '.join(beside.cannot_tell)}" if beside.cannot_tell else ""
    return f"{time.strftime('%H:%M:%S', time.localtime(at))} {mark} arrival {beside.arrival}: {active}{would}{errors}{untold}"


def _summary(run: DryRun, as_json: bool) -> None:
    summary = run.summary()
    if as_json:
        click.echo(json.dumps({"summary": summary}))
        return
    untold = f", {summary['cannot_tell']} that it cannot tell" if summary.get("cannot_tell") else ""
    say(f"{summary.get('arrivals', 0)} series, {summary.get('different', 0)} of them different, "
        f"{summary.get('errors', 0)} with errors{untold}")  # fmt: skip
