"""`scanpost sources`: who sends, who is known, and what to write to make a stranger known.
This file has the group and the list, which must not change anything; `source_edits` does.
"""

from __future__ import annotations

import json
import time
from typing import Any

import click

from scanpost.asking import opened, routing_of, when
from scanpost.common import Options, json_option, pass_options, print_json, print_table, say
from scanpost.source_edits import DAY_S, add, remove, set_


@click.group()
def sources() -> None:
    """Who sends images here: known sources and strangers."""


for _command in (add, set_, remove):
    sources.add_command(_command)


@sources.command("list")
@click.option("--days", default=30.0, show_default=True, help="Strangers and late series of so many days.")
@json_option
@pass_options
def list_sources(options: Options, days: float, as_json: bool) -> None:
    """Known sources with policy and when they were last seen, strangers with what to paste into routing.json.

    Sources whose series came in parts, an addendum after the series, are shown with a longer time to try;
    `scanpost sources set NAME --suggested` takes it.
    """
    from protocol.spool.senders import senders

    since = time.time() - days * DAY_S
    with opened(options, reading=True) as (settings, spool):
        configuration = routing_of(settings).current().configuration
        found = senders(
            configuration.sources, settings.receiver.unknown_sources, spool.sightings.all(), spool.arrivals.late(since)
        )
    found["unknown"] = [one for one in found["unknown"] if one["last_seen"] >= since]
    for one in found["sources"].values():
        one["completion"] = {
            key: getattr(settings.router, key) if one["policy"][key] is None else one["policy"][key]
            for key in ("quiet_s", "idle_s")
        }
    if as_json:
        print_json(found)
        return
    print_table(
        ["source", "label", "recognised by", "complete after", "policy", "last seen", "associations", "rejected", "try"],
        [[name, one["label"], _marks(one["policy"]), _times(one["completion"]), _policy(one["policy"]),
          when(one["last_seen"]), one["associations"], one["rejected"], _settings(one["suggested"])]
         for name, one in found["sources"].items()],
        "Known sources",
    )  # fmt: skip
    print_table(
        ["calling AE", "address", "called AE", "certificate", "last seen", "associations", "rejected", "why"],
        [[one["calling_ae"], one["address"], one["called_ae"], one["certificate"], when(one["last_seen"]),
          one["associations"], one["rejected"], one["reason"]] for one in found["unknown"]],
        f"Unknown sources (receiver.unknown_sources: {found['unknown_sources']})",
    )  # fmt: skip
    for name, one in found["sources"].items():
        if one["suggested"]:
            say(f"Series of '{name}' came in parts. To wait longer: scanpost sources set {name} --suggested")
    _tell_late(found["late"])
    _tell_snippet(found["unknown"])


def _marks(policy: dict[str, Any]) -> str:
    return " ".join(str(policy[key]) for key in ("calling_ae", "address", "certificate") if policy[key])


def _policy(policy: dict[str, Any]) -> str:
    """What differs from the defaults."""
    from protocol.routing.sources import Source

    hidden = {"calling_ae", "address", "certificate", "label", "comment"}
    changed = _changed(policy, Source(calling_ae="ANY").model_dump(mode="json"))
    return _settings({key: value for key, value in changed.items() if key not in hidden})


def _changed(values: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    """What is not as usual, also inside of settings that have parts."""
    return {
        key: _changed(value, usual[key]) if isinstance(value, dict) and isinstance(usual[key], dict) else value
        for key, value in values.items()
        if value != usual[key]
    }


def _times(times: dict[str, float]) -> str:
    return f"{times['quiet_s']:g} s quiet, {times['idle_s']:g} s idle"


def _settings(values: dict[str, Any]) -> str:
    return ", ".join(f"{key}={json.dumps(value)}" for key, value in values.items())


def _tell_late(late: list[dict[str, Any]]) -> None:
    strangers = [one for one in late if one["source"] is None]
    if strangers:
        print_table(
            ["calling AE", "late parts", "latest after", "try"],
            [[one["calling_ae"], one["addenda"], f"{one['longest_s']:g} s", _settings(one["suggested"])]
             for one in strangers],
            "Series that came in parts, of unknown sources",
        )  # fmt: skip


def _tell_snippet(unknown: list[dict[str, Any]]) -> None:
    """Pieces of routing.json on stdout, what to do with them on stderr."""
    snippets = {one["name"]: one["source"] for one in unknown if one["source"]}
    if not snippets:
        return
    say("To make them known: scanpost sources add NAME --calling-ae AE --address ADDRESS, or paste into")
    say('"sources" of `scanpost routing export`, then `scanpost routing import`:')
    for name, source in snippets.items():
        click.echo(f"{json.dumps(name)}: {json.dumps(source)},")
