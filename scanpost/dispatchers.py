"""`scanpost dispatchers`: how many dispatchers run, and more or fewer of them while the node works."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scanpost.audited import audited
from scanpost.common import EXIT_FAILED, Options, json_option, pass_options, print_json, say

if TYPE_CHECKING:
    from protocol.settings import Settings

READY_S = 60.0


@click.command()
@click.argument("number", type=int, required=False)
@json_option
@pass_options
def dispatchers(options: Options, number: int | None, as_json: bool) -> None:
    """How many dispatchers run; with NUMBER, have so many run from now on, also after the next start.

    One that is too many finishes the image under way and hands the rest of its deliveries back, which the others take up
    at the next image; after 30 s it is ended, and what it had is handed back then.

    \b
    Examples:
      scanpost dispatchers
      scanpost dispatchers 3
    """
    from protocol.programs import SLOTS

    if number is not None and not 1 <= number <= SLOTS:
        raise click.BadParameter(f"between 1 and {SLOTS} are possible", param_hint="NUMBER")
    scale(options.settings(), number, as_json)


def scale(settings: Settings, number: int | None, as_json: bool = False) -> None:
    """Have so many dispatchers run, unless it is None, and tell how many there are. Raises NotRunning; exits 1 if one is not ready."""
    from protocol import dispatchers as wanted
    from protocol.programs import manager
    from scanpost.node import wait_until_ready

    programs = manager(settings)
    missing: list[str] = []
    if number is not None:
        before = wanted.dispatchers(settings)
        wanted.change(settings, programs, number)
        audited(settings, "dispatchers", "node", {"dispatchers": before}, {"dispatchers": number})
        # Whether there is a bus was chosen when the node was started.
        with_bus = any(one.group == "bus" and one.wanted for one in programs.programs())
        missing = wait_until_ready(settings, number, with_bus, READY_S)
    running = sorted(
        one.name.rpartition(":")[2] for one in programs.programs() if one.group == "dispatcher" and one.wanted
    )
    if as_json:
        print_json({"wanted": wanted.dispatchers(settings), "running": running, "missing": missing})
    else:
        say(f"{len(running)} dispatchers run" + (f"; not ready: {', '.join(missing)}" if missing else ""))
    if missing:
        raise click.exceptions.Exit(EXIT_FAILED)
