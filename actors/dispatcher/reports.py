"""What a slot tells its parent over their pipe: one JSON object per line, short enough to be written in one piece.
It must not carry anything whose loss matters: the spool knows the state, this only says who is busy and that it moves.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Protocol

from protocol.clock import Clock
from protocol.spool.deliveries import Claim

PROGRESS_EVERY_S = 0.25  # at most 4 Hz
ALIVE_EVERY_S = 1.0

ENTERED, IDLE, WORKING, PROGRESS, ALIVE, EVENTS = "entered", "idle", "working", "progress", "alive", "events"


class Reports(Protocol):
    """The slot's mouth."""

    def entered(self, owner: str) -> None:
        """The slot is registered under this name."""

    def idle(self) -> None:
        """Nothing to claim."""

    def working(self, claim: Claim, patience_s: float) -> None:
        """An attempt begins; more than `patience_s` seconds without a further report and it hangs."""

    def probing(self, target: str, patience_s: float) -> None:
        """Before a claim a target is asked whether it is there; that takes at most `patience_s` seconds."""

    def progress(self, claim: Claim, sent: int) -> None:
        """So many images of the delivery are sent."""

    def alive(self) -> None:
        """Something moved."""

    def events(self) -> None:
        """The outbox has new events."""


class NoReports:
    """A slot without a parent."""

    def entered(self, owner: str) -> None:
        return

    def idle(self) -> None:
        return

    def working(self, claim: Claim, patience_s: float) -> None:
        return

    def probing(self, target: str, patience_s: float) -> None:
        return

    def progress(self, claim: Claim, sent: int) -> None:
        return

    def alive(self) -> None:
        return

    def events(self) -> None:
        return


class PipeReports:
    """Writes to a pipe. Progress and signs of life are left out when they come too often or nobody reads them."""

    def __init__(self, fd: int, clock: Clock) -> None:
        self._fd, self._clock = fd, clock
        self._progress_due = self._alive_due = float("-inf")

    def entered(self, owner: str) -> None:
        self._write({"is": ENTERED, "owner": owner})

    def idle(self) -> None:
        self._write({"is": IDLE})

    def working(self, claim: Claim, patience_s: float) -> None:
        told = {"delivery": claim.delivery, "arrival": claim.arrival, "target": claim.target, "total": claim.total}
        self._write({"is": WORKING, **told, "patience_s": patience_s})

    def probing(self, target: str, patience_s: float) -> None:
        self._write({"is": WORKING, "delivery": None, "target": target, "patience_s": patience_s})

    def progress(self, claim: Claim, sent: int) -> None:
        now = self._clock.monotonic()
        if now >= self._progress_due or sent >= claim.total:
            self._progress_due, self._alive_due = now + PROGRESS_EVERY_S, now + ALIVE_EVERY_S
            self._write({"is": PROGRESS, "sent": sent}, may_drop=True)

    def alive(self) -> None:
        now = self._clock.monotonic()
        if now >= self._alive_due:
            self._alive_due = now + ALIVE_EVERY_S
            self._write({"is": ALIVE}, may_drop=True)

    def events(self) -> None:
        self._write({"is": EVENTS}, may_drop=True)

    def _write(self, report: Mapping[str, Any], *, may_drop: bool = False) -> None:
        """Shorter than PIPE_BUF, so it goes whole or not at all."""
        line = json.dumps(report).encode() + b"\n"
        try:
            os.set_blocking(self._fd, not may_drop)
            os.write(self._fd, line)
        except BlockingIOError:
            return  # the parent is suspended
        except BrokenPipeError:
            return  # the parent died; the other pipe tells us to end


def parse(line: bytes) -> dict[str, Any]:
    """A report as the parent reads it; an empty one if it is none (a slot that died while writing)."""
    try:
        report = json.loads(line)
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}
