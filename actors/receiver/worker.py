"""The process of one worker: `python -m actors.receiver.worker`, started by the receiver, which hands it connections.
It must not listen on a port; when the receiver dies it finishes what is open within the limit, and ends.
"""

from __future__ import annotations

import argparse
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

from actors import child
from actors.receiver import talk
from actors.receiver.associations import Served
from actors.receiver.counting import COUNTED, Asking
from actors.receiver.reception import Means, Reception
from actors.receiver.talk import Line
from actors.turns import take_turns
from protocol.clock import SystemClock
from protocol.fsops import RealFs
from protocol.routing.versions import RoutingVersions
from protocol.settings import Settings
from protocol.spool import open_spool
from protocol.wire.nudges import Bell

TELL_EVERY_S = 0.02  # news of commits; what is left out is told at the next look
FIGURES_EVERY_S = 1.0
LOOK_S = 1.0  # while there is anything to look after


class LineNews:
    """What happens in this process, told to the receiver. A flood of commits is told a few times a second."""

    def __init__(self, line: Line, bell: Bell) -> None:
        self._line, self._bell = line, bell
        self._arrivals: set[int] = set()
        self._news = False
        self._told = float("-inf")

    def committed(self) -> None:
        self._news = True
        self._tell()

    def arrived(self, arrivals: set[int]) -> None:
        self._arrivals |= arrivals
        self._news = True
        self._tell()

    def closed(self, served: Served) -> None:
        arrivals = sorted(served.arrivals)[: talk.ARRIVALS_TOLD]
        self._line.say(talk.CLOSED, {"association": served.id.hex(), "how": served.how, "arrivals": arrivals})

    def wake(self) -> None:
        self._bell.ring()

    @property
    def waiting(self) -> bool:
        """Whether something is still to be told."""
        return self._news

    def _tell(self) -> None:
        if time.monotonic() - self._told >= TELL_EVERY_S:
            self.tell()

    def tell(self) -> None:
        """Tell what is new."""
        self._told, self._news = time.monotonic(), False
        arrivals, self._arrivals = self._arrivals, set()
        self._line.say(talk.EVENTS, {"arrivals": sorted(arrivals)[: talk.ARRIVALS_TOLD]})


class Work:
    """The loop of the main thread."""

    def __init__(self, line: Line, means: Means, instance: str) -> None:
        self._line, self._bell = line, Bell()
        self._news = LineNews(line, self._bell)
        self._asking = Asking(lambda message: line.say(message["is"], message, wait=True))
        self.reception = Reception(means, instance, self._news, self._asking, self._load)
        self._limit_s = 0.0
        self._asked = False  # to stop
        self._shown: dict[str, float] = {}
        self._show_due = 0.0

    def _load(self, waiting: int, opened: int) -> None:
        self._line.say(talk.LOAD, {"waiting": waiting, "open": opened})
        if opened == 1:
            self._bell.ring()  # from idle to busy: the loop begins to look around

    def run(self, limit_s: float) -> None:
        """Until told to stop, or the receiver is gone; then `limit_s` is what open associations have left."""
        self._limit_s = limit_s
        poll = select.poll()
        poll.register(self._line.fileno(), select.POLLIN)
        poll.register(self._bell.fd, select.POLLIN)
        self.reception.start()
        self._line.say(talk.READY, {"owner": self.reception.worker.owner}, wait=True)
        busy = True
        while not self._asked:
            ready = dict(poll.poll(self._patience_ms(busy)))
            if self._bell.fd in ready:
                self._bell.clear()
            if self._line.fileno() in ready:
                self._hear()
            busy = self._look()
        self._asking.end()
        self.reception.stop(self._limit_s)

    def _patience_ms(self, busy: bool) -> float | None:
        if self._news.waiting:
            return TELL_EVERY_S * 1000
        return LOOK_S * 1000 if busy else None

    def _hear(self) -> None:
        heard = self._line.hear()
        if heard is None:
            self._asked = True
            return
        message, sock = heard
        word = message.get("is")
        if word == talk.SERVE and sock is not None:
            host, number = message["address"]
            self.reception.take(sock, (str(host), int(number)), int(message["port"]))
        elif word == COUNTED:
            self._asking.answered(message)
        elif word == talk.HERE:
            self._line.say(talk.HERE)
        elif word == talk.POLICY:
            self.reception.new_policy()
        elif word == talk.CERTIFICATE:
            self.reception.new_certificate()
        elif word == talk.STOP:
            self._asked, self._limit_s = True, float(message["within_s"])

    def _look(self) -> bool:
        """Periodic work; whether there will be more without any message."""
        if self._news.waiting:
            self._news.tell()
        left = self.reception.one_pass()
        now, figures = time.monotonic(), self.reception.figures()
        if figures != self._shown and now >= self._show_due:
            self._shown, self._show_due = figures, now + FIGURES_EVERY_S
            self._line.say(talk.FIGURES, {"figures": figures})
        return left or figures != self._shown or bool(figures["associations"])


def serve(settings: Settings, instance: str, sock: socket.socket, limit_s: float, log: Any) -> None:
    """Open the spool, work, leave. Raises SpoolError."""
    fs, clock = RealFs(), SystemClock()
    source = f"/{settings.node.name}/receiver/{instance}"
    spool = open_spool(settings.home, source=source, fs=fs, clock=clock, durability=settings.receiver.durability)
    routing = RoutingVersions(settings.home / "config" / "routing", fs, clock)
    Work(Line(sock), Means(settings, spool, routing, clock, fs, log), instance).run(limit_s)
    spool.close()


def main(argv: Sequence[str]) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m actors.receiver.worker")
    parser.add_argument("--instance", required=True)
    parser.add_argument("--line-fd", type=int, required=True)
    parser.add_argument("--limit-s", type=float, required=True, help="for open associations, if the receiver dies")
    options = parser.parse_args(argv)
    # The receiver says when to stop: a signal to the whole group would end associations that have time left.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    take_turns()

    def work(settings: Settings, log: Any) -> None:
        serve(settings, options.instance, socket.socket(fileno=options.line_fd), options.limit_s, log)

    return child.run("receiver", "receiver.log", work, instance=options.instance)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
