"""Has images changed into another transfer syntax by a process of its own, one ahead of what is being sent.

It must not import a codec, nor leave anything behind: results are files without a name, gone when their last user is.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from actors.dicom import statuses
from actors.targets.interface import Alive, Answer
from actors.transcode.worker import DAMAGED, DONE, FRAME_S, NO_ROOM
from protocol.causes import Cause
from protocol.errors import UnreadableImage
from protocol.header.dictionary import uid_name
from protocol.records import record
from protocol.routing.syntaxes import Transcode, TransferSyntaxes, name_of, ways
from protocol.spool.images import ImageFile

LOOK_EVERY_S = 0.5
SILENT_S = FRAME_S + 15.0  # the worker's own alarm comes first
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each would claim memory of its own
_BUFFERS = 2  # one is sent while the other is written


@record
class Syntaxes:
    """What a target may be sent; `scratch` is where results are written."""

    allowed: TransferSyntaxes | None = None
    transcode: Transcode = "never"
    scratch: Path | None = None

    def ways(self, image: ImageFile) -> tuple[str, ...]:
        """See protocol.routing.syntaxes.ways."""
        if self.allowed is None and self.transcode == "never":
            return (image.transfer_syntax_uid,)
        return ways(image.transfer_syntax_uid, self.allowed, self.transcode)


class DamagedFile(UnreadableImage):
    """It is gone, cut or cannot be read; what is in it has nothing to do with that."""


class NoRoom(Exception):
    """The result cannot be written now, or no process can be had; it is not the image's fault."""


@record
class _Order:
    image: ImageFile
    to: tuple[str, ...]
    buffer: int


class Transcoder:
    """One worker process, started when it is needed first and replaced when it dies. Used by one thread."""

    def __init__(self, scratch: Path | None) -> None:
        self._scratch = scratch
        self._process: subprocess.Popen[bytes] | None = None
        self._files: list[BinaryIO] = []
        self._next = 0
        self._ordered: _Order | None = None
        self._heard = b""

    def begin(self, image: ImageFile, to: tuple[str, ...]) -> None:
        """Have it changed; `result` fetches it. What was changed for the `result` before stays until the next `begin`."""
        if self._ordered is not None and self._ordered.image is image and self._ordered.to == to:
            return
        if self._ordered is not None:  # it will not be asked for any more
            self._stop()
        try:
            process = self._running()
            order = _Order(image, to, self._next)
            self._next = (self._next + 1) % _BUFFERS
            asked = {
                "path": os.fspath(image.path), "offset": image.offset, "length": image.bytes, "to": to,
                "stored": image.transfer_syntax_uid, "out": self._files[order.buffer].fileno(),
            }  # fmt: skip
            assert process.stdin is not None
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            process.stdin.flush()
        except OSError as exc:
            self._stop()
            raise NoRoom(exc.strerror or type(exc).__name__) from exc
        self._ordered = order

    def result(self, image: ImageFile, to: tuple[str, ...], alive: Alive) -> ImageFile:
        """The changed image, good until the next but one `begin`. Raises UnreadableImage (it cannot be changed; DamagedFile: nor
        read), NoRoom."""
        order, answer = self._asked(image, to, alive)
        if answer is None:  # it may have been somebody's signal, or another program's hunger for memory
            order, answer = self._asked(image, to, alive)
        if answer is None:
            raise UnreadableImage("its codec crashed twice")
        if answer["is"] == NO_ROOM:
            raise NoRoom(str(answer["words"]))
        if answer["is"] == DAMAGED:
            raise DamagedFile(str(answer["words"]))
        if answer["is"] != DONE:
            raise UnreadableImage(str(answer["words"]))
        path = Path(f"/proc/self/fd/{self._files[order.buffer].fileno()}")
        return replace(image, path=path, offset=0, bytes=answer["bytes"], transfer_syntax_uid=answer["syntax"])

    def _asked(self, image: ImageFile, to: tuple[str, ...], alive: Alive) -> tuple[_Order, dict[str, Any] | None]:
        self.begin(image, to)
        order, self._ordered = self._ordered, None
        assert order is not None
        try:
            answer = self._answer(alive)
        except BaseException:
            self._stop()
            raise
        if answer is None:
            self._stop()
        return order, answer

    def close(self) -> None:
        """End the process and let go of the files. Never raises."""
        self._stop()
        for file in self._files:
            file.close()
        self._files = []

    # -- inner -------------------------------------------------------------------------------------------------------

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        while len(self._files) < _BUFFERS:
            self._files.append(tempfile.TemporaryFile(dir=self._scratch, buffering=0))  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "actors.transcode.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, pass_fds=[file.fileno() for file in self._files], env={**os.environ, **_ONE_THREAD},
        )  # fmt: skip
        self._heard = b""
        return self._process

    def _answer(self, alive: Alive) -> dict[str, Any] | None:
        """The worker's, or None: it died. `alive` is called all the while. Raises UnreadableImage: it hangs."""
        assert self._process is not None and self._process.stdout is not None
        fd, silent_s = self._process.stdout.fileno(), 0.0
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        while silent_s < SILENT_S:
            alive()
            if not poll.poll(LOOK_EVERY_S * 1000):
                silent_s += LOOK_EVERY_S
                continue
            silent_s = 0.0
            data = os.read(fd, 65536)
            if not data:
                if self._process.wait() == -signal.SIGALRM:
                    raise UnreadableImage("its codec hung")
                return None
            self._heard += data
            while b"\n" in self._heard:
                line, _, self._heard = self._heard.partition(b"\n")
                found: dict[str, Any] = json.loads(line)
                if found:
                    return found
        raise UnreadableImage("its codec hung")

    def _stop(self) -> None:
        process, self._process, self._ordered = self._process, None, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        process.wait()


def not_taken(image: ImageFile) -> str:
    """Words for a target that does not take this image as it is stored, for people who know names and not UIDs."""
    return f"the target does not take {uid_name(image.sop_class_uid)} in {uid_name(image.transfer_syntax_uid)}"


def refusal(image: ImageFile, to: tuple[str, ...], exc: UnreadableImage) -> Answer:
    """The answer for an image that cannot be changed: nothing the target could help with."""
    if isinstance(exc, DamagedFile):
        words = f"not sent, {exc}"
        return Answer(statuses.PROCESSING_FAILURE, False, words, words, cause=Cause.IMAGE_DAMAGED)
    words = f"not sent, it cannot be changed from {name_of(image.transfer_syntax_uid)} to {name_of(to[0])}: {exc}"
    return Answer(statuses.PROCESSING_FAILURE, False, words, words, cause=Cause.CONTEXT_REFUSED)


def put_off(exc: NoRoom) -> Answer:
    """The answer for one that can be changed later."""
    return Answer(statuses.OUT_OF_RESOURCES, False, f"there is no room to change its transfer syntax: {exc}", "", True,
                  Cause.OUT_OF_SPACE)  # fmt: skip
