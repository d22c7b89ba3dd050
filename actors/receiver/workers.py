"""The receiver's worker processes: started, given connections, listened to, started again when they die.
It must not serve an association itself, and what a dead worker left is mended by the receiver, not here.
"""

from __future__ import annotations

import math
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actors.dicom.scp import Address
from actors.nursery import Nursery, Process, begin
from actors.receiver import counting, talk
from actors.receiver.counting import Desk
from actors.receiver.reception import COUNTS
from actors.receiver.talk import Line
from protocol.wire.nudges import Wire

WORKER = "actors.receiver.worker"
FIRST_WAIT_S = 0.2  # before a worker that died is started again; doubles
LONGEST_WAIT_S = 30.0
LIVED_S = 60.0  # who lived so long did not die of its start
START_S = 30.0
MARGIN_S = 5.0  # for stopping, beyond what open associations may take
LATE_S = 3.0  # who owes an answer for so long gets no more connections while others can take them
HUNG_S = 60.0  # and is killed after so long: it may be waiting for the database, which has its own limits


class Child:
    """One worker as the receiver knows it; a thread hears it."""

    def __init__(self, number: int, process: Process, line: Line) -> None:
        self.number, self.process, self.line = number, process, line
        self.born = time.monotonic()
        self.ready = False
        self.ended = False  # set by the thread, after the exit
        self.waiting = self.open = 0  # as it last said
        self.given = 0  # connections handed over since then
        self.owes = math.inf  # a word, since then (monotonic)
        self.figures: Counter[str] = Counter()

    @property
    def name(self) -> str:
        """Of this life of the worker."""
        return f"{self.number}-{self.process.pid}"

    @property
    def load(self) -> int:
        return self.waiting + self.open + self.given

    def asked(self, now: float) -> None:
        """It was told something that it answers at once, if it lives."""
        self.owes = min(self.owes, now)


class Workers:
    """A crew (see crew.py) of `count` processes."""

    def __init__(
        self, *, home: Path, instance: str, count: int, desk: Desk, limit_s: float, wire: Wire, log: Any,
        died: Callable[[], None], nursery: Nursery | None = None,
    ) -> None:  # fmt: skip
        """`desk` counts for all of them. `died` is called by `attend` when a worker is gone: what it left can be mended."""
        self._home, self._instance, self._count, self._limit_s = home, instance, count, limit_s
        self._desk, self._wire, self._log, self._died = desk, wire, log, died
        self._nursery = nursery
        self._children: dict[int, Child] = {}
        self._deaths = dict.fromkeys(range(count), 0)
        self._not_before = dict.fromkeys(range(count), 0.0)
        self._gate = threading.Lock()  # of the counts by which a worker is chosen
        self._changed = threading.Condition()
        self._past: Counter[str] = Counter()  # figures of the dead
        self.restarts = 0

    # ---- beginning ------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Start all, and wait until they are ready: who connects to an open door is served, by whoever has least to do."""
        for number in range(self._count):
            self._start(number)
        with self._changed:
            self._changed.wait_for(lambda: all(one.ready or one.ended for one in self._children.values()), START_S)

    def _start(self, number: int) -> None:
        line, theirs = Line.pair()
        arguments = ["--instance", f"{self._instance}-{number}", "--line-fd", "{0}", "--limit-s", str(self._limit_s)]
        environ = {"SCANPOST_HOME": str(self._home)}
        try:
            process = begin(self._nursery, WORKER, arguments, [theirs.fileno()], environ)
        finally:
            theirs.close()
        child = Child(number, process, line)
        with self._gate:
            self._children[number] = child
        threading.Thread(target=self._listen, args=(child,), name=f"worker-{number}", daemon=True).start()

    # ---- connections ----------------------------------------------------------------------------------------------
    def take(self, sock: socket.socket, address: Address, port: int) -> None:
        """To the one with the fewest; while none can take it the connection is closed, and the scanner tries again."""
        now = time.monotonic()
        with sock, self._gate:
            for child in sorted(
                self._children.values(),
                key=lambda one: (not one.ready, now - one.owes > LATE_S, one.load, one.number),
            ):
                told = {"address": list(address), "port": port}
                if not child.ended and child.line.hand_over(talk.SERVE, told, sock):
                    child.given += 1
                    child.asked(now)
                    return
        self._log.warning("connection_dropped", address=address[0], reason="no worker can take it")

    # ---- hearing --------------------------------------------------------------------------------------------------
    def _listen(self, child: Child) -> None:
        """Body of the reading thread: until the process is gone."""
        while (heard := child.line.hear()) is not None:
            message, sock = heard
            if sock is not None:
                sock.close()
            child.owes = math.inf
            self._hear(child, message)
        child.process.wait()
        self._desk.lost(child.name)
        child.ended = True
        with self._changed:
            self._changed.notify_all()
        self._wire.wake()

    def _hear(self, child: Child, message: dict[str, Any]) -> None:
        word = message.get("is")
        if word == talk.LOAD:
            with self._gate:
                child.waiting, child.open, child.given = message["waiting"], message["open"], 0
        elif word == talk.EVENTS:
            self._wire.committed()
            for arrival in message["arrivals"]:
                self._wire.arrived(arrival)
        elif word == talk.CLOSED:
            self._wire.committed()
            for arrival in message["arrivals"]:
                self._wire.arrived(arrival, {"association": message["association"], "how": message["how"]})
        elif word == talk.FIGURES:
            child.figures = Counter(message["figures"])
        elif word in counting.WORDS:
            answer = self._desk.hear(child.name, message)
            if answer is not None:
                child.line.say(counting.COUNTED, answer, wait=True)
        elif word == talk.READY:
            with self._changed:
                child.ready = True
                self._changed.notify_all()

    # ---- looking after them ---------------------------------------------------------------------------------------
    def attend(self, now: float) -> None:
        """Bury the dead and start others in their place; the hung are killed, so that their associations end."""
        for child in list(self._children.values()):
            if child.ended:
                self._bury(child, now)
                self._died()
            elif child.ready:
                self._look_at(child, now)
        for number in range(self._count):
            if number not in self._children and now >= self._not_before[number]:
                self._start(number)

    @property
    def patient(self) -> bool:
        """All live, and none has a connection."""
        return len(self._children) == self._count and not any(
            one.load or one.ended or not one.ready for one in self._children.values()
        )

    def _look_at(self, child: Child, now: float) -> None:
        if now - child.owes > HUNG_S:
            self._log.error("worker_hung", worker=child.number, worker_pid=child.process.pid)
            child.process.kill()
            child.owes = math.inf  # said once, and again if even this does not end it
        elif child.load:  # the idle are not woken: a connection will ask them
            child.asked(now)
            child.line.say(talk.HERE)

    def _bury(self, child: Child, now: float) -> None:
        with self._gate:
            del self._children[child.number]
        child.line.close()
        self._past.update({name: child.figures[name] for name in COUNTS})
        if now - child.born > LIVED_S:
            self._deaths[child.number] = 0
        deaths = self._deaths[child.number]
        wait_s = min(FIRST_WAIT_S * 2.0 ** min(deaths, 30), LONGEST_WAIT_S)
        self._deaths[child.number], self._not_before[child.number] = deaths + 1, now + wait_s
        self.restarts += 1
        self._log.error(
            "worker_died", worker=child.number, worker_pid=child.process.pid, code=child.process.returncode,
            again_in_s=wait_s,
        )  # fmt: skip

    def new_policy(self) -> None:
        for child in self._children.values():
            child.line.say(talk.POLICY, wait=True)

    def new_certificate(self) -> None:
        for child in self._children.values():
            child.line.say(talk.CERTIFICATE, wait=True)

    def figures(self) -> Counter[str]:
        total = Counter(self._past)
        for child in self._children.values():
            total.update(child.figures)
        total["workers"] = sum(child.ready and not child.ended for child in self._children.values())
        total["worker_restarts"] = self.restarts
        return total

    # ---- the end --------------------------------------------------------------------------------------------------
    def stop(self, limit_s: float) -> None:
        """Whoever takes longer than it may is killed; the next start mends what it left."""
        for child in self._children.values():
            child.line.say(talk.STOP, {"within_s": limit_s}, wait=True)
        deadline = time.monotonic() + limit_s + MARGIN_S
        for child in self._children.values():
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._log.warning("worker_stop_too_slow", worker=child.number)
                child.process.kill()
                child.process.wait()
            child.line.end()
