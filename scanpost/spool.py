"""`scanpost spool`, `backup` and `restore`: care of the spool as a whole. The node must be down for restore and rebuild."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.errors import SpoolError
from scanpost.asking import opened
from scanpost.audited import audited
from scanpost.common import EXIT_FAILED, Options, json_option, pass_options, print_json, say

if TYPE_CHECKING:
    from protocol.settings import Settings


@click.group()
def spool() -> None:
    """Check the spool, or make it again from the image files."""


def _down(home: Path) -> None:
    """Refuse while an actor of this node runs."""
    from protocol.fsops import RealFs

    fs, run = RealFs(), home / "run"
    running = (
        [lock.stem for lock in run.glob("*.lock") if lock.name != "spool.write.lock" and fs.is_locked(lock)]
        if run.exists()
        else []
    )
    if running:
        raise SpoolError(f"the node is running ({', '.join(sorted(running))}); stop it first: scanpost down")


def _rest(options: Options, folder: Path) -> Settings:
    """Put back what is not the spool's; the settings as they are then."""
    import time

    from scanpost.whole_node import lacking, must_be_sound, put_back_config, put_back_rest

    if not (folder / "spool.sqlite3").exists():
        raise SpoolError(f"{folder} holds no backup (spool.sqlite3)")
    must_be_sound(folder)
    home = options.settings().home
    if put_back_config(home, folder):
        say(f"put back: {home / 'config'}")
    elif (folder / "config").exists():
        say(f"{home / 'config'} has a configuration already and is left as it is")
    settings = options.settings()
    for one in put_back_rest(home, folder, settings.ledger.url, time.time()):
        say(f"put back: {one}")
    if missing := lacking(folder, settings.ledger.url):
        say(f"{folder} has no {', '.join(missing)}: it was made without --whole, or broken off")
    return settings


def _reading(settings: Settings) -> dict[str, Any]:
    """How the headers of files without a row are read: as the receiver would have, since rules will be asked about them."""
    from protocol.routing.sources import source_for
    from scanpost.asking import routing_of

    configuration = routing_of(settings).current().configuration
    sources = configuration.sources
    return {
        "extra": configuration.keywords,
        "charsets": {name: source.charset for name, source in sources.items() if source.charset},
        "resend": [name for name, source in sources.items() if source.resend == "deliver"],
        "source_of": lambda calling_ae, address: source_for(sources, calling_ae, address).name,
    }


@spool.command()
@click.option("--contents", is_flag=True, help="Read every file, too, and hold it against what was received.")
@json_option
@pass_options
def check(options: Options, contents: bool, as_json: bool) -> None:
    """Integrity of the database and of every file. Exit 0 if all is well."""
    from protocol.spool.maintenance import check as check_database

    with opened(options, reading=True) as (_, node):
        problems = check_database(node, thorough=True) + node.accounting.balance(files=True, contents=contents)
    if as_json:
        print_json({"ok": not problems, "problems": problems})
    for problem in problems:
        say(problem)
    if problems:
        raise click.exceptions.Exit(EXIT_FAILED)
    say("the spool is sound")


@spool.command()
@json_option
@pass_options
def recount(options: Options, as_json: bool) -> None:
    """Count series and deliveries anew, if `check` says that the figures kept are not those of the rows.

    \b
    Images wait meanwhile, some seconds for a million series.
    Example: scanpost spool recount
    """
    from protocol.spool.tallying import recount as count_anew

    settings = options.settings()
    with opened(options) as (_, node):
        before = node.accounting.figures()
        with node.database.write() as tx:
            count_anew(tx)
        after = node.accounting.figures()
    audited(settings, "spool recount", "node", before.arrivals, after.arrivals)
    if as_json:
        print_json({"arrivals": after.arrivals, "deliveries": after.deliveries, "changed": before != after})
    say("counted anew" if before != after else "counted anew; nothing was wrong")


@spool.command()
@json_option
@pass_options
def rebuild(options: Options, as_json: bool) -> None:
    """Make the state again from the image files after the database was lost.

    \b
    Everything is held afterwards: nothing is sent until a person releases it
    (scanpost series list --state held; scanpost series release ID).
    """
    from protocol.spool.maintenance import rebuild as rebuild_spool

    settings = options.settings()
    _down(settings.home)
    reading = _reading(settings)
    del reading["resend"]  # all are new images
    found = rebuild_spool(
        settings.home, node=settings.node.name, progress=lambda count: say(f"{count} images"), **reading
    )
    audited(settings, "spool rebuild", "node", None, {"images": found.images, "arrivals": found.arrivals})
    if as_json:
        print_json({"images": found.images, "quarantined": found.quarantined, "arrivals": found.arrivals})
    say(f"{found.images} images in {found.arrivals} arrivals are held; {found.quarantined} quarantined")


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--whole", is_flag=True, help="Also the configuration, the accounts, and the ledger if it is SQLite.")
@pass_options
def backup(options: Options, folder: Path, whole: bool) -> None:
    """Copy the database's state into FOLDER while everything runs; image files are backed up like any files.

    \b
    Example: scanpost backup --whole /backup/$(date +%F)
    """
    from protocol.spool.maintenance import backup as copy
    from scanpost.whole_node import copy_ledger, copy_rest, ledger_file

    settings = options.settings()
    written = copy_ledger(settings.ledger.url, folder) if whole else []
    written.append(copy(settings.home, folder))
    written += copy_rest(settings.home, folder) if whole else []
    audited(settings, "backup", "node", None, {"folder": str(folder), **({"whole": True} if whole else {})})
    for one in written:
        say(f"written: {one}")
    if whole and ledger_file(settings.ledger.url) is None:
        say("the ledger is on a server: back it up with pg_dump (docs/backup.md)")


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--whole", is_flag=True, help="Also accounts and ledger; the configuration where there is none.")
@json_option
@pass_options
def restore(options: Options, folder: Path, whole: bool, as_json: bool) -> None:
    """Put a backup in place; what came in since is adopted from its files, what was under way is held.

    \b
    The image files come first: copy them into spool/images and spool/quarantine (docs/backup.md).
    Example: scanpost restore --whole /backup/2026-01-31
    """
    from protocol.spool.maintenance import restore as put_back

    settings = options.settings()
    _down(settings.home)
    if whole:
        settings = _rest(options, folder)
    found = put_back(settings.home, folder, **_reading(settings))
    audited(settings, "restore", "node", None, {"folder": str(folder), **found})
    if as_json:
        print_json(found)
    say(", ".join(f"{count} {word.replace('_', ' ')}" for word, count in found.items()))
