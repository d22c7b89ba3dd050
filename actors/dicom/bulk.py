"""Sending many files: find them, propose what they need, send them over one or several associations, report each.

It must not print or use the spool.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from actors.dicom.frame import OutgoingImage
from actors.dicom.part10 import read_part10
from actors.dicom.scu import Association, Context, Node, StoreResult, open_association, pack_contexts
from protocol.errors import NetworkError, UnreadableImage
from protocol.header.dictionary import uid_name
from protocol.records import record

# Exit codes of dcmsend(1).
DONE = 0
NO_INPUT_FILES = 21
INVALID_INPUT_FILE = 22
NO_VALID_INPUT_FILES = 23
CANNOT_NEGOTIATE = 61
CANNOT_SEND = 62
NO_CONTEXT = 65
_OVER = "not sent: the association is over"


@record
class FileReport:
    """What came of one file of `size` bytes of dataset.

    `result` is None if the peer gave no answer, `code` the exit code it asks for.
    """

    path: Path | str
    ok: bool
    message: str
    code: int = DONE
    result: StoreResult | None = None
    size: int = 0


@dataclass
class SendReport:
    """What came of all files, in the order of their ends; `bytes` are those of the datasets sent."""

    files: list[FileReport] = field(default_factory=list)
    associations: int = 0
    elapsed_s: float = 0.0

    @property
    def sent(self) -> int:
        return sum(file.ok for file in self.files)

    @property
    def failed(self) -> int:
        return len(self.files) - self.sent

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files if file.ok)

    @property
    def exit_code(self) -> int:
        """As dcmsend: the gravest fault decides; invalid files count only if no other fault happened."""
        codes = {file.code for file in self.files if not file.ok}
        if not self.files:
            return NO_INPUT_FILES
        if codes == {INVALID_INPUT_FILE} and not self.sent:
            return NO_VALID_INPUT_FILES
        for code in (CANNOT_NEGOTIATE, CANNOT_SEND, NO_CONTEXT, INVALID_INPUT_FILE):
            if code in codes:
                return code
        return DONE


class Watch(Protocol):
    """Hears how it goes, one call at a time."""

    def found(self, images: int, size: int) -> None:
        """All files were looked at: so many images, so many bytes of datasets."""

    def moved(self, size: int) -> None:
        """So many more bytes were taken by the peer."""

    def ended(self, file: FileReport) -> None:
        """One file is through, whatever came of it."""


class _Nobody:
    """Watches nothing."""

    def found(self, images: int, size: int) -> None:
        return

    def moved(self, size: int) -> None:
        return

    def ended(self, file: FileReport) -> None:
        return


def send_files(
    node: Node,
    paths: Iterable[Path],
    watch: Watch | None = None,
    *,
    associations: int = 1,
    into: SendReport | None = None,
) -> SendReport:
    """Send Part 10 files (folders: all files below) as they are, over up to `associations` at a time.

    Never raises NetworkError or UnreadableImage: each file's report says what came of it. After a KeyboardInterrupt
    everything is aborted; `into` then has what was done until then.
    """
    start = time.monotonic()
    report = SendReport() if into is None else into
    sending = _Sending(node, watch or _Nobody(), report)
    try:
        images: dict[Context, list[OutgoingImage]] = {}
        for path in files_below(paths):
            try:
                image = read_part10(path)
            except UnreadableImage as exc:
                sending.done(FileReport(path, False, str(exc), INVALID_INPUT_FILE))
            else:
                images.setdefault((image.sop_class_uid, image.transfer_syntax_uid), []).append(image)
        everything = [image for some in images.values() for image in some]
        sending.watch.found(len(everything), sum(image.length or 0 for image in everything))
        for group in pack_contexts(images):
            sending.group(group, [image for context in group for image in images[context]], associations)
    finally:
        report.elapsed_s = time.monotonic() - start
    return report


class _Sending:
    """The state that the associations share."""

    def __init__(self, node: Node, watch: Watch, report: SendReport) -> None:
        self.watch = watch
        self._node, self._report = node, report
        self._lock = threading.Lock()
        self._open: list[Association] = []

    def done(self, file: FileReport) -> None:
        with self._lock:
            self._report.files.append(file)
            self.watch.ended(file)

    def group(self, contexts: list[Context], images: list[OutgoingImage], associations: int) -> None:
        """What one association can propose, over several that propose the same."""
        left = deque(images)
        failures: list[str] = []
        others = [
            threading.Thread(target=self._line, args=(contexts, left, failures), daemon=True)
            for _ in range(min(associations, len(images)) - 1)
        ]
        try:
            for other in others:
                other.start()
            self._line(contexts, left, failures)
            for other in others:
                other.join()
        except BaseException:
            left.clear()
            self._cancel([other for other in others if other.is_alive()])
            raise
        for image in left:  # nobody came through, or the last one broke while another was leaving
            words, code = (failures[0], CANNOT_NEGOTIATE) if failures else (_OVER, CANNOT_SEND)
            self.done(FileReport(image.path, False, words, code))

    def _cancel(self, others: list[threading.Thread]) -> None:
        """Their associations end with an A-ABORT; those that are stuck in sending just end."""
        for gently in (True, False):
            with self._lock:
                for association in self._open:
                    association.cancel(gently=gently)
            for other in others:
                other.join(0.5)

    def _line(self, contexts: list[Context], left: deque[OutgoingImage], failures: list[str]) -> None:
        try:
            association = open_association(self._node, contexts)
        except NetworkError as exc:
            failures.append(str(exc))
            return
        with self._lock:
            self._open.append(association)
            self._report.associations += 1
        with association:
            image = _next(left)
            while image is not None:
                following = _next(left) if association.usable else None
                self.done(self._send_one(association, image, following))
                image = following if association.usable else None
                if following is not None and image is None:
                    left.appendleft(following)
            if not association.usable:
                self._give_up(left)

    def _give_up(self, left: deque[OutgoingImage]) -> None:
        """The peer ended the association: other associations go on, but without any of them nothing more is sent."""
        with self._lock:
            alone = not any(association.usable for association in self._open)
        while alone and (image := _next(left)) is not None:
            self.done(FileReport(image.path, False, _OVER, CANNOT_SEND))

    def _send_one(self, association: Association, image: OutgoingImage, following: OutgoingImage | None) -> FileReport:
        if not association.accepts(image.sop_class_uid, image.transfer_syntax_uid):
            message = (
                f"no presentation context for {uid_name(image.sop_class_uid)} in {uid_name(image.transfer_syntax_uid)}"
            )
            return FileReport(image.path, False, message, NO_CONTEXT)
        size = unsaid = image.length or 0

        def progress(taken: int) -> None:
            nonlocal unsaid
            moved = min(unsaid, taken)  # the headers count to nobody
            unsaid -= moved
            with self._lock:
                self.watch.moved(moved)

        association.progress = progress
        try:
            result = association.store(image, following)
        except NetworkError as exc:
            return FileReport(image.path, False, str(exc), CANNOT_SEND)
        except UnreadableImage as exc:
            return FileReport(image.path, False, str(exc), INVALID_INPUT_FILE)
        ok = result.category != "failure"
        return FileReport(image.path, ok, str(result), DONE if ok else CANNOT_SEND, result, size)


def _next(left: deque[OutgoingImage]) -> OutgoingImage | None:
    try:
        return left.popleft()
    except IndexError:
        return None


def files_below(paths: Iterable[Path]) -> Iterator[str]:
    """Files, and those below folders in order of their names; a link to a folder is not followed."""
    for path in paths:
        if not path.is_dir():
            yield str(path)
            continue
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                yield os.path.join(folder, name)
