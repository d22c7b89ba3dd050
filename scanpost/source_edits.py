"""`scanpost sources` add, set, remove: who sends is made known, changed and forgotten without an editor.
They must not judge values; the configuration that they become part of does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

import click

from protocol.errors import NotFound
from scanpost.asking import opened, routing_of
from scanpost.common import Options, json_option, pass_options
from scanpost.publishing import edit

DAY_S = 86_400
_REASON = click.option("--reason", "-r", default="", help="Why, for the history.")


@click.command()
@click.argument("name")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--calling-ae", help="Its AE title.")
@click.option("--address", help="Where it comes from: an address or a network.")
@click.option("--certificate", help="Subject or common name of its TLS certificate.")
@_REASON
@json_option
@pass_options
def add(
    options: Options, name: str, settings: tuple[str, ...], calling_ae: str | None, address: str | None,
    certificate: str | None, reason: str, as_json: bool,
) -> None:  # fmt: skip
    """Make a source known.

    \b
    Example: scanpost sources add mr1 --calling-ae MR1 --address 10.1.0.7 quiet_s=10
    """
    from protocol.routing.edits import add_source

    marks = {"calling_ae": calling_ae, "address": address, "certificate": certificate}
    values = {key: value for key, value in marks.items() if value is not None} | _values(settings)
    edit(options, add_source(name, values), reason or f"source {name} added", as_json)


@click.command("set")
@click.argument("name")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--suggested", is_flag=True, help="Take the completion time learned from parts that came late.")
@click.option("--days", default=30.0, show_default=True, help="Late parts of so many days count for it.")
@_REASON
@json_option
@pass_options
def set_(
    options: Options, name: str, settings: tuple[str, ...], suggested: bool, days: float, reason: str, as_json: bool
) -> None:
    """Change settings of a source; the others stay. KEY=null is the default again.

    \b
    Examples:
      scanpost sources set mr1 quiet_s=30 label="MR, ground floor"
      scanpost sources set mr1 --suggested
    """
    from protocol.routing.edits import change_source

    values = _values(settings)
    if suggested:
        values = _suggested(options, name, days) | values
        reason = reason or f"source {name}: completion time as suggested"
    if not values:
        raise click.UsageError("say what to change: KEY=VALUE, or --suggested")
    edit(options, change_source(name, values), reason or f"source {name} changed", as_json)


@click.command()
@click.argument("name")
@_REASON
@json_option
@pass_options
def remove(options: Options, name: str, reason: str, as_json: bool) -> None:
    """Forget a source: its sender is a stranger again, and receiver.unknown_sources decides."""
    from protocol.routing.edits import remove_source

    edit(options, remove_source(name), reason or f"source {name} removed", as_json)


def _suggested(options: Options, name: str, days: float) -> dict[str, Any]:
    """The longer times to try. Raises NotFound: nothing was learned."""
    from protocol.spool.senders import senders

    with opened(options, reading=True) as (settings, spool):
        known = routing_of(settings).current().configuration.sources
        late = spool.arrivals.late(time.time() - days * DAY_S)
        found = senders(known, settings.receiver.unknown_sources, (), late)
    suggested: dict[str, Any] = found["sources"].get(name, {}).get("suggested", {})
    if name in known and not suggested:
        raise NotFound(f"no part of a series of '{name}' came late in {days:g} days: there is nothing to suggest")
    return suggested


def _values(pairs: Iterable[str]) -> dict[str, Any]:
    """KEY=VALUE; a value is text where the setting is, else JSON (`30`, `false`, `["1.2.840..."]`), else text."""
    from protocol.routing.sources import Source

    properties = Source.model_json_schema()["properties"]
    values = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} is not KEY=VALUE")
        described = properties.get(key, {})
        ways = [described, *described.get("anyOf", ())]
        has_parts = any("$ref" in one for one in ways)  # commitment=spool is short for {"policy": "spool"}
        is_text = any(one.get("type") == "string" for one in ways) and not (has_parts and text.startswith("{"))
        values[key] = text if is_text and text != "null" else _json(text)
    return {key: _default(key) if value is None else value for key, value in values.items()}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _default(key: str) -> Any:
    """What `null` stands for: the default of the setting, as JSON data."""
    from pydantic import BaseModel

    from protocol.routing.sources import Source

    value = Source.model_fields[key].default if key in Source.model_fields else None
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value
