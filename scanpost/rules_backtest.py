"""`scanpost rules backtest`: what a draft would have done with the last days, from the ledger. It only reads and locks nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from scanpost.asking import routing_of, size, when
from scanpost.common import Options, json_option, pass_options, print_json, print_table, say
from scanpost.trying import count, rules_of

_ROUTING = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
_SHOWN = 5  # arrivals named of each difference
_KINDS = {
    "newly_routed": "newly routed", "newly_held": "newly held", "newly_discarded": "newly discarded",
    "other_targets": "to other targets", "cannot_tell": "cannot be told",
}  # fmt: skip


@click.command()
@click.option("--days", default=30.0, show_default=True, type=click.FloatRange(min=0, min_open=True))
@click.option("--routing", "routing_file", type=_ROUTING, help="A draft, held against the current rules.")
@click.option("--processes", default=0, type=click.IntRange(0, 64), help="Default: as many as are of use.")
@click.option("--values", is_flag=True, help="With the most frequent descriptions (free text about patients).")
@json_option
@pass_options
def backtest(
    options: Options, days: float, routing_file: Path | None, processes: int, values: bool, as_json: bool
) -> None:
    """What the rules of a file would have done with the series of the last days, and how that differs from the current rules.

    Without --routing: what the current rules make of these days. The node may run meanwhile.

    \b
    Example: scanpost rules backtest --days 30 --routing draft.json
    """
    from protocol.ledger.trial import Trial, run
    from protocol.routing.backtest.asked import asked_since
    from scanpost.bar import CountBar

    settings = options.settings()
    draft, _ = rules_of(options, routing_file)
    versions, now = routing_of(settings), time.time()
    active = versions.current().configuration if routing_file is not None else None
    window = (now - days * 86_400.0, now)
    asked = asked_since(versions, window[0], draft, *([active] if active is not None else []))
    trial = Trial(settings.ledger.url, settings.node.name, window, draft, active, settings.node.time_zone, asked.spans)
    with CountBar("series") as bar:
        document = run(trial, progress=bar.done, processes=processes, values=values or not as_json)
    if as_json:
        print_json(document)
    else:
        _show(document, routing_file is not None)


def _show(document: Mapping[str, Any], is_draft: bool) -> None:
    window = document["window"]
    click.echo(f"{document['arrivals']} series, {count(document['images'])}, {size(document['bytes'])}, "
               f"{when(window['since'])} to {when(window['until'])}")  # fmt: skip
    if document["without_headers"]:
        say(f"{document['without_headers']} series have no header values in the ledger and are left out")
    if document["damaged"]:
        say(f"the header values of {document['damaged']} series are damaged and left out")
    _rules(document["draft"], document["active"])
    _targets(document["draft"], document["active"])
    _groups(document["draft"])
    if is_draft:
        click.echo("\nDifference to the current rules")
        click.echo("\n".join(_difference(document["difference"])))


def _rules(draft: Mapping[str, Any], active: Mapping[str, Any] | None) -> None:
    before = {} if active is None else {one["rule"]: one["matched"] for one in active["rules"]}
    rows = [
        [one["rule"], one["mode"], one["action"], f"{one['matched']} of {one['of']}", before.get(one["rule"], ""),
         *(_odd(one, kind) for kind in ("unknown", "error", "blocked", "untold"))]
        for one in draft["rules"]
    ]  # fmt: skip
    columns = [
        "rule",
        "mode",
        "action",
        "true",
        "now" if active else "",
        "unknown",
        "error",
        "kept back",
        "cannot tell",
    ]
    print_table(columns, rows, title="\nRules")
    outcomes = "  ".join(f"{name.replace('_', ' ')} {number}" for name, number in draft["outcomes"].items())
    click.echo(f"\n{outcomes}")


def _odd(rule: Mapping[str, Any], kind: str) -> str:
    """A count with an arrival to look at."""
    number, examples = rule[kind], rule["examples"].get(kind, ())
    return "" if not number else f"{number} (such as {examples[0]})" if examples else str(number)


def _targets(draft: Mapping[str, Any], active: Mapping[str, Any] | None) -> None:
    rows = []
    for name, load in draft["targets"].items():
        former = (active or {"targets": {}})["targets"].get(name)
        hour, day = load["busiest_hour"], load["busiest_day"]
        rows.append([
            name, load["series_per_day"], load["gb_per_day"], "" if former is None else former["gb_per_day"],
            f"{hour['gb']} GB, {hour['series']} series at {hour['at']}", f"{day['gb']} GB on {day['at']}",
        ])  # fmt: skip
    columns = ["target", "series/day", "GB/day", "GB/day now" if active else "", "busiest hour", "busiest day"]
    print_table(columns, rows, title="\nTargets")


def _groups(draft: Mapping[str, Any]) -> None:
    rows = [
        [rule["rule"] if not at else "", name.replace("_", " "), ", ".join(f"{value or '(none)'} {n}" for value, n in top[:5])]
        for rule in draft["rules"] if rule["matched"]
        for at, (name, top) in enumerate(rule["by"].items())
    ]  # fmt: skip
    print_table(["rule", "by", "most"], rows, title="\nWhat they matched")


def _difference(difference: Mapping[str, Any]) -> Iterator[str]:
    for kind, found in difference["arrivals"].items():
        if found["count"]:
            yield f"  {_KINDS[kind]}: {found['count']}"
            yield from (f"    {_change(one)}" for one in found["arrivals"][:_SHOWN])
    for rule, changes in sorted(difference["rules"].items()):
        for change, found in changes.items():
            if found["count"]:
                named = ", ".join(str(one) for one in found["arrivals"][:_SHOWN])
                yield f"  rule {rule} {change.replace('_', ' ')}: {found['count']} ({named}{', …' * (found['count'] > _SHOWN)})"
    if not any(found["count"] for found in difference["arrivals"].values()) and not difference["rules"]:
        yield "  none"


def _change(one: Mapping[str, Any]) -> str:
    before, after = (" ".join([side[0], ", ".join(side[1:])]).strip() for side in (one["active"], one["draft"]))
    return f"arrival {one['arrival']}: {before} → {after}"
