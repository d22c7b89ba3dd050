"""The bookkeeper with short waits, for alerts that a node raises after an hour, a day or a quarter of an hour: what it looks at
and does is the real one's. `python -m tests.network.hasty_bookkeeper`.
"""

from __future__ import annotations

import sys

from actors.base import run
from actors.bookkeeper import balance, deeds
from actors.bookkeeper.actor import BookkeeperActor
from actors.bookkeeper.alerts import conditions, filling, post, readings


def hurry() -> None:
    filling.EVERY_S, filling.LEAST_S, filling.WINDOW_S = 0.5, 2.0, 10.0
    balance.FIRST_COMPARE_S = balance.COMPARE_EVERY_S = balance.COMPARE_AGAIN_S = 1.0
    deeds.RETRY_S, deeds.AWAY_ALERT_S = 1.0, 2.0
    readings.UNSENT_S, conditions.WAL_LARGE_S, post.FIRST_RETRY_S = 3.0, 2.0, 1.0


if __name__ == "__main__":
    hurry()
    sys.exit(run(BookkeeperActor, sys.argv[1:]))
