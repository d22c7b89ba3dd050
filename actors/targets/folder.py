"""Writes images into a folder as Part 10 files: under a temporary name, synced, renamed; so what has its name is whole.
It must not make the top folder unless told to, nor put anything outside of it, nor know deliveries.

Each call of the file system may hang (a share whose server is gone), so all of them are made by a `Hand`.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from pathlib import Path

from actors.pace import Pace
from actors.targets.folder_files import FolderFiles, away
from actors.targets.hand import Hand, Moved
from actors.targets.interface import Alive, Answer, Rung
from actors.targets.placing import Placing
from protocol.errors import NetworkError, SpoolError
from protocol.fsops import FsOps, RealFs
from protocol.routing.targets import FolderTarget as FolderSettings
from protocol.spool.images import ImageFile

GB = 10**9


class FolderTarget:
    """A folder of this machine, of a disk of its own or of a mounted share."""

    pace: Pace | None = None
    reuse_s = 0.0  # there is no connection that would be worth keeping

    def __init__(self, settings: FolderSettings, fs: FsOps | None = None) -> None:
        self._settings = settings
        self.sessions, self.patience_s = settings.sessions, settings.timeout_s
        self._files = FolderFiles(settings, fs or RealFs(), Placing(settings.layout))

    @property
    def finishes(self) -> bool:
        """Whether a marker is written."""
        return self._settings.done is not None

    def open(self, images: Sequence[ImageFile], alive: Alive) -> FolderSession:
        """See that the top folder is there. Raises TargetUnreachable, PeerTimeout."""
        hand = self._hand()
        try:
            hand.do(lambda moved: self._files.check_top(), alive)
        except BaseException:
            hand.close()
            raise
        return FolderSession(hand, self._files, images, alive, self.pace)

    def finish(self, images: Sequence[ImageFile], alive: Alive) -> None:
        """Write the marker into each folder that has images. Raises TargetUnreachable, PeerTimeout."""
        hand = self._hand()
        try:
            hand.do(lambda moved: self._files.mark(images, moved), alive)
        finally:
            hand.close()

    def rungs(self) -> Generator[Rung, None, None]:
        """The folder, whether it can be written, and its free space."""
        hand = self._hand()
        try:
            yield Rung("folder", lambda: hand.do(lambda moved: self._look(), _nobody))
            yield Rung("writable", lambda: hand.do(self._probe, _nobody))
            yield Rung("space", lambda: hand.do(lambda moved: self._space(), _nobody))
        finally:
            hand.close()

    def _hand(self) -> Hand:
        return Hand(f"the folder {self._settings.path}", self._settings.timeout_s)

    def _look(self) -> str:
        self._files.check_top()
        top = Path(self._settings.path)
        mount = next((str(place) for place in (top, *top.parents) if os.path.ismount(place)), "/")
        return f"{top} is a folder, " + ("on the system's own disk" if mount == "/" else f"mounted at {mount}")

    def _probe(self, moved: Moved) -> str:
        try:
            self._files.probe()
        except (OSError, SpoolError) as exc:
            raise away(exc) from exc
        return "a file was written, synced and removed"

    def _space(self) -> str:
        room = self._files.fs.room(Path(self._settings.path))
        text = f"{room.bytes / GB:.1f} GB free" + ("" if room.inodes is None else f", room for {room.inodes} files")
        if room.bytes == 0 or room.inodes == 0:
            raise NetworkError(f"full: {text}")
        return text


class FolderSession:
    """Writes one image after the other."""

    def __init__(
        self, hand: Hand, files: FolderFiles, images: Sequence[ImageFile], alive: Alive, pace: Pace | None = None
    ) -> None:
        self._hand, self._files, self._alive, self._pace = hand, files, alive, pace
        self._receipts = frozenset(image.receipt.hex() for image in images)

    def send(self, image: ImageFile, following: ImageFile | None = None) -> Answer:
        """The image is there, durable. Raises TargetUnreachable (missing, full, read-only), PeerTimeout."""
        return self._hand.do(lambda moved: self._files.put(image, self._receipts, moved, self._pace), self._alive)

    def again(self, images: Sequence[ImageFile], alive: Alive) -> bool:
        """To open a new one costs nothing."""
        return False

    def close(self) -> None:
        """Let go of the thread."""
        self._hand.close()

    abort = close


def _nobody() -> None:
    return
