"""When a series counts as complete: a pure judgement of what was seen on the monotonic clock.
It must not read the spool or any clock; the router hands in what it saw and when.

Complete: every association that brought images was released and no image came for `quiet_s`. Without that evidence
(one is still open, was aborted, or is unknown after a crash) only silence of `idle_s` completes it. Nor does a release say
anything of a source that spreads series over associations, one after the other.
"""

from __future__ import annotations

from dataclasses import field

from protocol.records import record
from protocol.spool.arrivals import OpenArrival

RELEASED, IDLE, ABORTED, SPREAD = "released", "idle", "aborted", "spread"


@record
class Times:
    """Completion times of a source, in seconds."""

    quiet_s: float
    idle_s: float


@record
class Seen:
    """How many images an arrival had when it last changed, and when the router saw that (monotonic seconds)."""

    images: int
    since: float


@record
class Complete:
    """Close it; `why` goes into the record."""

    why: str


@record
class Wait:
    """Not before this moment (monotonic seconds), if nothing changes. `why` would then stand in the record."""

    until: float
    why: str = field(default="", compare=False)


def look(arrival: OpenArrival, before: Seen | None, now: float) -> Seen:
    """What is remembered of an arrival after looking at it now. A new or grown one starts its silence now.

    A router that starts has no memory and starts every silence anew: that delays a series, and loses nothing.
    """
    if before is not None and before.images == arrival.images:
        return before
    return Seen(arrival.images, now)


def spreads(arrival: OpenArrival, times: Times) -> bool:
    """Whether this series came in one association after the other, so that the release of one does not end it.

    Associations side by side do not count, nor what follows an abort: that is a repetition. An addendum that waiting for
    `idle_s` would have caught counts: then `quiet_s` was over between two associations.
    """
    return arrival.followed or (arrival.late_s is not None and 0 <= arrival.late_s <= times.idle_s)


def judge(arrival: OpenArrival, seen: Seen, now: float, times: Times) -> Complete | Wait:
    """Complete, or wait until when."""
    why, silence_s = _evidence(arrival, times)
    until = seen.since + silence_s
    return Complete(why) if now >= until else Wait(until, why)


def _evidence(arrival: OpenArrival, times: Times) -> tuple[str, float]:
    """The reason that would stand in the record, and the silence that it takes."""
    if arrival.associations_open:
        return IDLE, times.idle_s
    if arrival.associations_aborted:
        return ABORTED, times.idle_s
    if arrival.associations and arrival.associations_released == arrival.associations:
        if arrival.seen_spreading or spreads(arrival, times):
            return SPREAD, max(times.idle_s, times.quiet_s)
        return RELEASED, times.quiet_s
    return IDLE, times.idle_s  # adopted after a crash or restore: nobody knows how its association ended


def reason(arrival: OpenArrival, why: str) -> str:
    """Why an arrival that waits is not complete, for the log."""
    if why == RELEASED:
        return "all its associations were released; no image may come for quiet_s"
    if why == SPREAD:
        return "its source spreads series over associations; no image may come for idle_s"
    if why == ABORTED:
        return "an association was aborted, so there may be more to come; no image may come for idle_s"
    if arrival.associations_open:
        return "an association that brought images is open; no image may come for idle_s"
    return "nobody knows how its associations ended; no image may come for idle_s"
