"""An actor of a test's own, run as a process: `fake_actor.py MODE [--instance N]`. It must not do real work.

It tells its steps as log lines, so that a test waits for them by reading its stdout.
"""

from __future__ import annotations

import signal
import sys

from actors.base import Actor, run
from protocol.errors import DiskFailed

MODE = sys.argv[1]


class Died(BaseException):
    """As the crash tests raise it."""


class FakeActor(Actor):
    NAME = "fake"
    SINGLE = MODE != "many"
    passes = 0

    def start(self) -> None:
        self.context.log.info("started")
        if MODE == "start-fails":
            raise OSError("port in use")

    def recover(self) -> dict[str, int]:
        return {"mended": 2}

    def one_pass(self, nudges: list[object]) -> float:
        self.passes += 1
        self.context.log.info("passed", number=self.passes)
        if MODE == "fails-twice" and self.passes <= 2:
            raise ValueError("bad input")
        if MODE == "disk":
            raise DiskFailed("sync failed")
        if MODE == "dies":
            raise Died
        return 1000.0

    def stop(self) -> None:
        self.context.log.info("stopping")
        if MODE == "hangs-in-stop":
            signal.pause()

    def figures(self) -> dict[str, float]:
        if MODE == "figures-fail":
            raise KeyError("x")
        return {"passes": float(self.passes)}


if __name__ == "__main__":
    sys.exit(run(FakeActor, sys.argv[2:]))
