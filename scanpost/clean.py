"""`scanpost clean`: what the cleaner would delete, what it keeps and why; and letting it clean now, whatever the window.
Nothing is deleted here: the cleaner does, and no command shortens a retention.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from scanpost.asking import act, opened, routing_of, size, when
from scanpost.common import Options, json_option, pass_options, print_json, print_table, say

if TYPE_CHECKING:
    from protocol.settings import Settings
    from protocol.spool import Spool
    from protocol.spool.forecast import Forecast


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would go and what is kept; change nothing.")
@click.option(
    "--at", "at_text", metavar="TIME", help="With --dry-run: what goes then, as things stand now (22:00, 8h, ISO)."
)
@click.option("--now", "at_once", is_flag=True, help="Let the cleaner work now, whatever its window. Needs --reason.")
@click.option("--reason", help="Why; kept with the command.")
@json_option
@pass_options
def clean(
    options: Options, dry_run: bool, at_text: str | None, at_once: bool, reason: str | None, as_json: bool
) -> None:
    """What the cleaner would delete, and cleaning now. A retention always counts; --now lifts the window alone.

    \b
    Examples:
      scanpost clean --dry-run              what would go now, what is kept and why
      scanpost clean --dry-run --at 22:00   what goes tonight
      scanpost clean --now --reason "the disk is needed for the weekend"
    """
    if dry_run == at_once:
        raise click.UsageError("give --dry-run to look, or --now to clean")
    if at_once:
        if not (reason or "").strip():
            raise click.UsageError("--now needs --reason: it is kept with the record")
        if at_text:
            raise click.UsageError("--at goes with --dry-run")
        act(options, "clean.now", {"reason": reason}, as_json, executor="cleaner")
        return
    with opened(options, reading=True) as (settings, spool):
        found, how = _look(settings, spool, at_text)
    document = _document(found, how)
    if as_json:
        print_json(document)
    else:
        _print(document)


def _look(settings: Settings, spool: Spool, at_text: str | None) -> tuple[Forecast, dict[str, Any]]:
    """What goes, and whether cleaning runs at that moment."""
    from actors.cleaner.disk import Disk
    from actors.cleaner.times import opens_at
    from protocol.spool.forecast import forecast
    from protocol.spool.retention import retention_at
    from scanpost.moments import moment

    zone, now = settings.node.zone, time.time()
    at = now if at_text is None else moment(at_text, now, zone)
    targets = routing_of(settings).current().configuration.targets
    found = forecast(spool.database, retention_at(at, settings.cleaner, targets), at)
    room = spool.fs.room(spool.places.images)
    alerts = spool.notices.alerts()
    opens = opens_at(settings.cleaner.window, at, zone)
    return found, {
        "window": settings.cleaner.window,
        "opens_at": opens,
        "window_open": opens == at,
        "pressure": Disk(room, settings.spool.reserve_gb * 1e9, settings.spool.reserve2_gb * 1e9).pressure,
        "paused": [alerts[name] for name in ("clock", "cleaning.routing") if name in alerts],
        "running": spool.fs.is_locked(spool.places.run / "cleaner.lock"),
    }


def _document(found: Forecast, how: dict[str, Any]) -> dict[str, Any]:
    by = [{"state": kind.state, "targets": kind.targets, **asdict(kind.amount)} for kind in found.goes]
    kept = [{"why": one.why, "goes_at": one.goes_at, **asdict(one.amount)} for one in found.kept]
    aside = {"goes": found.quarantined_goes, "kept": found.quarantined_kept}
    quarantine = {
        name: {"objects": one.images, "bytes": one.bytes, "oldest": one.oldest} for name, one in aside.items()
    }
    runs = not how["paused"] and (how["window_open"] or how["pressure"])
    return {
        "at": found.at, "runs": runs, **how, "goes": {**asdict(found.total), "by": by}, "kept": kept,
        "quarantine": quarantine, "deleting": found.deleting,
    }  # fmt: skip


def _print(document: dict[str, Any]) -> None:
    goes = document["goes"]
    say(
        f"at {when(document['at'])}: {goes['series']} series, {goes['images']} images, {size(goes['bytes'])} may go."
        f" {_when_it_runs(document)}"
    )
    if goes["by"]:
        print_table(["goes", "delivered to", "series", "images", "size", "since", "to"], [
            [one["state"], ", ".join(one["targets"]), one["series"], one["images"], size(one["bytes"]), when(one["oldest"]),
             when(one["newest"])] for one in goes["by"]])  # fmt: skip
    if document["kept"]:
        print_table(["kept, because", "series", "images", "size", "the first may go"], [
            [one["why"], one["series"], one["images"], size(one["bytes"]), when(one["goes_at"])]
            for one in document["kept"]])  # fmt: skip
    for word, text in (("goes", "quarantined objects may go"), ("kept", "quarantined objects are kept")):
        if document["quarantine"][word]["objects"]:
            say(f"{document['quarantine'][word]['objects']} {text}, {size(document['quarantine'][word]['bytes'])}")
    if document["deleting"]:
        say(f"{document['deleting']} series are being deleted")


def _when_it_runs(document: dict[str, Any]) -> str:
    if document["paused"]:
        return f"But {document['paused'][0]}"
    if document["pressure"]:
        return "The disk is short of space: the cleaner works whatever its window."
    if document["window_open"]:
        return "The window is open." if document["running"] else "The window is open, but no cleaner runs."
    if document["opens_at"] is None:
        return f"The window ({document['window']}) does not open: they stay until the disk is short of space, or --now."
    return f"The window ({document['window']}) opens {when(document['opens_at'])}; --now does not wait for it."
