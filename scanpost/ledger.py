"""`scanpost ledger`: how the database of history stands, and copying it into another one.
It must not write the ledger that is in use; the bookkeeper does.
"""

from __future__ import annotations

import time
from typing import Any

import click

from scanpost.asking import opened, size, when
from scanpost.common import EXIT_FAILED, Options, json_option, pass_options, print_json, print_table, say


@click.group()
def ledger() -> None:
    """The database of history: how it stands, copying it into another one."""


@ledger.command()
@json_option
@pass_options
def status(options: Options, as_json: bool) -> None:
    """Where the ledger is, how far behind it is, how large, and about how many rows each table has.

    \b
    Examples:
      scanpost ledger status
      scanpost ledger status --json
    """
    from protocol.errors import LedgerUnavailable
    from protocol.ledger.standing import shown, standing

    settings = options.settings()
    document: dict[str, Any] = {"url": shown(settings.ledger.url), "reachable": True, **_lag(options)}
    try:
        document |= standing(settings.ledger.url)
    except LedgerUnavailable as exc:
        document |= {"reachable": False, "error": str(exc)}
    if as_json:
        print_json(document)
    else:
        _print(document)
    if not document["reachable"]:
        raise click.exceptions.Exit(EXIT_FAILED)


def _lag(options: Options) -> dict[str, Any]:
    """What waits in the spool, and what the bookkeeper said last; nothing where there is no spool."""
    from protocol.errors import SpoolMissing
    from protocol.spool.outbox import Cursor

    try:
        with opened(options, reading=True) as (_, spool):
            at = spool.outbox.confirmed("bookkeeper") or Cursor(0, 0)
            waiting = spool.outbox.read(at, 1)
            behind = max(0.0, time.time() - waiting[0].time) if waiting else 0.0
            alerts = spool.notices.alerts("ledger.")
            return {"behind_events": spool.outbox.backlog("bookkeeper"), "behind_s": round(behind, 1), "alerts": alerts}
    except SpoolMissing:
        return {"behind_events": None, "behind_s": None, "alerts": {}}


def _print(document: dict[str, Any]) -> None:
    rows: list[list[Any]] = [["ledger", document["url"]]]
    if document["reachable"]:
        current = document["revision"] == document["newest_revision"]
        rows += [["database", document["database"]], ["size", size(document["bytes"])],
                 ["revision", document["revision"] if current else
                  f"{document['revision']} (this program: {document['newest_revision']})"]]  # fmt: skip
        rows += [[f"node {one['node']}", f"epoch {one['epoch']}, event {one['seq']}, written {when(one['time'])}"]
                 for one in document["cursors"]]  # fmt: skip
        rows += [[f"mining rows of {one['node']}", f"of its past made up to series {one['upto']}, going on"]
                 for one in document["mining"] if not one["done"]]  # fmt: skip
    if document["behind_events"] is not None:
        waits = f", the oldest for {document['behind_s']:.0f} s" if document["behind_events"] else ""
        rows.append(["behind", f"{document['behind_events']} events{waits}"])
    rows += [["alert", text] for text in document["alerts"].values()]
    print_table(["", ""], rows)
    if document["reachable"]:
        print_table(
            ["table", "rows, about"],
            [[name, f"{count:,}"] for name, count in document["rows"].items()],
            title="\nTables",
        )
    else:
        say(f"the ledger cannot be read: {document['error']}; routing goes on, its events wait in the spool")


@ledger.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--join", is_flag=True, help="TO may hold the history of other nodes.")
@json_option
@pass_options
def copy(options: Options, source: str, target: str, join: bool, as_json: bool) -> None:
    """Copy the ledger FROM one database TO another, SQLite or PostgreSQL; `current` is that of the settings.

    A copy that was broken off goes on where it was. FROM may be in use; afterwards set ledger.url to TO and restart the
    bookkeeper: it goes on from where the copy began. TO must be empty, or hold an earlier part of the same history.

    \b
    Examples:
      scanpost ledger copy current postgresql://scanpost@db/scanpost
      scanpost ledger copy sqlite:////srv/old/ledger.sqlite3 postgresql://scanpost@db/scanpost --join
    """
    from protocol.ledger.copying import Copying
    from scanpost.bar import CountBar

    current = options.settings().ledger.url
    given = [current if url == "current" else url for url in (source, target)]
    with CountBar("rows") as bar:
        counts = Copying(given[0], given[1], join=join).run(bar.done)
    if as_json:
        print_json({"tables": counts})
        return
    print_table(["table", "source", "copy"], [[name, one["source"], one["target"]] for name, one in counts.items()])
    say("the copy is complete; set ledger.url to it and run: scanpost restart bookkeeper")
