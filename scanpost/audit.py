"""`scanpost audit`: who did what to this node: list, verify, export. It never changes an entry; an export is one itself."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from scanpost.accounts import opened_accounts
from scanpost.asking import opened, since, when, who
from scanpost.common import EXIT_FAILED, Options, json_option, pass_options, print_answer, print_json, say

if TYPE_CHECKING:
    from protocol.accounts import AuditEntry
    from protocol.accounts.chain import Chain, Head
    from protocol.settings import Settings

PAGE = 1000
COLUMNS = ("number", "time", "who", "address", "action", "object", "before", "after", "link")


@click.group()
def audit() -> None:
    """What people did to this node: list, verify, export."""


@audit.command("list")
@click.option("--who", "by", default="", help="Only of this person; at the command line: cli:NAME.")
@click.option("--action", default="", help="Only this action, such as: queue.retry, login, config.changed")
@click.option("--object", "about", default="", metavar="TEXT", help="Only about what has this in its name: target pacs")
@click.option("--since", "since_text", help="A duration (2h30m) or an ISO 8601 time.")
@click.option("--before", type=int, help="Older than the entry of this number (the next page).")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@json_option
@pass_options
def list_(
    options: Options, by: str, action: str, about: str, since_text: str | None, before: int | None, limit: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Entries, newest first.

    \b
    Examples:
      scanpost audit list --since 1d
      scanpost audit list --who cli:anna --object "target pacs" --json
    """
    from protocol.accounts import Wanted

    wanted = Wanted(by, action, about, None if since_text is None else since(since_text, "--since"))
    with opened_accounts(options) as accounts:
        found = accounts.trail.search(wanted, limit, before)
    if not found and not as_json:
        say("no entry fits")
        return
    print_answer(as_json, [_plain(one) for one in found], ["number", "time", "who", "did", "to", "before", "after"], [
        [one.number, when(one.time), one.who, one.action, one.object, _text(one.before), _text(one.after)]
        for one in found])  # fmt: skip


@audit.command()
@json_option
@pass_options
def verify(options: Options, as_json: bool) -> None:
    """Hold every entry against the chain, and the chain against the heads that the spool and the ledger remember.

    \b
    Exit 0: nothing was changed or cut off, 1: something was; the number of the first such entry is told.
    Example: scanpost audit verify --json
    """
    settings = options.settings()
    with opened_accounts(options) as accounts:
        checked = accounts.trail.check()
        heads, unread = _heads(settings, options)
        gone = accounts.chain.missing(heads)
        head = accounts.chain.head()
    first = min((number for number in (checked.broken, gone.number if gone else None) if number), default=None)
    document = {"good": first is None, "entries": head.number, "head": head.link, "first_broken": first,
                "heads_compared": len(heads), "not_compared": unread}  # fmt: skip
    if as_json:
        print_json(document)
    for one in unread:
        say(f"not compared with {one}")
    if checked.broken is not None:
        say(f"entry {checked.broken} was changed, or one before it is gone: it does not fit the chain")
    elif gone is not None:
        say(f"entry {gone.number} was there once and is gone or was changed: the end was cut off, or the file replaced")
    else:
        say(f"{head.number} entries fit the chain, and {len(heads)} heads that were told to others")
    if first is not None:
        raise click.exceptions.Exit(EXIT_FAILED)


@audit.command()
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A new file; default: stdout.")
@click.option("--after", default=0, metavar="NUMBER", type=click.IntRange(0), help="Only entries behind this one.")
@pass_options
def export(options: Options, form: str, output: Path | None, after: int) -> None:
    """All entries with the links of the chain, oldest first, to be kept elsewhere. Its last line is the seal.

    The seal holds number and link of the last entry, and the SHA-256 of all that stands before it. The export itself is an
    entry, made when it is finished.

    \b
    Example: scanpost audit export --format csv -o audit.csv
    """
    with opened_accounts(options) as accounts:
        if output is None:
            seal = _export(click.get_text_stream("stdout"), accounts.chain, form, after)
        else:
            with _new(output) as file:
                seal = _export(file, accounts.chain, form, after)
        told = {"format": form, "after": after, "head": seal["head"], "sha256": seal["sha256"]}
        accounts.record(f"cli:{who()}", "", "audit export", "audit", None, told)
    say(f"{seal['entries']} entries; seal: entry {seal['head']}, link {seal['link']}, SHA-256 {seal['sha256']}")


def _new(path: Path) -> TextIO:
    try:
        return open(path, "x", encoding="utf-8", newline="")
    except OSError as exc:
        raise click.BadParameter(f"{path} cannot be made: {exc.strerror}", param_hint="--output") from exc


def _export(file: TextIO, chain: Chain, form: str, after: int) -> dict[str, Any]:
    """Write all entries and the seal; returns the seal."""
    digest, count, head, link = hashlib.sha256(), 0, after, ""

    def write(text: str) -> None:
        digest.update(text.encode())
        file.write(text)

    line: Callable[[dict[str, Any]], str] = _csv if form == "csv" else _jsonl
    if form == "csv":
        write(",".join(COLUMNS) + "\r\n")
    for entry, link in _all(chain, after):
        write(line(_plain(entry) | {"link": link}))
        count, head = count + 1, entry.number
    seal = {"entries": count, "head": head, "link": link, "sha256": digest.hexdigest()}
    file.write(f"# {json.dumps(seal)}\r\n" if form == "csv" else _jsonl({"seal": seal}))
    return seal


def _all(chain: Chain, after: int) -> Iterator[tuple[AuditEntry, str]]:
    while page := chain.entries(after, PAGE):
        yield from page
        after = page[-1][0].number


def _jsonl(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False) + "\n"


def _csv(values: dict[str, Any]) -> str:
    """One line (RFC 4180); what a spreadsheet would take for a formula gets an apostrophe in front."""
    cells = [_text(values[name]) if name in ("before", "after") else str(values[name]) for name in COLUMNS]
    held = io.StringIO()
    csv.writer(held).writerow([f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell for cell in cells])
    return held.getvalue()


def _plain(entry: AuditEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in COLUMNS[:-1]}


def _text(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _heads(settings: Settings, options: Options) -> tuple[list[Head], list[str]]:
    """Heads that were told to spool and ledger, and what could not be asked."""
    from protocol.accounts.chain import Head
    from protocol.errors import LedgerError, SpoolError
    from protocol.ledger.heads import audit_heads
    from protocol.wire.events import AuditHead

    heads, unread = set[Head](), list[str]()
    try:
        with opened(options, reading=True) as (_, spool):
            told = spool.outbox.newest_of(AuditHead.TYPE)
            heads |= {Head(int(one.data["number"]), str(one.data["link"])) for one in told}
            heads |= {Head.of(text) for text in spool.notices.standing(AuditHead.TYPE).values()}
    except SpoolError as exc:
        unread.append(f"the spool: {exc}")
    try:
        heads |= {Head(*pair) for pair in audit_heads(settings.ledger.url, settings.node.name)}
    except LedgerError as exc:
        unread.append(f"the ledger: {exc}")
    return sorted(heads), unread
