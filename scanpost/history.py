"""`scanpost history`: series, images and what became of them, out of the ledger: also what the spool forgot long ago.
It only reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from scanpost.asking import since as moment_of
from scanpost.asking import size, when
from scanpost.common import Options, json_option, pass_options, print_answer, print_json, print_table, say


@click.group()
def history() -> None:
    """The past, out of the ledger: search series, show one, where an image went."""


_of_node = click.option("--node", default="", help="Of another node that writes the same ledger.")


@contextmanager
def _reading(options: Options, node: str = "") -> Iterator[tuple[Any, str]]:
    """A connection to this node's ledger, and the name of the node asked about. Raises LedgerUnavailable."""
    from protocol.ledger.engine import reader, reading

    settings = options.settings()
    engine = reader(settings.ledger.url)
    try:
        with reading(engine) as connection:
            yield connection, node or settings.node.name
    finally:
        engine.dispose()


@history.command()
@click.argument("text", default="")
@click.option("--source", default="", help="AE title of the sender.")
@click.option("--target", default="", help="With a delivery to this target or group.")
@click.option("--rule", default="", help="Routed by this rule.")
@click.option("--state", default="", help="open, held, in_delivery, delivered, discarded, deleted, ...")
@click.option("--modality", default="", help="CT, MR, ...")
@click.option("--since", help="A duration (2h30m) or an ISO 8601 time: not older.")
@click.option("--until", help="The same: not younger.")
@_of_node
@click.option("--all-nodes", is_flag=True, help="Of all nodes that write this ledger.")
@click.option("--after", help="The mark that the page before ended with.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@json_option
@pass_options
def search(
    options: Options, text: str, since: str | None, until: str | None, node: str, all_nodes: bool, after: str | None,
    limit: int, as_json: bool, **values: Any,
) -> None:  # fmt: skip
    """Series, newest first, by accession number, patient id or name, UID, AE title or arrival number.

    \b
    Examples:
      scanpost history search A1234567
      scanpost history search "doe, jane" --since 30d
      scanpost history search --target archive --state deleted --json
      scanpost history search A1234567 --all-nodes     then: scanpost history show ID --node NODE
    """
    from protocol.ledger.history import Filter, Page, search_arrivals

    times: dict[str, Any] = {
        name: moment_of(given, f"--{name}") for name, given in (("since", since), ("until", until)) if given
    }
    if node and all_nodes:
        raise click.UsageError("give --node or --all-nodes")
    with _reading(options, node) as (connection, name):
        asked, whose = Filter(q=text, **values, **times), None if all_nodes else name
        page = search_arrivals(connection, whose, asked, after, limit)
        while page.partial and len(page.rows) < limit:  # here nobody minds to wait until the page is full
            more = search_arrivals(connection, whose, asked, page.next, limit - len(page.rows))
            page = Page(page.rows + more.rows, more.next, more.partial)
    if not page.rows and not as_json:
        say("nothing matches")
        return
    of_all = ["node"] if all_nodes else []
    columns = ["id", "opened", "source", "modality", "images", "size", "state", "deliveries"]
    rows = [[*(row[name] for name in of_all), *_series_line(row)] for row in page.rows]
    print_answer(as_json, {"arrivals": page.rows, "next": page.next}, [*of_all, *columns], rows)
    if page.next and not as_json:
        say(f"more: --after {page.next}")


def _series_line(row: dict[str, Any]) -> list[Any]:
    to = ", ".join(f"{one['target']}: {one['state']}" for one in row["deliveries"])
    return [row["arrival"], when(row["opened"]), row["calling_ae"], row["modality"], row["images"], size(row["bytes"] or 0),
            row["state"], to]  # fmt: skip


@history.command()
@click.argument("arrival", type=int)
@_of_node
@json_option
@pass_options
def show(options: Options, arrival: int, node: str, as_json: bool) -> None:
    """The timeline of a series: what happened, when, why, and how long nothing did.

    \b
    Example: scanpost history show 217500123
    """
    from dataclasses import asdict

    from protocol.errors import NotFound
    from protocol.ledger.history import timeline
    from protocol.ledger.history.words import seconds_words

    with _reading(options, node) as (connection, name):
        entries = timeline(connection, name, arrival)
    if not entries:
        raise NotFound(f"the ledger knows no arrival {arrival} of {name}")
    if as_json:
        print_json({"node": name, "arrival": arrival, "timeline": [asdict(entry) for entry in entries]})
        return
    print_table(["time", "after", "what", ""], [
        [when(entry.time), "" if not entry.gap_s else seconds_words(entry.gap_s), entry.title, _facts(entry.facts)]
        for entry in entries])  # fmt: skip


def _facts(facts: dict[str, Any]) -> str:
    shown = {name: when(value) if name == "retry_at" else value for name, value in facts.items()}
    return ", ".join(f"{name}: {value}" for name, value in shown.items() if value not in (None, "", {}, []))


@history.command()
@click.argument("uid")
@_of_node
@json_option
@pass_options
def image(options: Options, uid: str, node: str, as_json: bool) -> None:
    """Where an image came from and went: by SOP Instance UID, or by receipt (32 hexadecimal digits).

    \b
    Example: scanpost history image 1.2.840.113619.2.55.3.1
    """
    from protocol.errors import NotFound
    from protocol.ledger.history import image_history

    with _reading(options, node) as (connection, name):
        by = {"sop_uid": uid} if "." in uid else {"receipt": uid.lower()}
        found = image_history(connection, name, **by)
    if not found:
        raise NotFound(f"the ledger knows no image {uid} of {name}")
    if as_json:
        print_json(found)
        return
    for one in found:
        print_table(["", ""], _image_lines(one))


def _image_lines(one: dict[str, Any]) -> list[list[Any]]:
    from protocol.ledger.history.words import status_words

    row, aside, sender = one["image"], one["quarantine"], one["association"] or {}
    kept: dict[str, Any] = row or aside or {}
    lines: list[list[Any]] = [["receipt", one["receipt"]], ["received", when(kept.get("received"))],
                              ["from", f"{sender.get('calling_ae', '?')} at {sender.get('address', '?')}"],
                              ["size", size(kept.get("bytes") or 0)]]  # fmt: skip
    if aside:
        lines.append(["quarantined", aside["reason"]])
    if row:
        lines += [
            ["transfer syntax", row["transfer_syntax_uid"]],
            ["digest", row["digest"]],
            ["arrival", row["arrival"]],
        ]
        lines += [[row["mark"], f"see {row['twin']}"]] if row["mark"] else []
    lines += [[f"to {sent['target']}", f"{when(sent['time'])}, {status_words(sent['status'] or 0)}"]
              for sent in one["deliveries"]]  # fmt: skip
    return [*lines, ["deleted", when(one["deleted"])]] if one["deleted"] else lines
