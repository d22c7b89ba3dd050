"""When an actor's next pass, look and heartbeat are: each second while anything happens, seldom while nothing does.
It must not wait, read or send anything; `life` asks it and does.

The look tells whether anything was committed. It stands for every message that was lost, so it stays at a second whatever else
becomes seldom, unless the kernel wakes us at the next commit (`watch`). All of it falls on whole seconds of the machine's
monotonic clock: one wake-up per actor and second, and one of the bus for all heartbeats.
"""

from __future__ import annotations

LOOK_S = 1.0
HEARTBEAT_S = 1.0  # while there is anything to tell
QUIET_S = 15.0  # between heartbeats, and at most between passes, while there is not
QUIET_AFTER_S = 3.0  # so long nothing has to happen first: longer than any part of an actor waits for its turn
REST_S = 60.0  # what an actor asks for that has nothing which time alone moves


def next_at(now: float, every_s: float) -> float:
    """The next multiple of `every_s` behind `now`."""
    return (now // every_s + 1) * every_s


class Rhythm:
    """Times are monotonic seconds. `due`: the next pass; `look`: the next look; `beat`: the next heartbeat."""

    def __init__(self, now: float) -> None:
        self.due = self.look = self.beat = self._stirred = now

    def wait_s(self, now: float) -> float:
        """How long there is nothing to do."""
        return max(0.0, min(self.due, self.look, self.beat) - now)

    def stir(self, now: float) -> None:
        """Something happened."""
        self._stirred = now
        self.beat = min(self.beat, next_at(now, HEARTBEAT_S))
        self.look = min(self.look, next_at(now, LOOK_S))

    def looked(self, now: float, *, hurry: bool, watched: bool = False) -> None:
        """The look was made; `hurry`: a pass has to follow at once; `watched`: the next commit wakes us anyhow."""
        self.look = next_at(now, QUIET_S if watched else LOOK_S)
        self.due = min(self.due, now) if hurry else self.due

    def passed(self, now: float, wait_s: float, *, failed: bool) -> None:
        """A pass was made that asks to come back after `wait_s`; who comes back sooner than the next look is busy."""
        if failed or wait_s < LOOK_S:
            self.stir(now)
            self.due = now + max(0.0, wait_s)
        elif wait_s == LOOK_S or not self.calm(now):
            self.due = next_at(now, LOOK_S)
        else:
            self.due = next_at(now, QUIET_S) if wait_s >= QUIET_S else now + wait_s

    def beaten(self, now: float) -> None:
        """The heartbeat was sent."""
        self.beat = next_at(now, QUIET_S if self.calm(now) else HEARTBEAT_S)

    def calm(self, now: float) -> bool:
        """Nothing has happened for a while."""
        return now - self._stirred >= QUIET_AFTER_S
