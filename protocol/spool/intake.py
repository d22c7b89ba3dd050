"""Writes objects into files of the images folder while their bytes come in, a piece at a time, each under a .tmp name
until it is whole. It knows no rows and acknowledges nothing, and it never looks into a data set.

A whole file has length and digest in its header. What is cut off anywhere is recognised by them, and by its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import xxhash

from protocol.clock import Clock
from protocol.errors import SpoolError
from protocol.fsops import FsOps, NewFile
from protocol.spool.durable import DurableNames
from protocol.spool.objects import Origin
from protocol.spool.part10 import FileMeta, FileMetaForm, ending
from protocol.spool.places import Places, folder_of_day, new_receipt

DAY_S = 86_400


@dataclass
class _Spare:
    """A file that has a name and no bytes yet: making one takes longer than filling it."""

    receipt: bytes
    folder: str
    path: str
    file: NewFile


class Writer:
    """Makes the files of one association; used by one thread."""

    def __init__(self, fs: FsOps, places: Places, names: DurableNames, clock: Clock, origin: Origin) -> None:
        self.fs, self.places, self.names, self.clock, self.origin = fs, places, names, clock, origin
        self._images = f"{places.images}/"
        self._forms: dict[tuple[str, str], FileMetaForm] = {}
        self._spare: _Spare | None = None
        self._folders: dict[bytes, str] = {}
        self._day = -1
        self._last = ""  # folder of the object that was begun last
        self._steady = False  # and of the one before

    def begin(self, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> Intake:
        """Take in the next object. Nothing is written before its first bytes are there."""
        return Intake(self, sop_class_uid, sop_instance_uid, transfer_syntax_uid)

    def form(self, sop_class_uid: str, transfer_syntax_uid: str) -> FileMetaForm:
        """The header of objects of this kind."""
        form = self._forms.get((sop_class_uid, transfer_syntax_uid))
        if form is None:
            origin = self.origin
            form = FileMetaForm(
                sop_class_uid, transfer_syntax_uid, origin.calling_ae, origin.called_ae, origin.address, origin.association
            )  # fmt: skip
            if len(self._forms) < 256:  # as many as an association can have contexts; a command may name others
                self._forms[sop_class_uid, transfer_syntax_uid] = form
        return form

    def folder(self, key: bytes, now: float) -> str:
        """Where today's objects with this key go, relative to the images folder."""
        if int(now // DAY_S) != self._day:
            self._day = int(now // DAY_S)
            self._folders.clear()
        folder = self._folders.get(key)
        if folder is None:
            if len(self._folders) > 1000:
                self._folders.clear()
            folder = self._folders[key] = folder_of_day(now, key)
        return folder

    def file(self, folder: str) -> tuple[bytes, str, NewFile]:
        """(receipt, path, file) of a new .tmp file in `folder`, the one that `prepare` made if it fits."""
        spare, self._spare = self._spare, None
        self._last, self._steady = folder, self._last == folder
        if spare is not None and spare.folder == folder:
            return spare.receipt, spare.path, spare.file
        if spare is not None:
            self._drop(spare)
        made = self._make(folder)
        return made.receipt, made.path, made.file

    def prepare(self) -> None:
        """While there is time: make the file that the next object will fill, if the last two went to the same folder."""
        if self._spare is None and self._last and self._steady:
            self._spare = self._make(self._last)

    def close(self) -> None:
        """Let go of what was prepared."""
        if self._spare is not None:
            spare, self._spare = self._spare, None
            self._drop(spare)

    def _make(self, folder: str) -> _Spare:
        receipt = new_receipt(self.clock.now())
        path = f"{self._images}{folder}/{receipt.hex()}.tmp"
        return _Spare(receipt, folder, path, self.names.create(path))

    def _drop(self, spare: _Spare) -> None:
        spare.file.close()
        with suppress(OSError):  # an empty file under a .tmp name counts for nothing; adoption removes it too
            self.fs.unlink(spare.path)


class Intake:
    """One object on its way in. Ends with `finish`, or with `abandon` at any point before."""

    def __init__(self, writer: Writer, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> None:
        self._writer = writer
        self.origin = writer.origin
        self.sop_class_uid, self.sop_instance_uid = sop_class_uid, sop_instance_uid
        self.transfer_syntax_uid = transfer_syntax_uid
        self.received = writer.clock.now()
        self.folder = ""
        self.receipt = b""
        self.length = 0
        self.digest = b""
        self.header = b""
        self._path = ""
        self._file: NewFile | None = None
        self._state: xxhash.xxh3_128 | None = None

    def write(self, key: bytes, pieces: Sequence[bytes | memoryview], last: bool) -> None:
        """The next bytes of the data set; `key` names the folder and counts with the first of them.

        Raises OutOfSpace, DiskFailed, SpoolError: `abandon` it.
        """
        length = sum(map(len, pieces))
        if self._file is None:
            self.folder = self._writer.folder(key, self.received)
            self.receipt, self._path, self._file = self._writer.file(self.folder)
            form = self._writer.form(self.sop_class_uid, self.transfer_syntax_uid)
            if last:
                self.length, self.digest = length, _digest(pieces)
            self.header = form.fill(self.sop_instance_uid, self.receipt, self.length, self.digest, self.received)
            self._file.write_all([self.header, *pieces])
            if last:
                return
            self._state = xxhash.xxh3_128()
        elif pieces:
            self._file.write_all(pieces)
        assert self._state is not None
        for piece in pieces:
            self._state.update(piece)
        self.length += length
        if last:
            self.digest = self._state.digest()
            at, end = ending(self.header, self.length, self.digest)
            self._file.write_at(at, end)

    def finish(self, *, sync: bool) -> str:
        """Give the whole file its final name and return that, relative to the images folder.

        With `sync` data and name survive a power cut. Raises OutOfSpace, DiskFailed, SpoolError.
        """
        assert self._file is not None
        file, self._file = self._file, None
        try:
            if sync:
                file.sync()
        finally:
            file.close()
        final = self._path.removesuffix(".tmp") + ".dcm"
        self._writer.fs.rename(self._path, final)
        self._path = final
        if sync:
            self._writer.names.settle(Path(final))
        return f"{self.folder}/{self.receipt.hex()}.dcm"

    def beginning(self, size: int) -> bytes:
        """At most `size` first bytes of the data set, read out of the file that is not finished yet."""
        with self._writer.fs.open_read(Path(self._path)) as file:
            file.seek(len(self.header))
            return file.read(size)

    def abandon(self) -> None:
        """Remove what was written: its sender was not told that it is safe."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
        path, self._path = self._path, ""
        if not path:
            return
        try:
            self._writer.fs.unlink(path)
        except FileNotFoundError:
            return
        except OSError as exc:
            raise SpoolError(f"an abandoned file could not be removed: {exc.strerror}") from exc

    def meta(self) -> FileMeta:
        """What the header of the finished file says."""
        origin = self.origin
        return FileMeta(
            self.sop_class_uid, self.sop_instance_uid, self.transfer_syntax_uid, origin.calling_ae, origin.called_ae,
            origin.address, self.receipt, origin.association, self.length, self.digest, len(self.header), self.received,
        )  # fmt: skip


def _digest(pieces: Sequence[bytes | memoryview]) -> bytes:
    if len(pieces) == 1:
        return xxhash.xxh3_128_digest(pieces[0])
    state = xxhash.xxh3_128()
    for piece in pieces:
        state.update(piece)
    return state.digest()
