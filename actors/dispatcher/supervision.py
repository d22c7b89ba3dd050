"""The slot processes of one dispatcher: started when there is work, woken, listened to, killed when they hang, buried.
It must not claim or send, and never decides what a delivery becomes; for the dead it calls the spool's `reap`.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

from actors.child import EXIT_SPOOL
from actors.dispatcher import reports
from actors.dispatcher.slot import WORK
from actors.nursery import Nursery, Process, begin
from protocol.fsops import FsOps
from protocol.spool import Spool
from protocol.spool.writelock import is_suspended

SLOT = "actors.dispatcher.slot"
PATIENCE_S = 60.0  # for everything that is no network: starting, claiming, waiting for the spool
MARGIN_S = 30.0  # what a slot may be silent beyond its target's timeouts
GAP_S = 2.0  # more than this between two looks was our own sleep, not the slot's
FIRST_WAIT_S = 0.2  # before a slot that died is started again; doubles
LONGEST_WAIT_S = 30.0
STOP_S = 20.0  # below the limit of the actor's own stop

STARTING, IDLE, WOKEN, WORKING = "starting", "idle", "woken", "working"


@dataclass
class Child:
    """One slot process as its parent knows it. A thread reads its reports; all else belongs to the actor's thread."""

    number: int
    process: Process
    voice: FileIO
    """What it hears: see slot.py."""
    state: str = STARTING
    owner: str = ""
    patience_s: float = PATIENCE_S
    silent_s: float = 0.0
    killed: bool = False
    delivery: dict[str, Any] = field(default_factory=dict)
    lines: deque[bytes] = field(default_factory=deque)
    ended: bool = False  # set by the thread, after the exit

    def listen(self, fd: int, news: Callable[[], None]) -> None:
        """Body of the reading thread: until the process is gone."""
        with open(fd, "rb") as pipe:
            for line in pipe:
                self.lines.append(line)
                news()
        self.process.wait()
        self.ended = True
        news()

    def wake(self) -> None:
        """Tell it that there is work."""
        self.state, self.silent_s, self.patience_s = WOKEN, 0.0, PATIENCE_S
        try:
            self.voice.write(WORK)
        except BrokenPipeError:
            pass  # it is dying; the reading thread will say so

    def let_go(self) -> None:
        """Tell it to end, by the end of its stdin."""
        self.voice.close()


class Slots:
    """At most `count` slot processes of dispatcher `instance`. All methods from one thread."""

    def __init__(
        self,
        *,
        spool: Spool,
        home: Path,
        instance: str,
        count: int,
        all_slots: int,
        log: Any,
        news: Callable[[], None],
        lane: bool = False,
        told: Callable[[Child, dict[str, Any]], None],
        margin_s: float = MARGIN_S,
        nursery: Nursery | None = None,
    ) -> None:
        """`news` is called from other threads when `attend` has something to do; `told` hears every report. `lane`: there
        may be one more, number `count`, for urgent deliveries alone.
        """
        self._spool, self._home, self._instance, self._log = spool, home, instance, log
        self._count, self._all_slots, self._margin_s = count, all_slots, margin_s
        self._news, self._told, self._nursery = news, told, nursery
        self._children: dict[int, Child] = {}
        self._lane = lane
        self._deaths = dict.fromkeys(range(count + 1), 0)
        self._not_before = dict.fromkeys(range(count + 1), 0.0)
        self._looked: float | None = None
        self.killed = 0

    # ---- looking after them ---------------------------------------------------------------------------------------
    def attend(self, now: float) -> bool:
        """Hear reports, kill who hangs, bury who died; whether a slot got work or became free. `now` is monotonic."""
        passed = 0.0 if self._looked is None else min(now - self._looked, GAP_S)
        self._looked = now
        moved = False
        for child in list(self._children.values()):
            ended = child.ended  # before its last lines are read
            child.silent_s += passed
            for report in _reports(child):
                child.silent_s = 0.0
                moved |= self._hear(child, report)
            if ended:
                self._bury(child, now)
                moved = True
            elif child.state != IDLE and child.silent_s > child.patience_s + self._margin_s and not child.killed:
                self._kill(child)
        return moved

    def _hear(self, child: Child, report: dict[str, Any]) -> bool:
        kind = report.get("is")
        before = child.state
        if kind == reports.ENTERED:
            child.owner = report["owner"]
        elif kind == reports.IDLE:
            child.state, child.delivery = IDLE, {}
        elif kind == reports.WORKING:
            child.state, child.delivery, child.patience_s = WORKING, report, report["patience_s"]
        if before == WORKING and kind in (reports.IDLE, reports.WORKING, reports.PROGRESS):
            self._deaths[child.number] = 0
        self._told(child, report)
        # One that was woken and found nothing it may take is no reason to look again, or both would spin.
        return kind == reports.WORKING or (kind == reports.IDLE and before == WORKING)

    def _kill(self, child: Child) -> None:
        self._log.error("slot_killed", slot=child.number, slot_pid=child.process.pid, silent_s=round(child.silent_s),
                        delivery=child.delivery.get("delivery"), target=child.delivery.get("target"))  # fmt: skip
        child.killed = True
        self.killed += 1
        child.process.kill()

    def _bury(self, child: Child, now: float, *, stopping: bool = False) -> None:
        """Give back what it held. If that fails, it is tried again: the child stays until it worked."""
        code = child.process.returncode
        alone = code not in (0, EXIT_SPOOL) and not stopping
        held = self._spool.deliveries.reap(child.owner, alone=alone) if child.owner else 0
        del self._children[child.number]
        child.voice.close()
        if code != 0:
            deaths = self._deaths[child.number]
            wait_s = min(FIRST_WAIT_S * 2.0 ** min(deaths, 30), LONGEST_WAIT_S)
            self._deaths[child.number], self._not_before[child.number] = deaths + 1, now + wait_s
            self._log.error("slot_died", slot=child.number, code=code, given_back=held, again_in_s=wait_s,
                            delivery=child.delivery.get("delivery"), target=child.delivery.get("target"))  # fmt: skip

    # ---- giving work ----------------------------------------------------------------------------------------------
    def employ(self, wanted: int, now: float) -> int:
        """See to it that `wanted` more slots look for work: wake idle ones, then start new ones; how many do now."""
        usual = [child for child in self._children.values() if child.number < self._count]
        coming = sum(child.state in (STARTING, WOKEN) for child in usual)
        for child in usual:
            if coming < wanted and child.state == IDLE and not child.ended:
                child.wake()
                coming += 1
        for number in range(self._count):
            if coming < wanted and number not in self._children and now >= self._not_before[number]:
                self._start(number)
                coming += 1
        return coming

    def open_lane(self, now: float) -> None:
        """Something urgent is due, and every slot is busy: let the lane of urgent deliveries look."""
        child = self._children.get(self._count)
        if child is not None and child.state == IDLE and not child.ended:
            child.wake()
        elif child is None and self._lane and now >= self._not_before[self._count]:
            self._start(self._count)

    def _start(self, number: int) -> None:
        arguments = [
            "--instance", self._instance, "--number", str(number), "--slots", str(self._all_slots), "--report-fd", "{0}",
            *(["--only-urgent"] if number == self._count else []),
        ]  # fmt: skip
        (read, write), (theirs, voice) = os.pipe(), os.pipe()
        try:
            process = begin(
                self._nursery, SLOT, arguments, [write, theirs], {"SCANPOST_HOME": str(self._home)}, stdin=1
            )
        except BaseException:
            os.close(read)
            os.close(voice)
            raise
        finally:
            os.close(write)
            os.close(theirs)
        child = Child(number, process, FileIO(voice, "w"))
        self._children[number] = child
        threading.Thread(target=child.listen, args=(read, self._news), name=f"slot-{number}", daemon=True).start()

    # ---- all of them ----------------------------------------------------------------------------------------------
    @property
    def owners(self) -> set[str]:
        """Names of the living, and of the dead that are not buried yet."""
        return {child.owner for child in self._children.values()}

    @property
    def idle(self) -> bool:
        """No process has anything to do, or has to be buried."""
        return all(child.state == IDLE and not child.ended for child in self._children.values())

    def states(self) -> Sequence[str]:
        """The state of each process there is."""
        return [child.state for child in self._children.values()]

    def children(self) -> Sequence[Child]:
        """The processes there are."""
        return list(self._children.values())

    def stop(self, limit_s: float = STOP_S) -> None:
        """Let each finish its image and give its delivery back; who takes too long is killed and its work given back."""
        for child in self._children.values():
            child.let_go()
        for child in list(self._children.values()):
            limit_s = self._wait(child, limit_s)
            for report in _reports(child):
                self._hear(child, report)
            self._bury(child, 0.0, stopping=True)

    def _wait(self, child: Child, limit_s: float) -> float:
        """Wait for its end; returns what is left of the limit."""
        begin = time.monotonic()
        try:
            child.process.wait(max(0.0, limit_s))
        except subprocess.TimeoutExpired:
            self._log.warning("slot_stop_too_slow", slot=child.number, delivery=child.delivery.get("delivery"))
            child.process.kill()
            child.process.wait()
        return limit_s - (time.monotonic() - begin)


def _reports(child: Child) -> Iterator[dict[str, Any]]:
    while child.lines:
        yield reports.parse(child.lines.popleft())


def orphans(spool: Spool, fs: FsOps, instance: str, mine: set[str]) -> list[str]:
    """Dead slots that nobody will bury: of this instance's former life, or of a dispatcher that is dead or suspended.

    Any other slot whose dispatcher lives is left to it: only a parent can tell that its child died alone.
    """
    return [
        owner for owner in spool.workers.dead("dispatcher") if owner not in mine and _alone(spool, fs, owner, instance)
    ]


def frozen(spool: Spool, fs: FsOps, instance: str, mine: set[str]) -> dict[str, int]:
    """Slots without a dispatcher, as for `orphans`, that live and are suspended, with their process ids: nobody would kill
    them for hanging, and what they hold would wait until somebody lets them go on.
    """
    living = spool.workers.living("dispatcher")
    stopped = {owner: pid for owner, pid in living.items() if owner not in mine and is_suspended(pid)}
    return {owner: pid for owner, pid in stopped.items() if _alone(spool, fs, owner, instance)}


def _alone(spool: Spool, fs: FsOps, owner: str, instance: str) -> bool:
    """Is a slot that is not ours without a dispatcher that looks after it?"""
    parent = owner.split("/")[1].rpartition("-")[0]
    lock = spool.places.run / f"dispatcher-{parent}.lock"
    return parent == instance or not fs.is_locked(lock) or is_suspended(_pid(fs.lock_text(lock)))


def _pid(told: str) -> int:
    """Of what an actor says in its lock file, see actors/seat.py; 0 if it says nothing yet."""
    try:
        return int(json.loads(told)["pid"])
    except (ValueError, KeyError, TypeError):
        return 0
