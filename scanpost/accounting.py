"""`scanpost accounting`: the balance sheet: every image that was ever received, and where it is now.
It only reads; doctor uses the same functions.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from scanpost.asking import opened
from scanpost.common import EXIT_FAILED, Options, json_option, pass_options, print_json, print_table, say

if TYPE_CHECKING:
    from protocol.ledger.compare import Difference
    from protocol.settings import Settings
    from protocol.spool import Spool
    from protocol.spool.accounting import Sheet
    from protocol.spool.balancing import Problem

LOOK_S = 0.2


@click.command()
@click.option("--ledger", is_flag=True, help="Also hold the ledger against the spool, image by image.")
@click.option("--wait", "wait_s", default=30.0, show_default=True, metavar="SECONDS",
              type=click.FloatRange(0), help="With --ledger: so long it may take to catch up.")  # fmt: skip
@click.option("--days", default=14, show_default=True, type=click.IntRange(1, 10_000), help="So many days are shown.")
@json_option
@pass_options
def accounting(options: Options, ledger: bool, wait_s: float, days: int, as_json: bool) -> None:
    """The balance sheet of images: received, and where they are now; names the images if it does not balance.

    \b
    Exit 0: it balances, 1: it does not.
    Examples:
      scanpost accounting
      scanpost accounting --ledger --json
    """
    with opened(options, reading=True) as (settings, spool):
        sheet, problems = spool.accounting.sheet(days), spool.accounting.problems()
        differences, behind = against_ledger(settings, spool, wait_s) if ledger else ([], 0)
    document = _document(sheet, problems)
    if ledger:
        document["ledger"] = {"behind": behind, "differences": [one.__dict__ for one in differences]}
    if as_json:
        print_json(document)
    else:
        _show(sheet)
        _say(problems, differences, behind, ledger)
    if problems or differences:
        raise click.exceptions.Exit(EXIT_FAILED)


def against_ledger(settings: Settings, spool: Spool, wait_s: float = 0.0) -> tuple[list[Difference], int]:
    """What differs between ledger and spool, and how many events the ledger is behind. Raises LedgerUnavailable.

    What differs is looked at again once the ledger knows all that happened meanwhile; while it does not (after `wait_s`
    seconds), a difference may only be an event under way, and none is told.
    """
    from protocol.ledger.compare import again, compare

    where = (settings.ledger.url, settings.node.name, spool.accounting)
    found = compare(*where)
    if found:
        found = again(*where, found) if _caught_up(spool, wait_s) else []
    return found, spool.outbox.backlog("bookkeeper")


def _caught_up(spool: Spool, wait_s: float) -> bool:
    """Whether the ledger gets to where the outbox is now."""
    head, end = spool.outbox.head(), time.monotonic() + wait_s
    while (spool.outbox.confirmed("bookkeeper") or (0, 0)) < head:
        if time.monotonic() >= end or not spool.fs.is_locked(spool.places.run / "bookkeeper.lock"):
            return False
        time.sleep(LOOK_S)
    return True


def _document(sheet: Sheet, problems: list[Problem]) -> dict[str, Any]:
    figures = sheet.figures
    return {
        "balanced": not problems,
        "received": figures.received,
        "images": figures.images,
        "missing": figures.missing,
        "duplicates": figures.duplicates,
        "refused": figures.refused,
        "purged": sheet.purged,
        "sources": sheet.sources,
        "days": sheet.days,
        "problems": [one.__dict__ for one in problems],
    }


def _show(sheet: Sheet) -> None:
    figures = sheet.figures
    rows = [["received", figures.received], *([f"  {name}", count] for name, count in figures.images.items())]
    print_table(["images", ""], [*rows, ["in no state", figures.missing]])
    for title, table in (("source", sheet.sources), ("day (UTC)", sheet.days)):
        if table:
            click.echo()
            states = list(figures.images)
            print_table([title, "images", *(state.replace("_", " ") for state in states)], [
                [name, sum(found.values()), *(found[state] for state in states)] for name, found in table.items()
            ])  # fmt: skip
    if sheet.purged:
        say(f"{sheet.purged} of the deleted images have no rows any more: no source and no day has them")


def _say(problems: list[Problem], differences: list[Difference], behind: int, ledger: bool) -> None:
    for problem in problems:
        say(problem.line)
    for difference in differences:
        say(difference.text)
    if not problems:
        say("every image is accounted for")
    if ledger and not differences:
        say(f"the ledger is {behind} events behind; ask again later" if behind else "the ledger agrees with the spool")
