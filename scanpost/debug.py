"""`scanpost debug`: have an actor log its single steps for 15 minutes, see which do, end it early."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from scanpost.asking import when, who
from scanpost.audited import audited
from scanpost.common import Options, json_option, pass_options, print_json, print_table, say


@click.command()
@click.argument("actor", required=False)
@click.option("--end", is_flag=True, help="End it now, and not after 15 minutes.")
@json_option
@pass_options
def debug(options: Options, actor: str | None, end: bool, as_json: bool) -> None:
    """Which actors log their steps; with ACTOR (receiver, router, dispatcher) have it do so for 15 minutes.

    Nothing is restarted, and it ends by itself. The receiver tells what each association agreed on and the status of each
    image, the router why a series is not complete yet, the dispatchers the steps of each attempt. No patient data.

    \b
    Examples:
      scanpost debug
      scanpost debug receiver
      scanpost debug receiver --end
    """
    from protocol import loglevel

    if end and actor is None:
        raise click.UsageError("--end needs an ACTOR")
    settings, now = options.settings(), time.time()
    if actor is not None:
        if actor not in loglevel.ACTORS:
            raise click.BadParameter(f"one of {', '.join(loglevel.ACTORS)}", param_hint="ACTOR")
        before = {one.actor: one.until for one in loglevel.wishes(settings, now)}.get(actor, 0.0)
        until = 0.0
        if end:
            loglevel.end(settings, actor)
        else:
            until = loglevel.wish(settings, actor, f"cli:{who()}", now).until
        audited(settings, "log.level", f"actor/{actor}", {"debug_until": before}, {"debug_until": until})
    found = loglevel.wishes(settings, now)
    if as_json:
        print_json([{**asdict(one), "left_s": round(one.until - now)} for one in found])
    elif found:
        print_table(["actor", "until", "left", "by"],
                    [[one.actor, when(one.until), f"{(one.until - now) / 60:.0f} min", one.by] for one in found])  # fmt: skip
    else:
        say("no actor logs its steps; `scanpost debug receiver` has the receiver do so for 15 minutes")
