"""The process of one slot: `python -m actors.dispatcher.slot`, started by a dispatcher, told by pipes, killed alone.
It must not look for work by itself: idle, it sleeps on its pipe until its parent says that there is some.

Its stdin is the parent's voice: `work`, and the end of it means stop (also when the parent was killed). Then, as after
SIGTERM, the image under way is finished, the delivery given back and the process ends; until then its lock is held and
its claim respected.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import select
import sys
from collections.abc import Sequence
from typing import Any

from actors import child
from actors.dispatcher.limits import terms_of
from actors.dispatcher.reports import PipeReports
from actors.dispatcher.working import Slot
from actors.garbage import collect_rarely
from actors.life import Stop
from actors.targets.registry import make_target
from protocol.clock import Clock, SystemClock
from protocol.fsops import RealFs
from protocol.routing.versions import RoutingVersions
from protocol.settings import Settings
from protocol.spool import Spool, open_spool
from protocol.wire.nudges import Bell

WORK = b"w"


class Ears:
    """The parent's pipe and signals."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._bell = Bell()
        self._stop = Stop()
        self._stop.wake = self._bell.ring
        self._parent_gone = False
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._poll.register(self._bell.fd, select.POLLIN)

    def install(self) -> None:
        """Listen to SIGTERM and SIGINT."""
        self._stop.install()

    def stopping(self) -> bool:
        """Are we to end after the image under way? Asked between images, never waits."""
        if not (self._stop.asked or self._parent_gone):
            self._listen(0)
        return self._stop.asked or self._parent_gone

    def wait(self, seconds: float | None = None) -> bool:
        """Sleep until there is work or an end, at most so long; False if nothing was heard."""
        if self._stop.asked:
            return True
        return self._listen(None if seconds is None else max(0, math.ceil(seconds * 1000)))

    def _listen(self, timeout_ms: int | None) -> bool:
        ready = dict(self._poll.poll(timeout_ms))
        if self._bell.fd in ready:
            self._bell.clear()
        if self._fd in ready and not os.read(self._fd, 4096):
            self._parent_gone = True
        return bool(ready)


def work(slot: Slot, ears: Ears, reports: PipeReports) -> None:
    """Until told to stop. Raises what the slot raises."""
    while not ears.stopping():
        if not slot.run_once():
            reports.idle()
            while not ears.wait(slot.rest()):
                pass
    slot.close()


def serve(
    settings: Settings, instance: str, number: int, slots: int, reports: PipeReports, ears: Ears, log: Any, clock: Clock,
    *, only_urgent: bool = False,
) -> None:  # fmt: skip
    """Open the spool, register, work, leave. Raises SpoolError."""
    source = f"/{settings.node.name}/dispatcher/{instance}-{number}"
    fs = RealFs()
    spool: Spool = open_spool(settings.home, source=source, fs=fs, clock=clock, durability=settings.receiver.durability)
    spool.on_events(reports.events)
    worker = spool.workers.enter("dispatcher", f"{instance}-{number}")
    reports.entered(worker.owner)
    slot = Slot(
        spool=spool,
        owner=worker.owner,
        routing=RoutingVersions(settings.home / "config" / "routing", fs, clock),
        clock=clock,
        random=random.Random(),
        log=log,
        slots=slots,
        terms=terms_of(settings),
        only_urgent=only_urgent,
        reports=reports,
        stopping=ears.stopping,
        make=lambda target: make_target(target, settings.home / "run"),
    )
    collect_rarely()
    work(slot, ears, reports)
    worker.leave()
    spool.close()


def main(argv: Sequence[str]) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m actors.dispatcher.slot")
    parser.add_argument("--instance", required=True)
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True, help="how many the whole node is set to have")
    parser.add_argument("--report-fd", type=int, required=True)
    parser.add_argument("--only-urgent", action="store_true", help="take nothing but urgent deliveries")
    options = parser.parse_args(argv)
    ears = Ears(sys.stdin.fileno())
    ears.install()
    clock = SystemClock()

    def do(settings: Settings, log: Any) -> None:
        reports = PipeReports(options.report_fd, clock)
        serve(settings, options.instance, options.number, options.slots, reports, ears, log, clock,
              only_urgent=options.only_urgent)  # fmt: skip

    file = f"dispatcher-{options.instance}.log"
    return child.run("dispatcher", file, do, instance=options.instance, slot=options.number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
