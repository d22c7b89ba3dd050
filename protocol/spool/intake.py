"""Writes objects into files of the images folder while their bytes come in, a piece at a time, each at its final place.
It knows no rows and acknowledges nothing, and it never looks into a data set.

A whole file has length, digest and a seal in its header: what is cut off anywhere is recognised by them. Files are made
ahead, many at a time: then one sync of the folder makes all their names durable, and one sync of its data makes an object
safe before it is acknowledged. Its row follows; after a death adoption makes it from the file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import xxhash

from protocol.clock import Clock
from protocol.errors import DiskFailed, SpoolError
from protocol.fsops import FsOps, NewFile, RealNewFile
from protocol.spool.blanks import MOST_AHEAD, Allowance, Batch, Blank, Lent
from protocol.spool.days import DAY_S, Days
from protocol.spool.durable import DurableNames
from protocol.spool.objects import Origin
from protocol.spool.part10 import OPEN, FileMeta, FileMetaForm, sealing
from protocol.spool.places import Places, folder_of_day, new_receipt, new_receipts


class Writer:
    """Makes the files of one association; used by one thread."""

    def __init__(
        self,
        fs: FsOps,
        places: Places,
        names: DurableNames,
        clock: Clock,
        origin: Origin,
        allowance: Allowance,
        days: Days,
    ) -> None:
        self.fs, self.names, self.clock, self.origin = fs, names, clock, origin
        self._days = days
        self.images = f"{places.images}/"
        self._allowance = allowance
        self._forms: dict[tuple[str, str], FileMetaForm] = {}
        self._batch = Batch("")
        self._ahead = 1  # files of the next batch
        self._folders: dict[bytes, str] = {}
        self._day = -1
        self._last = ""  # folder of the object that was begun last
        self._steady = False  # and of the one before

    def begin(self, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> Intake:
        """Take in the next object. Nothing is written before its first bytes are there."""
        return Intake(self, sop_class_uid, sop_instance_uid, transfer_syntax_uid)

    def put(
        self,
        key: bytes,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        pieces: Sequence[bytes | memoryview],
        *,
        sync: bool,
    ) -> tuple[str, FileMeta]:
        """Take in an object that is there whole: header, data and seal with one call. The name of its file, relative to the
        images folder, and what it says of itself. `key` names the folder.

        With `sync` data and name survive a power cut. Raises OutOfSpace, SpoolError: nothing is left of it; DiskFailed.
        """
        now = self.clock.now()
        folder = self.folder(key, now)
        blank, batch = self.blank(folder)
        file = f"{folder}/{blank.receipt.hex()}.dcm"
        length, digest = sum(map(len, pieces)), _digest(pieces)
        header = self.form(sop_class_uid, transfer_syntax_uid).fill(
            sop_instance_uid, blank.receipt, length, digest, now
        )
        origin = self.origin
        meta = FileMeta(
            sop_class_uid, sop_instance_uid, transfer_syntax_uid, origin.calling_ae, origin.called_ae, origin.address,
            blank.receipt, origin.association, length, digest, len(header), now,
        )  # fmt: skip
        try:
            try:
                blank.file.write_all([header, *pieces])
                ended(blank.file, meta, header, sync=sync)
            finally:
                blank.file.close()
            if sync and not batch.durable:
                self.names.settle(Path(blank.path))
        except DiskFailed:
            raise
        except Exception:
            self.drop(file)
            raise
        return file, meta

    def drop(self, file: str) -> None:
        """Remove a file of an object that its sender was not told to be safe. Raises SpoolError."""
        try:
            self.fs.unlink(self.images + file)
        except FileNotFoundError:
            return
        except OSError as exc:
            raise SpoolError(f"an abandoned file could not be removed: {exc.strerror}") from exc

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
        moment = self._days.moment(now)
        if int(moment // DAY_S) != self._day:
            self._day = int(moment // DAY_S)
            self._folders.clear()
        folder = self._folders.get(key)
        if folder is None:
            if len(self._folders) > 1000:
                self._folders.clear()
            folder = self._folders[key] = folder_of_day(moment, key)
        return folder

    def today(self) -> int:
        """Number of the day (UTC): objects of another one go to another folder."""
        return int(self._days.moment(self.clock.now()) // DAY_S)

    def blank(self, folder: str) -> tuple[Blank, Batch]:
        """A file in `folder` to fill, one that `prepare` made if it fits."""
        self._last, self._steady = folder, self._last == folder
        if not self._batch.blanks or self._batch.folder != folder:
            self.close()
            self._batch = Batch(folder, blanks=deque([self._make(folder)]))
        return self._batch.blanks.popleft(), self._batch

    def prepare(self) -> None:
        """While there is time: make the files that the next objects will fill, if the last two went to the same folder.

        Raises OutOfSpace, DiskFailed; nothing is lost by it.
        """
        if self._batch.blanks or not self._steady:
            return
        self.close()
        batch = self._batch = Batch(self._last, self._allowance.take(self._ahead))
        for _ in range(batch.granted):
            batch.blanks.append(self._make(self._last))
        if batch.blanks:
            self.names.settle(Path(batch.blanks[0].path))
            batch.durable = True
            self._ahead = min(2 * self._ahead, MOST_AHEAD)

    def lend(self, folder: str, most: int, *, sync: bool) -> tuple[list[Lent], int]:
        """Files for compiled code to fill, in this order: those that are prepared, then names of more to be made when they are
        needed; with `sync`, so many at a time as the second number says, and synced before they are filled. `take_back` has to
        follow. Raises OutOfSpace, DiskFailed.
        """
        if self._batch.folder != folder:
            self.close()
            self._batch = Batch(folder)
        batch = self._batch
        if sync and not batch.blanks:
            self._last, self._steady = folder, True
            self.prepare()
            batch = self._batch
        if sync and not batch.durable:
            return [], 0
        lent: list[Lent] = []
        while batch.blanks and len(lent) < most:
            blank = batch.blanks.popleft()
            assert isinstance(blank.file, RealNewFile)
            lent.append(Lent(blank.receipt, blank.file.hand_over()))
        ahead = 0
        if sync:
            ahead = self._allowance.take(self._ahead)
            self._ahead = min(2 * self._ahead, MOST_AHEAD)
        batch.granted += ahead
        lent += [Lent(receipt, -1) for receipt in new_receipts(self.clock.now(), most - len(lent))]
        return lent, ahead

    def take_back(self, lent: Sequence[Lent]) -> None:
        """Files that were lent and not filled, in their order; those without a descriptor were not made."""
        batch = self._batch
        for one in reversed(lent):
            if one.fd >= 0:
                path = self._path(batch.folder, one.receipt)
                batch.blanks.appendleft(Blank(one.receipt, path, RealNewFile.holding(one.fd)))
        spare = max(0, batch.granted - len(batch.blanks))
        batch.granted -= spare
        self._allowance.give_back(spare)

    def close(self) -> None:
        """Let go of what was prepared."""
        batch, self._batch = self._batch, Batch("")
        self._allowance.give_back(batch.granted)
        for blank in batch.blanks:
            blank.file.close()
            with suppress(OSError):  # an empty file counts for nothing; adoption removes it too
                self.fs.unlink(blank.path)

    def _make(self, folder: str) -> Blank:
        receipt = new_receipt(self.clock.now())
        path = self._path(folder, receipt)
        return Blank(receipt, path, self.names.create(path))

    def _path(self, folder: str, receipt: bytes) -> str:
        return f"{self.images}{folder}/{receipt.hex()}.dcm"


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
        self._batch = Batch("")
        self._state = xxhash.xxh3_128()

    def write(self, key: bytes, pieces: Sequence[bytes | memoryview], last: bool) -> None:
        """The next bytes of the data set; `key` names the folder and counts with the first of them.

        Raises OutOfSpace, DiskFailed, SpoolError: `abandon` it.
        """
        if self._file is None:
            self.folder = self._writer.folder(key, self.received)
            blank, self._batch = self._writer.blank(self.folder)
            self.receipt, self._path, self._file = blank.receipt, blank.path, blank.file
            form = self._writer.form(self.sop_class_uid, self.transfer_syntax_uid)
            self.header = form.fill(self.sop_instance_uid, self.receipt, 0, b"", self.received, OPEN)
            self._file.write_all([self.header, *pieces])
        elif pieces:
            self._file.write_all(pieces)
        for piece in pieces:
            self._state.update(piece)
        self.length += sum(map(len, pieces))
        if last:
            self.digest = self._state.digest()

    def finish(self, *, sync: bool) -> str:
        """Seal the whole file and return its name, relative to the images folder.

        With `sync` data and name survive a power cut. Raises OutOfSpace, DiskFailed, SpoolError.
        """
        assert self._file is not None
        file, self._file = self._file, None
        meta = self.meta()
        try:
            file.write_at(*sealing(self.header, meta))
            ended(file, meta, self.header, sync=sync)
        finally:
            file.close()
        if sync and not self._batch.durable:
            self._writer.names.settle(Path(self._path))
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
        if path:
            self._writer.drop(f"{self.folder}/{self.receipt.hex()}.dcm")

    def meta(self) -> FileMeta:
        """What the header of the finished file says."""
        origin = self.origin
        return FileMeta(
            self.sop_class_uid, self.sop_instance_uid, self.transfer_syntax_uid, origin.calling_ae, origin.called_ae,
            origin.address, self.receipt, origin.association, self.length, self.digest, len(self.header), self.received,
        )  # fmt: skip


def ended(file: NewFile, meta: FileMeta, header: bytes, *, sync: bool) -> None:
    """All of it is written and sealed: make it as durable as promised. Raises OutOfSpace, DiskFailed, SpoolError."""
    if sync:
        try:
            file.sync()
        except DiskFailed:
            unmarked(file, header, meta)
            raise
    # Made ahead, it may have waited for hours: what has no name is gone with its last descriptor.
    if not file.has_name():
        raise SpoolError("the file of an image was removed while it was written")


def unmarked(file: NewFile, header: bytes, meta: FileMeta) -> None:
    """Take the seal off: memory may show what the disk has not, and it must not be taken for whole after this process."""
    with suppress(SpoolError, OSError):
        file.write_at(*sealing(header, meta, OPEN))


def _digest(pieces: Sequence[bytes | memoryview]) -> bytes:
    if len(pieces) == 1:
        return xxhash.xxh3_128_digest(pieces[0])
    state = xxhash.xxh3_128()
    for piece in pieces:
        state.update(piece)
    return state.digest()
