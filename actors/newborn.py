"""A process that somebody else forked for us, with what we need of subprocess.Popen. It must not be told what to do here."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading


class Newborn:
    """By its pidfd, which is ours to close: it stays this process, whatever becomes of its number."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid, self._pidfd = pid, pidfd
        self.returncode: int | None = None
        self._ended = threading.Event()
        self._mutex = threading.Lock()

    def poll(self) -> int | None:
        """The exit code, a signal as a negative number; None: it lives."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired."""
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """To this process alone; nothing if it has ended."""
        with self._mutex, contextlib.suppress(ProcessLookupError):
            if self.returncode is None:
                signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def end(self, code: int) -> None:
        """Whoever forked it says how it ended."""
        with self._mutex:
            if self.returncode is None:
                self.returncode = code
                os.close(self._pidfd)
        self._ended.set()

    def outlive(self, code: int) -> None:
        """Wait for its end where nobody can say how it was, and call it `code`."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        poll.poll()
        self.end(code)
