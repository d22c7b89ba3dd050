"""supervisord as a node runs it: the same program, which sleeps while none of its programs starts, stops or dies.
It must not decide anything; what it does with programs is supervisord's own, and its own file tells which there are.

supervisord wakes each second, all its life: for programs that are starting, stopping or waiting to be started again, and for
the signals it noted. Here signals end its sleep by themselves (signal.set_wakeup_fd), as sockets and pipes always did; so it
only has to look around while something goes on, and for a while afterwards.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from supervisor import supervisord
from supervisor.options import ServerOptions
from supervisor.poller import Poller
from supervisor.states import ProcessStates, SupervisorStates

LIVELY_S = 10.0  # after whatever woke it it looks each second for so long
LONGEST_S = 60.0
SETTLED = frozenset({ProcessStates.RUNNING, ProcessStates.STOPPED, ProcessStates.EXITED, ProcessStates.FATAL})


class PatientPoller(Poller):  # type: ignore[misc]
    """Sleeps longer than it is told while `settled` says so; a signal wakes it."""

    def __init__(self, options: Any, settled: Callable[[], bool]) -> None:
        super().__init__(options)
        self._settled = settled
        self._bell = -1
        self._lively_until = 0.0

    def poll(self, timeout: float) -> tuple[list[int], list[int]]:
        """Which can be read, which written; nothing after at most `timeout` seconds, or LONGEST_S."""
        if self._bell < 0:
            self._hang_bell()
        patient = time.monotonic() >= self._lively_until and self._settled()
        readable, writable = super().poll(LONGEST_S if patient else timeout)
        if readable or writable:
            self._lively_until = time.monotonic() + LIVELY_S
        if self._bell in readable:
            readable = [fd for fd in readable if fd != self._bell]
            os.read(self._bell, 4096)
        return readable, writable

    def _hang_bell(self) -> None:
        """Not before the first poll: whoever is told to begin anew (SIGHUP) closes what it finds open."""
        self._lively_until = time.monotonic() + LIVELY_S  # what is to be started is still called stopped
        self._bell, ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
        self.register_readable(self._bell)


class PatientOptions(ServerOptions):  # type: ignore[misc]
    """supervisord's own, with the patient poller. `manager` is told later."""

    def __init__(self) -> None:
        super().__init__()
        self.manager: Any = None
        self.poller = PatientPoller(self, lambda: settled(self.manager))


def settled(manager: Any) -> bool:
    """Whether there is nothing that time alone moves: programs run or do not, and nobody said to end."""
    if manager is None or manager.options.mood < SupervisorStates.RUNNING:
        return False
    groups = manager.process_groups.values()
    return all(one.state in SETTLED for group in groups for one in group.processes.values())


def main(argv: list[str] | None = None) -> None:
    """As supervisor.supervisord.main."""
    first = True
    while True:
        options = PatientOptions()
        options.realize(argv, doc=supervisord.__doc__)
        options.first, options.test = first, False
        options.manager = supervisord.Supervisor(options)
        with suppress(supervisord.asyncore.ExitNow):
            options.manager.main()
        options.close_httpservers()
        options.close_logger()
        first = False
        if options.mood < SupervisorStates.RESTARTING:
            return


if __name__ == "__main__":
    main(sys.argv[1:])
