"""An image as a Part 10 file with a fresh file meta (PS3.10 section 7.1), read piece by piece, for targets that keep files.
It must not change or load the data set, nor let anything of the spool's own file meta out: senders, addresses, receipts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from types import TracebackType

from actors.dicom.frame import DEFLATED
from actors.pace import Pace
from protocol.errors import UnreadableImage
from protocol.spool.images import ImageFile
from protocol.spool.part10 import fresh

CHUNK_BYTES = 256 * 1024
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # O_NONBLOCK: a FIFO in an image's place must not hang us


class Part10File:
    """The bytes of one file, once, as an iterator of chunks or by `read`; `size` is how many there are, in bytes.

    Used in a `with`, by one thread. `source_ae` becomes (0002,0016), where the target knows one. With a `pace` what is
    read may be sent at once: reading waits for the target's bandwidth cap, and calls `alive` meanwhile.
    """

    def __init__(
        self, image: ImageFile, source_ae: str = "", *, pace: Pace | None = None, alive: Callable[[], None] = lambda: None
    ) -> None:  # fmt: skip
        """Open the spool's file. Raises UnreadableImage if it is gone or shorter than it has to be."""
        self._head = fresh(image.sop_class_uid, image.sop_instance_uid, image.transfer_syntax_uid, source_ae)
        self._at, self._left, self._fd = image.offset, image.bytes, -1
        self._pace, self._alive = pace, alive
        # A deflated stream of odd length gets the NUL that its file should have had (PS3.5 section A.5).
        self._tail = b"\0" if image.bytes % 2 and image.transfer_syntax_uid in DEFLATED else b""
        self.size = len(self._head) + image.bytes + len(self._tail)
        try:
            self._open(image)
        except BaseException:
            self.close()
            raise

    def _open(self, image: ImageFile) -> None:
        try:
            self._fd = os.open(image.path, _FLAGS)
            found = os.fstat(self._fd)
        except OSError as exc:
            raise UnreadableImage(f"the image file cannot be opened: {exc.strerror}") from exc
        if not stat.S_ISREG(found.st_mode) or image.bytes <= 0:
            raise UnreadableImage("the image file holds no dataset")
        if found.st_size < image.offset + image.bytes:
            raise UnreadableImage("the image file ends too early")

    def __enter__(self) -> Part10File:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        """Chunks of at most CHUNK_BYTES. Raises UnreadableImage if the file is cut or cannot be read meanwhile."""
        return iter(self.read, b"")

    def read(self, size: int = CHUNK_BYTES) -> bytes:
        """The next bytes, at most `size` and CHUNK_BYTES, empty at the end. Raises UnreadableImage."""
        size = CHUNK_BYTES if size < 0 else min(size, CHUNK_BYTES)
        if self._pace is None:
            return self._next(size)
        found = self._next(min(size, self._pace.piece))
        if found:
            self._pace.wait(len(found), self._alive)
        return found

    def _next(self, size: int) -> bytes:
        if self._head:
            found, self._head = self._head[:size], self._head[size:]
        elif self._left:
            found = self._dataset(min(size, self._left))
        else:
            found, self._tail = self._tail[:size], self._tail[size:]
        return found

    def close(self) -> None:
        """Let go of the file; more than once is allowed."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _dataset(self, size: int) -> bytes:
        try:
            found = os.pread(self._fd, size, self._at)
        except OSError as exc:
            raise UnreadableImage(f"the image file cannot be read: {exc.strerror}") from exc
        if not found and size:
            raise UnreadableImage("the image file ends too early")
        self._at += len(found)
        self._left -= len(found)
        return found
