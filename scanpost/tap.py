"""`scanpost tap`: listen to the events, for people and for scripts that wait for something. It changes nothing."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from scanpost.asking import opened
from scanpost.common import Options, pass_options, say

if TYPE_CHECKING:
    from protocol.wire.messages import Envelope, Event

EXIT_TIMEOUT = 124
LISTED = "docs/events.md lists them all"


@click.command()
@click.argument("patterns", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One CloudEvents JSON object per line.")
@click.option("--since", help="A number, a duration (2h30m) or an ISO 8601 time; default: from now on.")
@click.option("--count", type=click.IntRange(1), help="Stop after so many events.")
@click.option(
    "--timeout", "timeout_s", type=float, help="Stop after so many seconds (exit 124 if fewer than --count came)."
)
@click.option("--no-follow", "-e", is_flag=True, help="Stop at the present end.")
@click.option(
    "--where", "conditions", multiple=True, metavar="FIELD=VALUE", help="Only events whose field has this value."
)
@click.option("--quiet", "-q", is_flag=True, help="Print nothing; for scripts that wait.")
@click.option("--no-bus", is_flag=True, help="Read the outbox instead of listening to the bus.")
@pass_options
def tap(
    options: Options, patterns: tuple[str, ...], as_json: bool, since: str | None, count: int | None, timeout_s: float | None,
    no_follow: bool, conditions: tuple[str, ...], quiet: bool, no_bus: bool,
) -> None:  # fmt: skip
    """Listen to events. PATTERNS such as 'delivery.*' or '!*.claimed' choose them by type.

    What no event can fit, a pattern or a field of --where, is refused (exit 2).

    \b
    Examples:
      scanpost tap 'delivery.*'
      scanpost tap --since 2h 'arrival.discarded' --json --no-follow
      scanpost tap delivery.completed --where target=pacs --count 1 --timeout 60 --quiet && echo arrived
    """
    from protocol.wire.lanes import endpoints
    from protocol.wire.tap import tap as listen

    wanted = [_condition(text) for text in conditions]
    kinds = _kinds(patterns, [name for name, _ in wanted])
    seen = 0
    started = time.monotonic()
    with opened(options, reading=True) as (settings, spool):
        bus = settings.bus.enabled and not no_bus and spool.fs.is_locked(spool.places.run / "bus.lock")
        source: Any = endpoints(settings) if bus else spool
        if not bus and all(kind.ROOT != "ev" for kind in kinds):
            say("only the bus tells these events, and it is not listened to; nothing will come")
        try:
            with listen(
                source, patterns, since, None if wanted else count, timeout_s, follow=not no_follow, notice=say
            ) as events:
                for event in events:
                    if not all(_field(event, name) == value for name, value in wanted):
                        continue
                    seen += 1
                    if not quiet:
                        click.echo(_line(event, as_json))
                    if count is not None and seen >= count:
                        return
        except KeyboardInterrupt:
            return
    if timeout_s is not None and time.monotonic() - started >= timeout_s and (count is None or seen < count):
        raise click.exceptions.Exit(EXIT_TIMEOUT)


def _kinds(patterns: tuple[str, ...], names: list[str]) -> list[type[Event]]:
    """The types that are listened to. What can never come is refused, or else somebody waits for it for ever."""
    from protocol.errors import WireError
    from protocol.routing.rules.names import did_you_mean
    from protocol.wire import catalogue

    try:
        kinds, unfit = catalogue.chosen(patterns), catalogue.unfit(patterns)
    except WireError as exc:
        raise click.UsageError(str(exc)) from exc
    told = [f"no event fits {text!r}; {did_you_mean(text.strip('!'), catalogue.names(), LISTED)}" for text in unfit]
    if not kinds:
        raise click.UsageError("; ".join(told) or f"these patterns leave no event; {LISTED}")
    for text in told:
        say(text)
    for name in names:
        if name not in (there := catalogue.fields(kinds)):
            cure = did_you_mean(name, there, LISTED)
            raise click.BadParameter(f"none of these events has a field {name!r}; {cure}", param_hint="--where")
    return kinds


def _condition(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not FIELD=VALUE", param_hint="--where")
    return name.removeprefix("data."), value


def _field(event: Envelope, name: str) -> str:
    return str(event.data[name] if name in event.data else getattr(event, name, ""))


def _line(event: Envelope, as_json: bool) -> str:
    from protocol.wire.cloudevents import to_json

    if as_json:
        return to_json(event)
    clock = time.strftime("%H:%M:%S", time.localtime(event.time))
    told = " ".join(
        f"{key}={json.dumps(value) if isinstance(value, list | dict) else value}" for key, value in event.data.items()
    )
    return f"{clock} {event.type} {event.subject} {told}"
