"""DICOM targets for a bench in one process, good and bad ones: `python -m bench.sinks KIND[:SECONDS] ...`.
It prints their ports, and for each line on its stdin how many images each has taken; what they get is thrown away.

Kinds: `good` (SECONDS for each image), `down` (nobody listens), `hangs` (accepts and never answers), `trickles` (reads one
byte a second), `refuses` (every third image for good, with C000).
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from actors.dicom.scp import Peer, ScpConfig, StorageScp, StoreRequest
from actors.dicom.whole import WholeObjects

CANNOT_UNDERSTAND = 0xC000


class Sinks:
    """The running process, seen from the bench."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.ports: list[int] = self._line()

    def taken(self) -> list[int]:
        """How many images each has taken, refused ones not counted."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> list[int]:
        assert self._process.stdout is not None
        return list(json.loads(self._process.stdout.readline()))


@contextmanager
def running(*kinds: str) -> Iterator[Sinks]:
    """Targets of these kinds, until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.sinks", *kinds], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Sinks(process)
    finally:
        process.kill()
        process.wait()


# ---- the process ------------------------------------------------------------------------------------------------------
class Taking(WholeObjects):
    """A target that counts."""

    def __init__(self, each_s: float, refuse_every: int = 0) -> None:
        self._each_s, self._refuse_every = each_s, refuse_every
        self._lock = threading.Lock()
        self.taken = self._seen = 0

    def requested(self, peer: Peer) -> str | None:
        return None

    def opened(self, association_id: bytes, peer: Peer) -> None:
        return None

    def store(self, association_id: bytes, peer: Peer, request: StoreRequest) -> int:
        time.sleep(self._each_s)
        with self._lock:
            self._seen += 1
            if self._refuse_every and self._seen % self._refuse_every == 0:
                return CANNOT_UNDERSTAND
            self.taken += 1
        return 0

    def closed(self, association_id: bytes, peer: Peer, how: str) -> None:
        return None

    def agreed(self, association_id: bytes, facts: Callable[[], dict[str, Any]]) -> None:
        return

    def refused_pdu(self, address: str, reason: str) -> None:
        return None

    def fatal(self, exc: BaseException) -> None:
        raise SystemExit(1)


class Mute:
    """Accepts connections and reads a byte now and then, or nothing at all."""

    taken = 0

    def __init__(self, byte_every_s: float | None) -> None:
        self._every_s = byte_every_s
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._kept: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            self._kept.append(connection)
            if self._every_s is not None:
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        with suppress(OSError):
            while connection.recv(1):
                time.sleep(self._every_s or 0)


class Down:
    """A port at which nobody listens."""

    taken = 0

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]


def made(kind: str) -> tuple[int, Any]:
    """(port, what has `taken`) of one target."""
    name, _, seconds = kind.partition(":")
    if name == "down":
        down = Down()
        return down.port, down
    if name in ("hangs", "trickles"):
        mute = Mute(None if name == "hangs" else 1.0)
        return mute.port, mute
    taking = Taking(float(seconds or 0), 3 if name == "refuses" else 0)
    return StorageScp(ScpConfig(host="127.0.0.1", port=0, ae_title="SINK"), taking).start(), taking


def main(kinds: Sequence[str]) -> None:
    found = [made(kind) for kind in kinds]
    print(json.dumps([port for port, _ in found]), flush=True)
    for _ in sys.stdin:
        print(json.dumps([one.taken for _, one in found]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
