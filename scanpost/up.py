"""`scanpost up`, `down`, `restart`: start and stop all programs of this node. It must not do any program's work.

`up` checks settings and spool first, so that a mistake is one clear line and not a heap of restarting programs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from protocol.programs import SLOTS
from scanpost.audited import audited
from scanpost.common import EXIT_FAILED, Options, pass_options, say

if TYPE_CHECKING:
    from protocol.settings import Settings

_STOPPED_S = 150.0
_RESTARTED_S = 60.0


@click.command()
@click.option("-d", "--detach", is_flag=True, help="Return as soon as everything serves.")
@click.option("--dispatchers", type=click.IntRange(1, SLOTS), help="How many dispatchers; kept until changed.")
@click.option("--no-bus", is_flag=True, help="Without the event bus: correct, but slower to notice.")
@click.option("--demo", is_flag=True, help="Add a demo target and rule, and keep sending a sample series for a while.")
@pass_options
def up(options: Options, detach: bool, dispatchers: int | None, no_bus: bool, demo: bool) -> None:
    """Start everything; in the foreground until Ctrl-C, which stops everything in order.

    Prints one line that starts with `ready` when everything serves. If supervisord is killed, the programs keep
    working, and a foreground `up` starts over. Where everything runs already, --dispatchers alone changes their number.

    \b
    Examples:
      scanpost up
      scanpost up -d --dispatchers 3
      scanpost up --dispatchers 4          more of them while the node works
      scanpost up --no-bus
    """
    from protocol import dispatchers as wanted
    from scanpost.common import as_environment
    from scanpost.dispatchers import scale
    from scanpost.node import Node

    flags = dict(options.overrides)
    if no_bus:
        flags["bus.enabled"] = False
    settings = Options(options.home, flags, starts=True).settings()
    if dispatchers is not None and not (no_bus or demo) and _runs(settings):
        scale(settings, dispatchers)
        return
    number = wanted.dispatchers(settings, dispatchers)
    node = Node(settings, number, as_environment(flags), demo=demo)
    click.get_current_context().exit(node.up(detach=detach))


def _runs(settings: Settings) -> bool:
    from protocol.programs import NotRunning, manager

    try:
        manager(settings).pid()
    except NotRunning:
        return False
    return True


@click.command()
@pass_options
def down(options: Options) -> None:
    """Stop everything, in order; also what an earlier, killed supervisord left over."""
    from scanpost.node import stop_all

    settings = options.settings()
    stopped = stop_all(settings, _STOPPED_S)
    if stopped:
        audited(settings, "down", "node")
    say("stopped" if stopped else "nothing was running")


@click.command()
@click.argument("actor", required=False)
@pass_options
def restart(options: Options, actor: str | None) -> None:
    """Restart one actor (or webgui), or all, and wait until it serves again.

    \b
    Examples:
      scanpost restart dispatcher
      scanpost restart
    """
    from protocol.programs import manager
    from scanpost.node import wait_until_ready

    settings = options.settings()
    programs = manager(settings)
    every = programs.programs()
    names = sorted({one.group for one in every})
    if actor is not None and actor not in names:
        raise click.BadParameter(f"there is no {actor!r}; one of {', '.join(names)}", param_hint="ACTOR")
    running = [one for one in every if one.wanted and actor in (None, one.group)]
    audited(settings, "restart", actor or "node")
    for one in running:
        programs.stop(one.name)
        programs.start(one.name)
    groups = [one.group for one in every if one.wanted]
    missing = wait_until_ready(settings, groups.count("dispatcher"), "bus" in groups, _RESTARTED_S)
    if missing:
        say(f"restarted, but not ready: {', '.join(missing)}")
        click.get_current_context().exit(EXIT_FAILED)
    say(f"restarted {', '.join(one.name for one in running) or 'nothing: nothing was running'}")
