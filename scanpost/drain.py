"""`scanpost drain`: before maintenance, let nothing more in and see to it that what is here is delivered; and end that.
It must not stop a program: `scanpost down` does, at any time, and loses nothing either.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from scanpost.asking import act, opened
from scanpost.common import EXIT_FAILED, Options, json_option, pass_options, print_json, say

if TYPE_CHECKING:
    from protocol.spool import Spool
    from protocol.spool.draining import Left

LOOK_S = 0.5


@click.command()
@click.option("--reason", default="", help="Why; shown to everybody who wonders.")
@click.option("--wait", is_flag=True, help="Return when nothing goes on any more; says what is left meanwhile.")
@click.option(
    "--limit", "limit_s", type=click.FloatRange(min=0), help="With --wait: give up after so many seconds, exit 1."
)
@click.option("--end", is_flag=True, help="Take images again.")
@json_option
@pass_options
def drain(options: Options, reason: str, wait: bool, limit_s: float | None, end: bool, as_json: bool) -> None:
    """Before maintenance: refuse new associations (transiently, so that scanners try again) and deliver what is here.

    Open associations may finish. It lasts over restarts until `--end`; meanwhile /readyz answers 503, so a load balancer
    sends scanners elsewhere. What is parked or held waits for people and does not keep the node from being drained.

    \b
    Examples:
      scanpost drain --wait --reason "disk is exchanged" && scanpost down
      scanpost drain --end
    """
    if end and (wait or limit_s is not None):
        raise click.UsageError("--end and --wait exclude each other")
    act(options, "node.resume" if end else "node.drain", {"reason": reason}, as_json and not wait)
    if wait:
        with opened(options, reading=True) as (_, spool):
            left = _wait(spool, limit_s)
        if as_json:
            print_json({"drained": left.nothing, "associations": left.associations, "arrivals": left.arrivals,
                        "deliveries": left.deliveries, "stays": left.stays})  # fmt: skip
        say(_end_words(left))
        if not left.nothing:
            raise click.exceptions.Exit(EXIT_FAILED)


def _wait(spool: Spool, limit_s: float | None) -> Left:
    """Until nothing goes on, or so many seconds; what is left is told whenever it changes."""
    deadline = None if limit_s is None else time.monotonic() + limit_s
    told, quiet = "", False
    while True:
        left, shut = spool.draining.left(), _is_shut(spool)
        # Twice: who was let in just before the receiver shut has its row a moment later.
        if (left.nothing and shut and quiet) or (deadline is not None and time.monotonic() >= deadline):
            return left
        quiet = left.nothing and shut
        words = "" if left.nothing else _words(left, _troubles(spool))
        if words and words != told:
            say(words)
            told = words
        time.sleep(LOOK_S)


def _is_shut(spool: Spool) -> bool:
    """Whether nobody is let in any more: the receiver has heard of it, or there is none."""
    drain = spool.draining.state()
    return drain is None or drain.shut or not spool.fs.is_locked(spool.places.run / "receiver.lock")


def _troubles(spool: Spool) -> dict[str, str]:
    """Why targets get nothing at the moment."""
    now = time.time()
    found = {}
    for name, state in spool.targets.all().items():
        if state.paused and (state.until is None or state.until > now):
            found[name] = "paused"
        elif state.fails:
            found[name] = f"down: {state.last_error}"
    return found


def _words(left: Left, troubles: dict[str, str]) -> str:
    coming = sum(left.arrivals.get(state, 0) for state in ("open", "closed"))
    parts = [
        _count(left.associations, "association is open", "associations are open"),
        _count(coming, "series is not complete", "series are not complete"),
        _count(left.arrivals.get("waiting", 0), "series waits for its study", "series wait for their studies"),
    ]
    for name, states in sorted(left.deliveries.items()):
        why = f" ({troubles[name]})" if name in troubles else ""
        parts.append(_count(sum(states.values()), "delivery", "deliveries") + f" to {name}{why}")
    return "left: " + "; ".join(filter(None, parts))


def _end_words(left: Left) -> str:
    stays = _count(left.stays, "delivery is", "deliveries are")
    words = "drained: nothing goes on" if left.nothing else _words(left, {})
    return words + (f"; {stays} parked or held until a person acts" if stays else "")


def _count(count: int, one: str, many: str) -> str:
    return "" if not count else f"{count} {one if count == 1 else many}"
