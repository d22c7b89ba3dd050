"""`scanpost up --demo`: a target that takes everything, a rule that sends to it, and a scanner that keeps sending.
It is a stranger to the node: it speaks DICOM and publishes routing like anybody; it must not touch spool or actors.

The sample is pydicom's bundled real series (CT and MR), each time with new UIDs, as if scanned again.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from protocol.errors import ConfigurationError, RoutingConflict
from protocol.settings import Settings, load_settings

NAME = "demo"  # of target and rule
CALLING_AE = "DEMO"
PORT = 11119  # of the target; another one if it is taken
LASTS_S = 600.0
PAUSE_S = 6.0
AGAIN_S = 1.0
IMAGE_S = 0.15  # the target takes its time, so that a delivery can be watched
SERIES = ("98892003/MR700", "98892001/CT5N", "98892003/MR2", "77654033/CT2")  # below pydicom's dicomdirtests


class Sink:
    """A DICOM node that takes every image and forgets it; an ScpHandler, and the intake of every object."""

    commitment = None

    def __init__(self) -> None:
        self.images = 0

    def requested(self, peer: Any) -> str | None:
        return None

    def opened(self, association_id: bytes, peer: Any) -> None:
        return

    def begin(self, association_id: bytes, peer: Any, command: Any) -> Sink:
        return self

    def whole(self, association_id: bytes, peer: Any, command: Any, pieces: Any) -> int:
        return self.finish()

    def write(self, pieces: Any, last: bool) -> None:
        return

    def finish(self) -> int:
        time.sleep(IMAGE_S)
        self.images += 1
        return 0x0000

    def abandon(self) -> None:
        return

    def refused(self, association_id: bytes, command: Any, status: int, reason: str) -> None:
        return

    def rest(self, association_id: bytes) -> None:
        return

    def taker(self, association_id: bytes, way: Any, pieces: Any) -> None:
        return

    def closed(self, association_id: bytes, peer: Any, how: str) -> None:
        return

    def agreed(self, association_id: bytes, facts: Callable[[], dict[str, Any]]) -> None:
        return

    def refused_pdu(self, address: str, reason: str) -> None:
        return

    def fatal(self, exc: BaseException) -> None:
        return


def start_sink(sink: Sink) -> tuple[Any, int]:
    """Listen on the usual port, or on any; returns the server and its port."""
    from actors.dicom.scp import StorageScp
    from actors.dicom.service import ScpConfig

    for port in (PORT, 0):
        server = StorageScp(ScpConfig(host="127.0.0.1", port=port, ae_title="DEMOSINK"), sink)
        try:
            return server, server.start()
        except OSError:
            if port == 0:
                raise
    raise AssertionError("not reached")


def with_demo(configuration: Mapping[str, Any], port: int) -> dict[str, Any] | None:
    """The routing configuration with our target and rule in it; None if they are there already."""
    target = {
        "type": "dicom",
        "host": "127.0.0.1",
        "port": port,
        "called_ae": "DEMOSINK",
        "comment": "scanpost up --demo",
    }
    rule = {
        "name": NAME, "when": f"SenderAET == '{CALLING_AE}'", "action": "route", "targets": [NAME],
        "comment": "scanpost up --demo",
    }  # fmt: skip
    targets, rules = dict(configuration["targets"]), list(configuration["rules"])
    known = targets.get(NAME, {})
    if (known.get("host"), known.get("port")) == ("127.0.0.1", port) and any(one["name"] == NAME for one in rules):
        return None
    rules = [one for one in rules if one["name"] != NAME]
    return {**configuration, "targets": {**targets, NAME: target}, "rules": [rule, *rules]}


def publish(settings: Settings, port: int) -> bool:
    """Make target and rule current; False if they were. Raises RoutingError."""
    from protocol.clock import SystemClock
    from protocol.fsops import RealFs
    from protocol.routing.parse import build, to_data
    from protocol.routing.versions import RoutingVersions

    for _ in range(5):
        versions = RoutingVersions(settings.home / "config" / "routing", RealFs(), SystemClock())
        current = versions.current()
        wanted = with_demo(to_data(current.configuration), port)
        if wanted is None:
            return False
        try:
            versions.publish(build(wanted, "demo"), "demo", "target and rule of the demonstration", current.number)
        except RoutingConflict:
            continue  # somebody was quicker: start from theirs
        return True
    raise RoutingConflict("somebody else keeps publishing")


def sample(number: int, folder: Path) -> list[Path]:
    """One bundled series as files in `folder`, under new UIDs."""
    import pydicom.data
    from pydicom import dcmread
    from pydicom.uid import generate_uid

    source = Path(pydicom.data.__file__).parent / "test_files" / "dicomdirtests" / SERIES[number % len(SERIES)]
    study, series = generate_uid(), generate_uid()
    made = []
    for at, path in enumerate(sorted(path for path in source.iterdir() if path.is_file())):
        image = dcmread(path)
        image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID = study, series, generate_uid()
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        made.append(folder / f"{at:04}.dcm")
        image.save_as(made[-1])
    return made


def send_one(settings: Settings, number: int) -> tuple[bool, str]:
    """Send one series to the receiver; whether anything arrived, and what came of it in words."""
    from actors.dicom.bulk import send_files
    from actors.dicom.scu import Node

    host = "127.0.0.1" if settings.receiver.host in ("0.0.0.0", "::") else settings.receiver.host
    node = Node(host, settings.receiver.port, settings.receiver.ae_title, CALLING_AE)
    with tempfile.TemporaryDirectory(prefix="scanpost-demo-") as folder:
        report = send_files(node, sample(number, Path(folder)))
    told = f"sent {report.sent} of {report.sent + report.failed} images of {SERIES[number % len(SERIES)]}"
    return report.sent > 0, told


def main(argv: Sequence[str]) -> int:
    """`python -m scanpost.demo [SECONDS]`: goes on for ten minutes unless told otherwise; returns the exit code.

    `python -m scanpost.demo once [NUMBER]` only sends one series to the node that runs, without target and rule.
    """
    stop = threading.Event()
    try:
        settings = load_settings()
    except ConfigurationError as exc:
        print(f"scanpost: {exc}", file=sys.stderr)
        return 78
    if argv and argv[0] == "once":
        arrived, told = send_one(settings, int(argv[1]) if len(argv) > 1 else 0)
        print(told, flush=True)
        return 0 if arrived else 1
    for which in (signal.SIGTERM, signal.SIGINT):
        # A thread sets it: a handler that interrupts wait() must not take the same lock.
        signal.signal(which, lambda *_: threading.Thread(target=stop.set, daemon=True).start())
    from actors.log import configure

    log, sink = configure(NAME), Sink()
    server, port = start_sink(sink)
    publish(settings, port)
    end = time.monotonic() + (float(argv[0]) if argv else LASTS_S)
    number = 0
    while not stop.is_set() and time.monotonic() < end:
        arrived, told = send_one(settings, number)
        log.info("demo_sent" if arrived else "demo_waits", said=told)
        number += arrived
        stop.wait(PAUSE_S if arrived else AGAIN_S)  # the receiver may not be up yet
    # The target stays until told to go, or what was sent last would be retried for days.
    log.info("demo_ended", said="no more series; the target stays")
    while not stop.wait(1.0):
        continue
    server.stop(5.0)
    log.info("demo_stopped", images=sink.images)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
