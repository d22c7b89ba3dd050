"""What a folder target does to files: enter folders, write an image whole or not at all, compare, mark.
It must not wait for anything but the file system, and says in no message where below the top folder something lies.
"""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO

from actors.dicom import statuses
from actors.pace import Pace
from actors.targets.hand import Moved
from actors.targets.interface import Answer
from actors.targets.part10 import Part10File
from actors.targets.placing import Placing
from protocol.causes import Cause, of_errno
from protocol.errors import DiskFailed, OutOfSpace, SpoolError, TargetUnreachable, UnreadableImage
from protocol.fsops import FsOps
from protocol.routing.targets import FolderTarget as FolderSettings
from protocol.spool.images import ImageFile

SYNC_EVERY_BYTES = 32 << 20  # so that no single sync of a large image looks like a share that hangs
REPLACED = 0xB000
_PART = ".part"
_IN_THE_WAY = {
    errno.EISDIR: "a folder is in the place of the file",
    errno.ENOTDIR: "a file is in the place of a folder",
    errno.EEXIST: "a file is in the place of a folder",
    errno.ENAMETOOLONG: "its name is too long for this file system",
    errno.EINVAL: "this file system does not take its name",
    errno.EILSEQ: "this file system does not take its name",
    errno.EFBIG: "it is too large for this file system",
}


class FolderFiles:
    """For one attempt; its sessions may use it at the same time. Errors of methods come as OSError, SpoolError or ours."""

    def __init__(self, settings: FolderSettings, fs: FsOps, placing: Placing) -> None:
        self.fs = fs
        self._settings, self._placing = settings, placing
        self._top = Path(settings.path)
        self._mode = None if settings.mode is None else int(settings.mode, 8)
        # Never given twice, so that nobody writes into, or renames, the unfinished file of somebody else.
        self._token = uuid.uuid4().hex[:8]
        # Where a layout puts many series into one folder, to look for what a dead process left costs more than it is worth.
        self._tidies = "SeriesInstanceUID" in settings.layout_keywords
        self._entered: set[Path] = set()
        self._synced: set[Path] = set()  # that what lay in these folders before this attempt keeps its name

    # ---- folders ---------------------------------------------------------------------------------------------------
    def check_top(self) -> None:
        """Raises TargetUnreachable if the top folder is not what it has to be."""
        try:
            self._find_top()
            self._sync(self._top)  # which also tells a folder from a file
        except (OSError, SpoolError) as exc:
            raise away(exc) from exc

    def _find_top(self) -> None:
        top = self._top
        self._see_mount()
        if not self.fs.exists(top):
            if not self._settings.create:
                words = f"the folder {top} is not there; is its file system mounted?"
                raise TargetUnreachable(words, cause=Cause.FOLDER_MISSING)
            self._make(top)

    def _see_mount(self) -> None:
        """What was mounted may be gone at any moment, and folders of the same names lie on the disk below it."""
        top = self._top
        if self._settings.mounted and not any(os.path.ismount(place) for place in (top, *top.parents[:-1])):
            raise TargetUnreachable(f"nothing is mounted at {top} or above it", cause=Cause.FOLDER_MISSING)

    def _enter(self, folder: Path, receipts: frozenset[str]) -> None:
        if folder in self._entered:
            return
        self._find_top()
        if not self.fs.exists(folder):
            self._make(folder)
        elif self._tidies:
            self._tidy(folder, receipts)
        self._sync_above(folder)
        self._entered.add(folder)

    def _make(self, folder: Path) -> None:
        # From the inside out, as the folders above the top one may be closed to us.
        made = list(takewhile(lambda place: not self.fs.exists(place), (folder, *folder.parents)))
        for touched in self.fs.makedirs(folder):
            self._sync(touched)
            self._synced.add(touched)
        if self._mode is not None:
            for place in made:
                os.chmod(place, self._mode | (self._mode & 0o444) >> 2)

    def _sync_above(self, folder: Path) -> None:
        """Whoever made some of these folders may have died before their names were durable."""
        for place in takewhile(lambda place: place != self._top.parent, folder.parents):
            if place not in self._synced:
                self._sync(place)
                self._synced.add(place)

    def _sync(self, folder: Path) -> None:
        """Some shares know no sync of folders, and there is nothing else that could be done."""
        try:
            self.fs.sync_dir(folder)
        except OSError as exc:
            if exc.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise

    def _tidy(self, folder: Path, receipts: frozenset[str]) -> None:
        """Remove what an earlier attempt at these images began and did not live to end."""
        for name in self.fs.listdir(folder):
            if name.startswith(".") and name.endswith(_PART) and self._token not in name:
                receipt = name[1:].partition(".")[0]
                if receipt in receipts:
                    self._drop(folder / name)

    # ---- images ----------------------------------------------------------------------------------------------------
    def put(
        self, image: ImageFile, receipts: frozenset[str], moved: Moved, pace: Pace | None = None
    ) -> Answer:  # fmt: skip
        """Write an image; `receipts` are those of its attempt. Raises TargetUnreachable."""
        final = self._top / self._placing.name(image)
        try:
            try:
                self._enter(final.parent, receipts)
                return self._put(final, image, moved, pace)
            except FileNotFoundError:  # somebody took the folder away since it was entered
                self._entered.discard(final.parent)
                self._enter(final.parent, receipts)
                return self._put(final, image, moved, pace)
        except UnreadableImage as exc:
            # Nothing the target could help with; the rest of the series must not wait for it.
            return _refused(f"not sent, {exc}", Cause.IMAGE_DAMAGED)
        except (OSError, SpoolError) as exc:
            words = _IN_THE_WAY.get(_errno(exc))
            if words is None:
                raise away(exc) from exc
            return _refused(words, Cause.IMAGES_REFUSED)

    def _put(self, final: Path, image: ImageFile, moved: Moved, pace: Pace | None) -> Answer:
        self._see_mount()
        there = self.fs.exists(final)
        if there and self._is_same(final, image, moved):
            # It may be from an attempt that died before it was synced.
            self.fs.sync_file(final)
            self._sync(final.parent)
            return Answer(statuses.SUCCESS, True, statuses.describe(statuses.SUCCESS))
        if there and self._settings.existing == "keep":
            words = "another version of the image is there and was kept"
            return Answer(statuses.DUPLICATE, True, words, words)
        self._write(final, image, moved, pace)
        if there:
            words = "another version of the image was there and was replaced"
            return Answer(REPLACED, True, words, words)
        return Answer(statuses.SUCCESS, True, statuses.describe(statuses.SUCCESS))

    def _write(self, final: Path, image: ImageFile, moved: Moved, pace: Pace | None) -> None:
        with Part10File(image, pace=pace, alive=moved) as data:
            part = final.parent / f".{image.receipt.hex()}.{self._token}{_PART}"
            file = self.fs.create(part)
            try:
                try:
                    unsynced = 0
                    for chunk in data:
                        file.write(chunk)
                        moved()
                        unsynced += len(chunk)
                        if unsynced >= SYNC_EVERY_BYTES:
                            file.sync()
                            unsynced = 0
                    file.sync()
                finally:
                    file.close()
                moved()  # whoever gave us up may have begun anew
                self._give_name(part, final)
            except BaseException:
                self._drop(part)
                raise

    def _give_name(self, part: Path, final: Path) -> None:
        if self._mode is not None:
            os.chmod(part, self._mode)
        self._see_mount()
        self.fs.rename(part, final)
        self._sync(final.parent)

    def _is_same(self, final: Path, image: ImageFile, moved: Moved) -> bool:
        with Part10File(image) as data:
            if self.fs.size(final) != data.size:
                return False
            with self.fs.open_read(final) as file:
                for chunk in data:
                    moved()
                    if _exactly(file, len(chunk)) != chunk:
                        return False
        return True

    def _drop(self, part: Path) -> None:
        """An unfinished file that cannot be removed hurts nobody, and why it is one counts more."""
        try:
            self.fs.unlink(part)
        except (OSError, SpoolError):
            return

    # ---- markers and probes ----------------------------------------------------------------------------------------
    def mark(self, images: Sequence[ImageFile], moved: Moved) -> None:
        """Write the marker into each folder that holds some of the images. Raises TargetUnreachable."""
        assert self._settings.done is not None
        try:
            for folder in sorted({self._top / self._placing.folder(image) for image in images}):
                self._enter(folder, frozenset())
                self._write_empty(folder, self._settings.done)
                moved()
        except (OSError, SpoolError) as exc:
            raise away(exc) from exc

    def probe(self) -> None:
        """Write, sync and remove an empty file."""
        self._write_empty(self._top, f".scanpost-probe.{self._token}")
        self.fs.unlink(self._top / f".scanpost-probe.{self._token}")

    def _write_empty(self, folder: Path, name: str) -> None:
        part = folder / f".{name}.{self._token}{_PART}"
        self.fs.write_new(part, b"")
        try:
            self._give_name(part, folder / name)
        except BaseException:
            self._drop(part)
            raise


def _exactly(file: BinaryIO, size: int) -> bytes:
    """Of an unbuffered file, that may give less at a time."""
    data = file.read(size)
    while len(data) < size and (more := file.read(size - len(data))):
        data += more
    return data


def away(exc: Exception) -> TargetUnreachable:
    """Mounts come back, disks get room again, somebody gives us the right: repeating can help with all of them."""
    if isinstance(exc, TargetUnreachable):
        return exc
    reason = os.strerror(_errno(exc)) if _errno(exc) else type(exc).__name__
    return TargetUnreachable(f"the folder cannot be written: {reason}", cause=of_errno(_errno(exc)))


def _errno(exc: BaseException) -> int:
    """FsOps tells some errors as its own, with the system's as their cause."""
    told = exc if isinstance(exc, OSError) else exc.__cause__
    if isinstance(told, OSError):
        return told.errno or 0
    return errno.ENOSPC if isinstance(exc, OutOfSpace) else errno.EIO if isinstance(exc, DiskFailed) else 0


def _refused(words: str, cause: Cause) -> Answer:
    return Answer(statuses.PROCESSING_FAILURE, False, words, words, cause=cause)
