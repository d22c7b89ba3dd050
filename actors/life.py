"""The life of one actor's process: lock, spool, bus, start, recover, passes, heartbeat, orderly stop.
It must not know what an actor does; `base` describes that.

States in the lock file: standby, starting, recovering, ready, failing (the last pass failed), stopping.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol

from actors.garbage import collect_rarely
from actors.rhythm import Rhythm
from actors.seat import Seat
from actors.watch import Watch
from protocol.clock import Clock, SystemClock
from protocol.errors import DiskFailed, OutOfSpace, SpoolError
from protocol.fsops import FsOps, RealFs
from protocol.settings import Settings
from protocol.version import version
from protocol.wire.events import ActorRecovered, ActorStarted, ActorStatus, ActorStopped

if TYPE_CHECKING:
    from protocol.spool import Spool
    from protocol.wire.bus import Nudge, Wire
    from protocol.wire.messages import Event

FIRST_RETRY_S = 0.2  # after a failed pass; doubles
LONGEST_RETRY_S = 30.0
STOP_LIMIT_S = 25.0  # below supervisord's stopwaitsecs
KEPT_NUDGES = 10_000  # while waiting after a failed pass; the spool knows the rest

Mark = tuple[int, int]  # see Life._mark


class Lived(Protocol):
    """What this life is lived with: an actor (see actors/base.Actor)."""

    NICE: ClassVar[int]

    def start(self) -> None: ...
    def recover(self) -> dict[str, int]: ...
    def one_pass(self, nudges: list[Nudge]) -> float: ...
    def stop(self) -> None: ...
    def figures(self) -> dict[str, float]: ...


class Stop:
    """SIGTERM and SIGINT set a flag and wake the loop; the second one ends the process at once."""

    def __init__(self) -> None:
        self.asked = False
        self.wake: Callable[[], None] | None = None

    def install(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a closed terminal is no order

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            os._exit(1)
        self.asked = True
        if self.wake is not None:
            self.wake()


class Life:
    """One process from its first to its last breath."""

    def __init__(
        self,
        actor: str,
        name: str,
        instance: str,
        settings: Settings,
        log: Any,
        build: Callable[[Spool, Wire], Lived],
        *,
        clock: Clock | None = None,
        fs: FsOps | None = None,
    ) -> None:
        self._actor_name, self._instance, self._settings, self._log = actor, instance, settings, log
        self._build = build
        self._clock, self._fs = clock or SystemClock(), fs or RealFs()
        self._stop = Stop()
        settings.run_folder.mkdir(parents=True, exist_ok=True)
        self._seat = Seat(settings.run_folder, name, instance, self._fs, self._clock)
        self._born = self._clock.monotonic()
        self._state = "starting"
        self._failures = 0
        self._mailbox = 0  # most nudges found at once since the last heartbeat

    def run(self) -> int:
        """Returns the exit code of an orderly end; everything else is an exception."""
        self._stop.install()
        if not self._seat.wait(lambda: self._stop.asked, lambda: self._log.info("standby")):
            return 0
        spool, wire = self._open()
        self._spool, self._wire = spool, wire
        self._watch = Watch([spool.database.wal, spool.places.routing], wire.wake)
        self._stop.wake = wire.wake
        self._actor = self._build(spool, wire)
        if self._actor.NICE:
            os.nice(self._actor.NICE)
        self._begin()
        self._loop()
        self._end()
        return 0

    def _open(self) -> tuple[Spool, Wire]:
        from protocol.spool import open_spool
        from protocol.wire.bus import NoWire, connect_wire

        self._say("starting")
        settings, source = self._settings, f"/{self._settings.node.name}/{self._actor_name}/{self._instance}"
        spool = open_spool(
            settings.home, source=source, fs=self._fs, clock=self._clock, durability=settings.receiver.durability
        )
        wire = connect_wire(self._actor_name, self._instance, settings, source) if settings.bus.enabled else NoWire()
        spool.on_events(wire.committed)  # whatever commits events, from any thread, wakes the bus
        return spool, wire

    def _begin(self) -> None:
        boot = uuid.uuid4().hex
        self._record(ActorStarted(self._actor_name, os.getpid(), version(), boot))
        collect_rarely()
        self._actor.start()
        self._say("recovering")
        found = self._actor.recover()
        if any(found.values()):
            self._record(ActorRecovered(self._actor_name, dict(found)))
        self._say("ready")
        self._log.info("ready", after_s=round(self._clock.monotonic() - self._born, 3), found=found)

    # One pass after the other

    def _loop(self) -> None:
        rhythm = Rhythm(self._clock.monotonic())
        seen: Mark | None = None
        kept: list[Nudge] = []
        while not self._stop.asked:
            kept += self._wire.wait(rhythm.wait_s(self._clock.monotonic()))
            del kept[:-KEPT_NUDGES]
            if self._stop.asked:
                return
            now = self._clock.monotonic()
            if now >= rhythm.look:
                watched = rhythm.calm(now) and self._watch.arm()  # before the look: what comes after it wakes
                before, seen = seen, self._mark()
                changed = seen is None or seen != before
                rhythm.looked(now, hurry=changed and not self._failures, watched=watched)
                if changed:
                    rhythm.stir(now)
                    if watched and seen and before and self._watch.missed():
                        self._log.warning("watch_deaf", cure="none needed: it is looked each second instead")
            if any(nudge.lane != "status" for nudge in kept):  # that others live is no news
                rhythm.stir(now)
            # A nudge does not shorten the wait after a failed pass, or a failing actor would spin.
            if now >= rhythm.due or (kept and not self._failures):
                nudges, kept = kept, []
                self._mailbox = max(self._mailbox, len(nudges))
                wait = self._one_pass(nudges)
                rhythm.passed(self._clock.monotonic(), wait, failed=bool(self._failures))
            if now >= rhythm.beat:
                self._heartbeat()
                rhythm.beaten(now)

    def _mark(self) -> Mark | None:
        """Not the same as before if anything was committed, or there is another version of the routing configuration.

        None: the spool does not say.
        """
        try:
            routing = os.stat(self._spool.places.routing).st_mtime_ns
        except OSError:
            routing = 0
        try:
            return self._spool.stillness.mark(), routing
        except DiskFailed:
            raise
        except SpoolError:
            return None  # the pass meets it, too, and is guarded

    def _one_pass(self, nudges: list[Nudge]) -> float:
        """One guarded pass; returns after how many seconds the next is due. Lets through what ends the process."""
        try:
            wait = self._actor.one_pass(nudges)
        except (DiskFailed, MemoryError):
            raise
        except Exception:
            self._failures += 1
            again_s = min(FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 30), LONGEST_RETRY_S)
            self._log.error("pass_failed", failures=self._failures, again_in_s=again_s, exc_info=True)
            self._say("failing")
            return again_s
        if self._failures:
            self._log.info("pass_works_again", failures=self._failures)
            self._failures = 0
            self._say("ready")
        return wait

    # What others see

    def _heartbeat(self) -> None:
        figures = {**self._wire.figures(), **self._figures(), "mailbox": float(self._mailbox)}
        self._mailbox = 0
        self._say(self._state, figures)
        uptime_s = self._clock.monotonic() - self._born
        self._wire.publish(
            ActorStatus(self._actor_name, os.getpid(), self._state, round(uptime_s, 3), version(), figures)
        )

    def _figures(self) -> dict[str, float]:
        try:
            return self._actor.figures()
        except DiskFailed:
            raise
        except Exception:
            self._log.error("figures_failed", exc_info=True)
            return {}

    def _say(self, state: str, figures: dict[str, float] | None = None) -> None:
        self._state = state
        try:
            self._seat.say(state, figures or {})
        except OSError as exc:
            # A full disk must not stop the cleaner; the lock itself still shows that we live.
            self._log.warning("status_not_written", error=str(exc))

    def _record(self, event: Event) -> None:
        try:
            self._spool.outbox.record(event)
        except OutOfSpace as exc:
            self._log.warning("event_not_recorded", type=event.TYPE, error=str(exc))
            return
        self._wire.committed()

    # The end

    def _end(self) -> None:
        self._say("stopping")
        limit = threading.Timer(STOP_LIMIT_S, self._too_late)
        limit.daemon = True  # it may also find threads that keep the interpreter from ending
        limit.start()
        self._actor.stop()
        self._record(ActorStopped(self._actor_name, os.getpid()))
        self._watch.close()
        self._wire.close()
        self._spool.close()
        self._log.info("stopped", uptime_s=round(self._clock.monotonic() - self._born, 3))
        self._seat.leave()

    def _too_late(self) -> None:
        self._log.error("stop_took_too_long", limit_s=STOP_LIMIT_S)
        end_now(1)


def end_now(code: int) -> NoReturn:
    """End this process without waiting for threads, sockets or anything else; the locks go with it."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
