"""The write lock: whoever holds it lets go of it, or is seen."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading

import pytest

from protocol.spool import writelock
from protocol.spool.writelock import WriteLock, free_from_stopped_holder, holder

HOLD = """
import sys, time
from pathlib import Path
from protocol.spool import writelock
if sys.argv[2] == "silent":
    writelock.WriteLock._note = lambda self, pid, since: None
with writelock.WriteLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def hold(tmp_path):
    """hold(path, how): a process that holds the lock until the end of the test."""
    started = []

    def start(path, how="usual"):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(process)
        assert process.stdout.readline() == b"held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_the_holders_name_does_not_keep_the_lock(tmp_path, monkeypatch, code):
    def refuse(*args):
        raise OSError(code, os.strerror(code))

    lock, other = WriteLock(tmp_path / "lock"), WriteLock(tmp_path / "lock")
    monkeypatch.setattr(writelock.os, "pwrite", refuse)
    with lock:
        pass
    taken = threading.Event()

    def take_in_turn():
        with lock:
            pass
        with other:
            taken.set()

    threading.Thread(target=take_in_turn, daemon=True).start()
    assert taken.wait(60)


def test_the_number_of_a_dead_holder_is_nobodys(tmp_path, hold):
    process = hold(tmp_path / "lock")
    assert holder(tmp_path / "lock").pid == process.pid
    (tmp_path / "lock").write_text(f"{os.getppid()} 1.0\n")  # as if it had died and its number was given again
    process.kill()
    process.wait()
    assert holder(tmp_path / "lock") is None


def test_a_holder_stopped_before_it_could_say_its_name_is_killed_too(tmp_path, hold):
    process = hold(tmp_path / "lock", "silent")
    assert free_from_stopped_holder(tmp_path / "lock") is None, "it runs, and may be about to let go"
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    found = free_from_stopped_holder(tmp_path / "lock")
    assert found is not None and found.pid == process.pid
    with WriteLock(tmp_path / "lock"):
        pass
    assert process.wait(60) == -signal.SIGKILL
