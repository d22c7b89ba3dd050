"""How the kernel gives a process the processor. It must not be used where an answer is due within a few milliseconds even if
all processors are at work.
"""

from __future__ import annotations

import contextlib
import os


def take_turns() -> None:
    """Let the caller's thread, and those that it starts from now on, not push others off the processor when they wake up.

    For a process that many others feed: it is woken for every segment that comes, and where no processor is free, it would
    interrupt whoever sends the next ones to take in a few bytes. Waiting for its turn it finds more at once (SCHED_BATCH,
    sched(7)): with eight senders on two cores 3 changes of process an image, not 15. What is asked of it takes longer where
    all processors are at work: by a turn, some milliseconds. It has a free one at once as before, and its share is the same.
    Where another policy was chosen from outside, or this one is not to be had, nothing changes.
    """
    policy = getattr(os, "SCHED_BATCH", None)
    if policy is None:
        return
    with contextlib.suppress(OSError):  # a container may forbid it
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, policy, os.sched_param(0))
