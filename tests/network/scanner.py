"""A scanner in a process of its own: sends series of generated images until told to stop, each image again until it is
acknowledged, and writes down every acknowledged one. `python -m tests.network.scanner PORT RECORD STUDY AT_LEAST`.

Each line of its record: SOP instance UID, digest of the data set, written after the success came in.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path

from actors.dicom.frame import OutgoingImage
from actors.dicom.scu import Node, open_association
from protocol.errors import NetworkError, UnreadableImage
from protocol.testing.images import TestImage

SERIES_IMAGES = 12
PAUSE_S = 0.05


class Scanner:
    """One AE that never gives an image up."""

    def __init__(self, port: int, record: str, study: int, folder: Path) -> None:
        self._node = Node(
            "127.0.0.1", port, "SCANPOST", f"SCAN{study}", dimse_timeout_s=20, acse_timeout_s=5, connect_timeout_s=5
        )
        self._fd = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._study, self._folder = study, folder
        self.stopping = threading.Event()
        self._pause = threading.Event()

    def run(self, at_least: int) -> None:
        """Series after series; ends after a whole one, when told to and `at_least` images are acknowledged."""
        sent, series = 0, 0
        while sent < at_least or not self.stopping.is_set():
            series += 1
            images = [TestImage(self._study, series, number + 1, os.urandom(4000)) for number in range(SERIES_IMAGES)]
            while images:
                before = len(images)
                images = self._try(images)
                sent += before - len(images)
                self._pause.wait(PAUSE_S if not images else 0.3)

    def _try(self, images: list[TestImage]) -> list[TestImage]:
        """Send what is left over one association; returns what was not acknowledged."""
        left = list(images)
        try:
            with open_association(self._node, [(left[0].sop_class_uid, left[0].transfer_syntax_uid)]) as association:
                while left:
                    if not self._send(association, left[0]):
                        return left
                    left.pop(0)
                    self._pause.wait(0.01)
        except NetworkError:
            return left
        return left

    def _send(self, association, image: TestImage) -> bool:  # type: ignore[no-untyped-def]
        data = image.dataset()
        path = self._folder / "image.bin"
        path.write_bytes(b"-" + data)
        try:
            result = association.store(
                OutgoingImage(path, 1, image.sop_class_uid, image.sop_uid, image.transfer_syntax_uid)
            )
        except UnreadableImage as exc:
            raise SystemExit(f"test is broken: {exc}") from exc
        if result.status != 0:
            return False
        os.write(self._fd, f"{image.sop_uid} {hashlib.sha256(data).hexdigest()}\n".encode())
        return True


def main() -> None:
    port, record, study, at_least = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    with tempfile.TemporaryDirectory() as folder:
        scanner = Scanner(port, record, study, Path(folder))
        signal.signal(signal.SIGTERM, lambda *_: scanner.stopping.set())
        scanner.run(at_least)


if __name__ == "__main__":
    main()
