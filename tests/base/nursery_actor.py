"""A process with a nursery, and what its children run: `nursery_actor.py` does one thing after the other and prints it."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
from pathlib import Path

LOADED_BY = os.getpid()


def main(argv: list[str]) -> int:
    """Of a child: answer into the pipe that was handed over, then do as told by stdin."""
    told = {
        "argv": argv[1:], "home": os.environ.get("SCANPOST_HOME"), "loaded_here": os.getpid() == LOADED_BY,
        "threads": threading.active_count(), "name": Path("/proc/self/comm").read_text().strip(),
        "fds": len(os.listdir("/proc/self/fd")), "term": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
    }  # fmt: skip
    with open(int(argv[0]), "w") as pipe:
        pipe.write(json.dumps(told))
    word = os.read(0, 100)
    if word == b"hang":
        signal.pause()
    return int(word or b"9")


def scenario() -> None:
    from actors.nursery import Nursery, begin  # before anything that a nursery must not have

    module = "tests.base.nursery_actor"
    nursery = Nursery.open(module)
    threading.Thread(target=threading.Event().wait, daemon=True).start()

    def child(*more: str, word: bytes = b""):  # type: ignore[no-untyped-def]
        (read, write), (theirs, voice) = os.pipe(), os.pipe()
        born = begin(nursery, module, ["{0}", *more], [write, theirs], {"SCANPOST_HOME": "/here"}, stdin=1)
        os.close(write), os.close(theirs)
        told = json.loads(open(read).read())  # noqa: SIM115
        if word:
            os.write(voice, word)
        return born, told, voice

    first, second = child("a", word=b"3"), child("b", word=b"hang")
    out = {"told": [first[1], second[1]], "code": first[0].wait(20), "kinds": [type(first[0]).__name__]}
    second[0].kill()
    out["killed"] = second[0].wait(20)
    second[0].kill()  # once more is nothing
    last = child(word=b"hang")
    parent = int(Path(f"/proc/{last[0].pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    replaced = child(word=b"4")
    out["kinds"].append(type(replaced[0]).__name__)
    out["replaced"] = [replaced[0].wait(20), replaced[1]["loaded_here"]]
    os.kill(last[0].pid, signal.SIGKILL)
    out["unknown"] = last[0].wait(20)
    print(json.dumps(out))


def dies() -> None:
    from actors.nursery import Nursery

    nursery = Nursery.open("tests.base.nursery_actor")
    read, write = os.pipe()
    theirs, _ = os.pipe()
    child = nursery.start(["{0}"], [write, theirs], {}, 1)
    assert child is not None
    stat = Path(f"/proc/{child.pid}/stat").read_text()
    print(json.dumps([int(stat.rpartition(")")[2].split()[1]), child.pid]), flush=True)
    select.select([], [], [])


if __name__ == "__main__":
    modes = {"scenario": scenario, "dies": dies}
    sys.exit(modes[sys.argv[1]]() if sys.argv[1] in modes else main(sys.argv[1:]))
