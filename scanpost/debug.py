"""`scanpost debug`: have an actor log its single steps for 15 minutes, or the receiver those of the next associations; see
which do, end it early. It must not touch the actors: their loggers read the wish.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from scanpost.asking import node_there, when, who
from scanpost.audited import audited
from scanpost.common import Options, json_option, pass_options, print_json, print_table, say

if TYPE_CHECKING:
    from protocol.settings import Settings


@click.command()
@click.argument("actor", required=False)
@click.option("--end", is_flag=True, help="End it now, and not after 15 minutes.")
@click.option(
    "--next",
    "count",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Of the receiver: not for 15 minutes, but the next N associations that open within a day.",
)
@json_option
@pass_options
def debug(options: Options, actor: str | None, end: bool, count: int | None, as_json: bool) -> None:
    """Which actors log their steps; with ACTOR (receiver, router, dispatcher) have it do so for 15 minutes.

    Nothing is restarted, and it ends by itself. The receiver tells what each association agreed on and the status of each
    image, the router why a series is not complete yet, the dispatchers the steps of each attempt. No patient data.
    With --next it is so many associations, whenever they come, each until its end: for a scanner that calls now and then.

    \b
    Examples:
      scanpost debug
      scanpost debug receiver
      scanpost debug receiver --next 10
      scanpost debug receiver --end
    """
    from protocol import following, loglevel

    settings, now = options.settings(), time.time()
    if actor is None and (end or count):
        raise click.UsageError("--end and --next need an ACTOR")
    if count and (end or actor != following.ACTOR):
        raise click.UsageError(f"--next is about associations of the {following.ACTOR}, and not with --end")
    if actor is not None and actor not in loglevel.ACTORS:
        raise click.BadParameter(f"one of {', '.join(loglevel.ACTORS)}", param_hint="ACTOR")
    if actor is not None:
        node_there(settings)
    if actor is not None and count:
        _follow(settings, count, now)
    elif actor is not None:
        _debug(settings, actor, end, now)
    _show(settings, now, as_json)


def _follow(settings: Settings, count: int, now: float) -> None:
    from protocol import following

    before = following.following(settings, now)
    made = following.follow(settings, count, f"cli:{who()}", now)
    told = {"debug_associations": made.count}
    audited(
        settings, "log.level", f"actor/{following.ACTOR}", {"debug_associations": before.left if before else 0}, told
    )


def _debug(settings: Settings, actor: str, end: bool, now: float) -> None:
    from protocol import following, loglevel

    before = {one.actor: one.until for one in loglevel.wishes(settings, now)}.get(actor, 0.0)
    until = 0.0
    if end:
        loglevel.end(settings, actor)
        if actor == following.ACTOR:
            following.end(settings)
    else:
        until = loglevel.wish(settings, actor, f"cli:{who()}", now).until
    audited(settings, "log.level", f"actor/{actor}", {"debug_until": before}, {"debug_until": until})


def _show(settings: Settings, now: float, as_json: bool) -> None:
    from protocol import following, loglevel

    found: list[dict[str, Any]] = [{**asdict(one), "associations": None} for one in loglevel.wishes(settings, now)]
    if one := following.following(settings, now):
        found.append({"actor": following.ACTOR, "until": one.until, "by": one.by, "associations": one.left})
    if as_json:
        print_json([{**one, "left_s": round(one["until"] - now)} for one in found])
    elif found:
        print_table(
            ["actor", "until", "left", "by"],
            [[one["actor"], when(one["until"]), _left(one, now), one["by"]] for one in found],
        )
    else:
        say("no actor logs its steps; `scanpost debug receiver` has the receiver do so for 15 minutes")


def _left(one: dict[str, Any], now: float) -> str:
    if one["associations"] is None:
        return f"{(one['until'] - now) / 60:.0f} min"
    return "the next association" if one["associations"] == 1 else f"the next {one['associations']} associations"
