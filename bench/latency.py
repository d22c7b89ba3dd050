"""P7: how long after a series is complete its target hears of it: last C-STORE response -> first byte at the target,
less the configured quiet time, through receiver, router and dispatcher of a whole node that has nothing else to do.
"""

from __future__ import annotations

import time

from actors.dicom.part10 import read_part10
from actors.dicom.scu import Node as Scanner
from actors.dicom.scu import open_association
from bench import images, node, peers
from bench.runs import Result, Session, measured, percentile
from bench.stamping import StampingTarget

QUIET_S = 0.5
SERIES_IMAGES = 3
REPETITIONS = 100
WARM = 2


def latency(session: Session) -> None:
    """One small series after the other, each a study of its own."""
    count = max(5, round(REPETITIONS * session.share))
    made = images.make("MR", session.folder / "series", SERIES_IMAGES / images.SETS["MR"][2])
    made.series[0][:] = [0] * made.count
    rule = {"name": "all", "when": "True", "action": "route", "targets": ["sink"]}
    more = {"SCANPOST_ROUTER__QUIET_S": str(QUIET_S)}
    with peers.storescp(session.folder / "sink", "--ignore") as behind, StampingTarget(behind.port) as sink:
        target = {
            "type": "dicom",
            "host": "127.0.0.1",
            "port": sink.port,
            "called_ae": "SINK",
            "calling_ae": "SCANPOST",
        }
        with node.running(session.folder / "latency", {"sink": target}, [rule], more) as running:
            found = [_once(running.port, made, sink) for _ in range(count + WARM)][WARM:]
    session.add(_results(found, made.count))


def _once(port: int, made: images.ImageSet, sink: StampingTarget) -> float:
    """Milliseconds beyond the quiet time."""
    made.renew()
    sink.arm()
    sending = [read_part10(path) for path in made.paths[0]]
    contexts = [(image.sop_class_uid, image.transfer_syntax_uid) for image in sending]
    with open_association(Scanner("127.0.0.1", port, "SCANPOST", "SCANNER"), contexts) as association:
        for image in sending:
            if association.store(image).status:
                raise RuntimeError("the node refused an image")
        answered = time.perf_counter()
    return 1000 * (sink.wait(made.count) - answered - QUIET_S)


def _results(found: list[float], images: int) -> list[Result]:
    title = f"latency beyond quiet_s = {QUIET_S:g}, series of {images} MR images"
    median = measured(title, "median", found, "ms", limit=50.0, goal="P7 < 50 ms")
    return [median, measured(title, "95 % are below", [percentile(found, 0.95)], "ms")]
