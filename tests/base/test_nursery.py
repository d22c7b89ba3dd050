"""Children forked by a process that has imported everything: what they are like, how they end, and what becomes of it all."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys

import pytest

from actors.child import EXIT_SPOOL

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-m", "tests.base.nursery_actor"]


def test_children_come_out_of_the_nursery_like_processes_that_were_started_and_without_it_they_are() -> None:
    done = subprocess.run([*COMMAND, "scenario"], capture_output=True, text=True, timeout=60, check=True)
    out = json.loads(done.stdout)
    first, second = out["told"]
    assert (first["argv"], second["argv"]) == (["a"], ["b"])
    assert first["home"] == "/here" and first["name"] == "nursery_actor"[:15]
    assert not first["loaded_here"] and first["threads"] == 1 and first["term"]
    assert second["fds"] == first["fds"]  # nothing of a sister
    assert (out["code"], out["killed"]) == (3, -9)
    assert out["kinds"] == ["Newborn", "Popen"]  # the second was born after the nursery was killed
    assert out["replaced"] == [4, True]
    assert out["unknown"] == EXIT_SPOOL  # nobody can say how it ended: not held against what it worked on


def test_the_nursery_ends_with_its_actor_and_children_hear_it_on_their_pipes() -> None:
    actor = subprocess.Popen([*COMMAND, "dies"], stdout=subprocess.PIPE, text=True)
    assert actor.stdout is not None
    pids = json.loads(actor.stdout.readline())
    fds = [os.pidfd_open(pid) for pid in pids]
    actor.kill()
    actor.wait(60)
    for fd in fds:
        assert select.select([fd], [], [], 20)[0]
        os.close(fd)
    actor.stdout.close()
