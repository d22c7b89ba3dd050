"""Start, watch and stop one node: spool check, supervisord, readiness. It must not know how programs do their work.

supervisord may die at any time: its programs go on, and whoever comes next stops them before it starts new ones.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from types import FrameType

import psutil

from protocol import dispatchers as wanted
from protocol.errors import ScanpostError
from protocol.fsops import RealFs
from protocol.programs import NotRunning, ProcessManager, manager, scale
from protocol.settings import Settings
from protocol.wire.nudges import Bell
from scanpost import leftovers, readiness
from scanpost.common import EXIT_DONE, EXIT_FAILED, say
from scanpost.supervisor import launch
from scanpost.waiting import until_end

LOOK_S = 0.2
TELL_S = 10.0  # how often to say what is not ready
DETACHED_LIMIT_S = 120.0
ANSWERS_S = 20.0  # supervisord itself
SHORT_LIFE_S = 10.0  # one that ends sooner, with an error of its own, is not started again and again
STOP_S = 150.0


class Node:
    """One call of `scanpost up`."""

    def __init__(self, settings: Settings, dispatchers: int, environment: Mapping[str, str], *, demo: bool) -> None:
        self._settings, self._dispatchers = settings, dispatchers
        self._environment, self._demo = environment, demo
        self._manager = manager(settings)
        self._stop_asked = 0
        self._replaced = False
        self._bell = Bell()

    def up(self, *, detach: bool) -> int:
        """Start everything; returns the exit code. Raises ScanpostError with one clear line if it cannot."""
        os.umask(0o027)  # as supervisord.conf says for the programs
        self._refuse_second()
        self._check_spool()
        lock = RealFs().lock(self._settings.run_folder / "up.lock")
        if lock is None:
            raise ScanpostError("another `scanpost up` of this node is running. Stop it with `scanpost down`")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        try:
            wanted.remember(self._settings, self._dispatchers)
            self._start()
            if not self._wait_until_ready(DETACHED_LIMIT_S if detach else None):
                return self._not_ready()
            print(readiness.ready_line(self._settings, self._dispatchers, self._setup_token()), flush=True)
            return EXIT_DONE if detach else self._watch()
        finally:
            lock.release()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop_asked += 1
        self._bell.ring()

    # Before the start

    def _refuse_second(self) -> None:
        try:
            pid = self._manager.pid()
        except NotRunning:
            return
        raise ScanpostError(f"scanpost is already running here (supervisord {pid}). Stop it with `scanpost down`")

    def _check_spool(self) -> None:
        from protocol.spool.maintenance import prepare

        settings, source = self._settings, f"/{self._settings.node.name}/up/0"
        durability, node = settings.receiver.durability, settings.node.name
        prepare(settings.home, source=source, durability=durability, node=node).close()

    def _setup_token(self) -> str | None:
        from protocol.accounts import Accounts

        accounts = Accounts(self._settings.home / "accounts.sqlite3")
        try:
            return accounts.setup_token() if accounts.needs_setup() else None
        finally:
            accounts.close()

    # Start and watch

    def _start(self) -> None:
        """Start supervisord and the wanted dispatchers; again if it is killed while it starts."""
        while not self._start_once():
            say("supervisord was killed while it started; starting over")
        if self._demo:
            self._manager.start("demo:demo")

    def _start_once(self) -> bool:
        orphans = leftovers.find(self._settings.home)
        if orphans:
            say(f"stopping {len(orphans)} programs that an earlier run left over")
            leftovers.stop(orphans)
        self._process, self._born = launch(self._settings, self._environment), time.monotonic()
        while True:
            try:
                scale(self._manager, self._dispatchers)
                return True
            except NotRunning as exc:
                code = self._process.poll()
                if code is not None and code < 0:
                    return False
                if code is not None or time.monotonic() - self._born > ANSWERS_S:
                    why = self._last_words() or "it does not answer"
                    raise ScanpostError(f"supervisord does not start: {why}") from exc
                time.sleep(LOOK_S)

    def _goes_on(self) -> bool:
        """False once supervisord ended in order (`scanpost down`); one that was killed is replaced.

        Raises ScanpostError if it ends by itself soon after its start.
        """
        code = self._process.poll()
        if code in (None, 0):
            return code is None
        if code > 0 and time.monotonic() - self._born < SHORT_LIFE_S:
            raise ScanpostError(f"supervisord ended with {code}: {self._last_words()}")
        say(f"supervisord ended unexpectedly ({code}); starting over")
        self._dispatchers = wanted.dispatchers(self._settings)  # may have been changed meanwhile
        self._start()
        self._replaced = True
        return True

    def _last_words(self) -> str:
        try:
            lines = (self._settings.log_folder / "supervisord.out").read_text(errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _wait_until_ready(self, limit_s: float | None) -> bool:
        """False if told to stop, or (with a limit) too late; says now and then what is missing."""
        begun = told = time.monotonic()
        while not self._stop_asked and self._goes_on():
            missing = readiness.missing(self._settings, self._dispatchers)
            if not missing:
                return True
            now = time.monotonic()
            if now - told > TELL_S:
                told = now
                say(f"not ready yet: {', '.join(missing)}; logs are in {self._settings.log_folder}")
            if limit_s is not None and now - begun > limit_s:
                return False
            time.sleep(LOOK_S)
        return False

    def _not_ready(self) -> int:
        if self._stop_asked:
            return self._stop()
        if self._process.poll() is None:
            say("giving up waiting; it goes on in the background. `scanpost status` tells more")
        else:
            say("stopped before everything was ready")
        return EXIT_FAILED

    def _watch(self) -> int:
        """Wait for a signal or for supervisord's end in order."""
        while not self._stop_asked:
            if not self._goes_on():
                return EXIT_DONE  # `scanpost down`
            if self._replaced and self._wait_until_ready(None):
                self._replaced = False
                say("everything serves again")
            until_end(self._process.pid, self._bell)
        return self._stop()

    def _stop(self) -> int:
        say("stopping; once more Ctrl-C ends everything at once")
        process = self._process
        try:
            self._manager.shut_down()
        except ScanpostError:
            process.terminate()
        deadline = time.monotonic() + STOP_S
        while process.poll() is None and self._stop_asked < 2 and time.monotonic() < deadline:
            self._manager.hurry()
            time.sleep(LOOK_S)
        if process.poll() is None:
            process.kill()
            process.wait()
        leftovers.stop(leftovers.find(self._settings.home), 0.0 if self._stop_asked > 1 else STOP_S)
        say("stopped")
        return EXIT_DONE


def stop_all(settings: Settings, limit_s: float) -> bool:
    """Stop supervisord with all programs, and what is left over. False if nothing was running."""
    running = manager(settings)
    found = False
    try:
        pid = running.pid()
        running.shut_down()
        found = True
        _wait_for_end(running, pid, limit_s)
    except NotRunning:
        pass  # killed, or never started: what it may have left over is stopped below
    orphans = leftovers.find(settings.home)
    leftovers.stop(orphans)
    return found or bool(orphans)


def _wait_for_end(running: ProcessManager, pid: int, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            psutil.Process(pid).wait(LOOK_S)
            return
        except psutil.NoSuchProcess:
            return
        except psutil.TimeoutExpired:
            running.hurry()
    raise ScanpostError(f"supervisord {pid} does not end; see its log")


def wait_until_ready(settings: Settings, dispatchers: int, with_bus: bool, limit_s: float) -> list[str]:
    """Wait until what runs serves; returns what does not after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while True:
        missing = readiness.missing(settings, dispatchers)
        missing = [name for name in missing if with_bus or not name.startswith("bus ")]
        if not missing or time.monotonic() > deadline:
            return missing
        time.sleep(LOOK_S)
