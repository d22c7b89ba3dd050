"""A storage target in a process of its own that writes down what it got; it outlives everything done to the node.
Each line of its record: SOP instance UID, digest of the data set. `python -m tests.network.sink PORT RECORD DELAY_S`.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from actors.dicom.scp import Peer, ScpConfig, StorageScp, StoreRequest
from actors.dicom.whole import WholeObjects


class Sink(WholeObjects):
    """A ScpHandler that keeps nothing but the record."""

    def __init__(self, record: str, delay_s: float) -> None:
        self._fd = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._delay = delay_s
        self._pause = threading.Event()

    def requested(self, peer: Peer) -> str | None:
        return None

    def opened(self, association_id: bytes, peer: Peer) -> None:
        return None

    def store(self, association_id: bytes, peer: Peer, request: StoreRequest) -> int:
        self._pause.wait(self._delay)
        os.write(self._fd, f"{request.sop_instance_uid} {hashlib.sha256(request.dataset).hexdigest()}\n".encode())
        return 0

    def closed(self, association_id: bytes, peer: Peer, how: str) -> None:
        return None

    def agreed(self, association_id: bytes, facts: Callable[[], dict[str, Any]]) -> None:
        return

    def refused_pdu(self, address: str, reason: str) -> None:
        return None

    def fatal(self, exc: BaseException) -> None:
        raise SystemExit(1)


def main() -> None:
    port, record, delay = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    scp = StorageScp(ScpConfig(host="127.0.0.1", port=port, ae_title="SINK"), Sink(record, delay))
    scp.start()
    print("listening", flush=True)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()
    scp.stop(1)


if __name__ == "__main__":
    main()
