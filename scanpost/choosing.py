"""Which deliveries or arrivals a command means: ids, or filters that are the same for lists and for acts; and asking for an act.
It must not decide the set: the router does when it carries the act out; here it is only counted and shown.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from scanpost.asking import act, opened, since
from scanpost.common import Options, json_option, print_json, print_table, say

if TYPE_CHECKING:
    from protocol.selection import Selection
    from protocol.spool import Spool

ASK_ABOVE = 100  # so many are meant on purpose; a mistyped filter means thousands
SHOWN = 20
Command = Callable[..., Any]


def filters(what: str) -> Callable[[Command], Command]:
    """Adds the filters of `what` (delivery or arrival); the command gets them as keywords of `selection_of`."""
    from protocol.causes import Cause
    from protocol.selection import STATES

    target = "--target" if what == "delivery" else "--for-target"
    states = f"{', '.join(STATES[what])}; may be given several times."
    made = "when it was made" if what == "delivery" else "when its first image came"
    options = [
        click.option("--state", "states", multiple=True, type=click.Choice(STATES[what]), help=states,
                     metavar="STATE"),
        click.option(target, "target", help="Only to this target." if what == "delivery" else "With a delivery to it."),
        click.option("--source", help="AE title of the sender."),
        click.option("--rule", help="Routed by this rule."),
        click.option("--cause", type=click.Choice([str(cause) for cause in Cause]), metavar="CAUSE",
                     help="Failed for this cause; see `scanpost queue causes`."),
        click.option("--study", help="Study Instance UID."),
        click.option("--series", help="Series Instance UID."),
        click.option("--modality", help="CT, MR, ..."),
        click.option("--since", help=f"A duration (2h30m) or an ISO 8601 time: not older, by {made}."),
        click.option("--until", help="The same: not younger."),
    ]  # fmt: skip

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


FILTERS = ("states", "target", "source", "rule", "cause", "study", "series", "modality", "since", "until")


def selection_of(values: dict[str, Any]) -> Selection:
    """Takes the filters out of a command's options."""
    from protocol.selection import Selection

    given = {name: values.pop(name) for name in FILTERS if name in values}
    for name in ("since", "until"):
        given[name] = since(given[name], f"--{name}") if given.get(name) is not None else None
    return Selection(**{**given, "states": tuple(given.get("states", ()))})


def acting(what: str) -> Callable[[Command], Command]:
    """Adds what every act has: ids, filters, --reason, --dry-run, --yes, --json."""
    options = [
        click.argument("ids", type=click.IntRange(1), nargs=-1),
        filters(what),
        click.option("--reason", default="", help="Why: kept with the act and everything it touches."),
        click.option("--dry-run", is_flag=True, help="Only say how many, and which."),
        click.option("-y", "--yes", is_flag=True, help=f"Do not ask, also above {ASK_ABOVE}."),
        json_option,
    ]

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def ask(options: Options, kind: str, values: dict[str, Any], more: Mapping[str, Any] | None = None) -> None:
    """Have an act carried out on what the options of `acting` say, after showing or asking what people have to know."""
    from dataclasses import replace

    from protocol.acts import states_for

    all_parked = values.pop("all_parked", False)
    selection = selection_of(values)
    if all_parked:
        if selection.states not in ((), ("parked",)):
            raise click.UsageError("--all-parked and another --state exclude each other")
        selection = replace(selection, states=("parked",))
    ids = list(values["ids"])
    if bool(ids) == (not selection.empty):
        raise click.UsageError("name either ids, or filters such as --target, --state, --source, --since")
    if not ids:
        selection = replace(selection, states=states_for(kind, selection))
        if values["dry_run"] or _must_ask(values):
            with opened(options, reading=True) as (_, spool):
                counts = matching(spool, kind, selection)
                if values["dry_run"]:
                    _show(spool, kind, selection, counts, values["as_json"])
                    return
            _confirm(kind, sum(counts.values()))
    elif values["dry_run"]:
        _show_ids(options, kind, ids, values["as_json"])
        return
    arguments = {"ids": ids} if ids else {"where": selection.plain()}
    act(options, kind, {**arguments, "reason": values["reason"], **(more or {})}, values["as_json"])


def matching(spool: Spool, kind: str, selection: Selection) -> dict[tuple[str, str], int]:
    """How many match now, by state and target (of arrivals: source)."""
    from protocol.spool.selecting import ARRIVALS, DELIVERIES

    return spool.bulk.matching(DELIVERIES if kind.startswith("queue.") else ARRIVALS, selection)


def _must_ask(values: Mapping[str, Any]) -> bool:
    return not values["yes"] and sys.stdin.isatty()


def _confirm(kind: str, count: int) -> None:
    if count > ASK_ABOVE:
        noun = "deliveries" if kind.startswith("queue.") else "arrivals"
        click.confirm(f"{kind.partition('.')[2]} {count} {noun}?", abort=True, err=True)


def _show(spool: Spool, kind: str, selection: Selection, counts: Mapping[tuple[str, str], int], as_json: bool) -> None:
    of_deliveries = kind.startswith("queue.")
    rows = (spool.deliveries if of_deliveries else spool.arrivals).select(selection, limit=SHOWN)
    total = sum(counts.values())
    whose = "target" if of_deliveries else "source"
    if as_json:
        found = [{"state": state, whose: name, "count": count} for (state, name), count in counts.items()]
        print_json(
            {"kind": kind, "dry_run": True, "matched": total, "by": found, "newest": [row["id"] for row in rows]}
        )
        return
    say(f"{kind.partition('.')[2]}: {total} would be touched" + (f"; the newest {SHOWN}:" if total > SHOWN else ""))
    print_table(["state", whose, "count"], [[state, name, count] for (state, name), count in counts.items()])
    columns = ["id", "arrival", "source", "target", "state"] if of_deliveries else ["id", "source", "modality", "state"]
    names = [{"source": "calling_ae"}.get(column, column) for column in columns]
    print_table(columns, [[row[name] for name in names] for row in rows], title="\nNewest")


def _show_ids(options: Options, kind: str, ids: list[int], as_json: bool) -> None:
    from protocol.acts import CAN
    from protocol.errors import NotFound

    found: list[dict[str, Any]] = []
    with opened(options, reading=True) as (_, spool):
        for id in ids:
            try:
                row = (spool.deliveries if kind.startswith("queue.") else spool.arrivals).get(id)
            except NotFound as exc:
                found.append({"id": id, "state": None, "can": False, "why": str(exc)})
                continue
            can = row["state"] in CAN[kind]
            found.append({"id": id, "state": row["state"], "can": can, "why": "" if can else f"is {row['state']}"})
    if as_json:
        print_json({"kind": kind, "dry_run": True, "matched": sum(one["can"] for one in found), "ids": found})
        return
    print_table(["id", "state", "would be touched"],
                [[one["id"], one["state"], "yes" if one["can"] else f"no: {one['why']}"] for one in found])  # fmt: skip
