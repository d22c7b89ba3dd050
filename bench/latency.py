"""P7: how long after a series is complete its target hears of it: last C-STORE response -> first message at the target,
less the configured quiet time, through receiver, router and dispatcher of a whole node.

The target's clock is stamped when the association request has been read (or, on an association that is reused, the first
image): a fraction of a millisecond after its first byte, so the figures are a little too high, never too low.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from actors.dicom.part10 import read_part10
from actors.dicom.scp import Peer, ScpConfig, StorageScp, StoreRequest
from actors.dicom.scu import Node as Scanner
from actors.dicom.scu import open_association
from bench import images, node
from bench.runs import Result, Session, measured, percentile

QUIET_S = 0.5
SERIES_IMAGES = 3
REPETITIONS = 100
LIMIT_S = 60.0


class Sink:
    """A ScpHandler that stamps the first message after `arm` and keeps nothing."""

    def __init__(self) -> None:
        self._first = 0.0
        self._done = threading.Event()
        self._left = 0

    def arm(self) -> None:
        self._done.clear()
        self._first, self._left = 0.0, SERIES_IMAGES

    def wait(self) -> float:
        """Time stamp of the first message, once the whole series is there."""
        if not self._done.wait(LIMIT_S):
            raise RuntimeError("the series did not arrive at the target")
        return self._first

    def _stamp(self) -> None:
        self._first = self._first or time.perf_counter()

    def requested(self, peer: Peer) -> str | None:
        self._stamp()
        return None

    def opened(self, association_id: bytes, peer: Peer) -> None:
        return None

    def store(self, association_id: bytes, peer: Peer, request: StoreRequest) -> int:
        self._stamp()
        self._left -= 1
        if not self._left:
            self._done.set()
        return 0

    def closed(self, association_id: bytes, peer: Peer, how: str) -> None:
        return None

    def refused_pdu(self, address: str, reason: str) -> None:
        return None

    def fatal(self, exc: BaseException) -> None:
        return None


def latency(session: Session) -> None:
    """One small series after the other through an otherwise idle node."""
    count = max(5, round(REPETITIONS * session.share))
    made = images.make("MR", session.folder / "series", SERIES_IMAGES / 2000)
    for number, path in enumerate(made.paths[0]):
        made.series[0][number] = 0
        assert path.exists()
    sink = Sink()
    scp = StorageScp(ScpConfig(host="127.0.0.1", port=0, ae_title="SINK"), sink)
    target = {"type": "dicom", "host": "127.0.0.1", "port": scp.start(), "called_ae": "SINK", "calling_ae": "SCANPOST"}
    rule = {"name": "all", "when": "True", "action": "route", "targets": ["sink"]}
    more = {"SCANPOST_ROUTER__QUIET_S": str(QUIET_S)}
    try:
        with node.running(session.folder / "latency", {"sink": target}, [rule], more) as running:
            found = [_once(running.port, made, sink) for _ in range(count + 2)][2:]  # the first two warm up
    finally:
        scp.stop(1.0)
    session.add(_results(found))


def _once(port: int, made: images.ImageSet, sink: Sink) -> float:
    """Milliseconds beyond the quiet time."""
    made.renew()
    sink.arm()
    sending = [read_part10(Path(path)) for path in made.paths[0]]
    contexts = [(image.sop_class_uid, image.transfer_syntax_uid) for image in sending]
    with open_association(Scanner("127.0.0.1", port, "SCANPOST", "SCANNER"), contexts) as association:
        for image in sending:
            if association.store(image).status:
                raise RuntimeError("the node refused an image")
        answered = time.perf_counter()
    return 1000 * (sink.wait() - answered - QUIET_S)


def _results(found: list[float]) -> list[Result]:
    title = f"latency beyond quiet_s = {QUIET_S:g}, series of {SERIES_IMAGES} MR images"
    median = measured(title, "median", found, "ms", limit=50.0, goal="P7 < 50 ms")
    return [median, measured(title, "95 % are below", [percentile(found, 0.95)], "ms")]
