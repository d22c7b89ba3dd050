"""Waiting for the end of a process without looking around. It must not end or start anything."""

from __future__ import annotations

import os
import select
import time

from protocol.wire.nudges import Bell

LONGEST_S = 60.0
LOOK_S = 0.2


def until_end(pid: int, bell: Bell, longest_s: float = LONGEST_S) -> None:
    """Return when the process ends, the bell rings (it is cleared), or so long has passed; at once if it is gone."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except OSError:  # a kernel or a container's filter without pidfds
        time.sleep(LOOK_S)
        return
    try:
        poll = select.poll()
        poll.register(process, select.POLLIN)
        poll.register(bell.fd, select.POLLIN)
        if bell.fd in dict(poll.poll(longest_s * 1000)):
            bell.clear()
    finally:
        os.close(process)
