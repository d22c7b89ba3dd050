"""When a delivery or a report that failed is tried again, and how long its target is left alone. Pure: values in, a time out.
It must not read a clock, sleep, or know why something failed.
"""

from __future__ import annotations

from random import Random

from protocol.routing.targets import Retry

JITTER = 0.1  # +-10 %: what failed together must not come back together
LONGEST_BREAK_S = 60.0  # a target that is back is noticed within a minute, however long the waits of deliveries are


def next_try(retry: Retry, failed_before: int, first_tried: float, now: float, random: Random) -> float | None:
    """When to try again after one more failure (seconds UTC), or None: park it.

    `failed_before` counts the failures before this one. Waits grow by `factor` from `first_s` to `max_s`; the last try
    is at the very end of `give_up_after_s`, so that a target that came back late still gets it.
    """
    if retry.max_attempts is not None and failed_before + 1 >= retry.max_attempts:
        return None
    due = now + _wait(retry, failed_before, retry.max_s, random)
    if retry.give_up_after_s is None:
        return due
    end = min(first_tried, now) + retry.give_up_after_s  # min: a clock that was set back must not prolong it
    return None if now >= end else min(due, end)


def leave_alone_s(retry: Retry, fails: int, random: Random) -> float:
    """How long nobody tries a target that could not be reached, after `fails` failures in a row before this one."""
    return _wait(retry, fails, min(retry.max_s, LONGEST_BREAK_S), random)


def _wait(retry: Retry, failures: int, longest: float, random: Random) -> float:
    try:
        wait = retry.first_s * retry.factor**failures
    except OverflowError:
        wait = longest
    return min(wait * random.uniform(1 - JITTER, 1 + JITTER), longest)
