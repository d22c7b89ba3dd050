"""Places uploaded files in the spool like received ones: an association of the calling AE title UPLOAD, image by image.
It must not look at HTTP or archives, nor at what a file is called.

All of it blocks, and runs in one thread. The association is owned like a receiver's: if this process dies, the next receiver
or router ends it as aborted, and adopts what was whole.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from protocol.errors import DiskFailed, OutOfSpace, SpoolError, StepRefused, UnreadableImage
from protocol.header.filemeta import FileStart, read_file_start
from protocol.header.scan import Header, scan, scan_head
from protocol.records import record
from protocol.spool import Spool
from protocol.spool.intake import Intake
from protocol.spool.objects import Origin, Saved, misplacement
from protocol.spool.places import association_key, series_key

CALLING_AE = "UPLOAD"
PIECE = 1 << 20  # bytes read and written at a time
HEADS = (1 << 18, 4 << 20, 64 << 20)  # bytes of a data set that are read to find its header, before all of it is


@record
class Placed:
    """What became of a file: stored, duplicate, quarantined, skipped (no image), or failed, and why; the series it is in."""

    outcome: str
    reason: str = ""
    series: int = 0


@record
class Terms:
    """What the node's configuration says of uploads. `extra`: keywords that rules read besides the usual ones."""

    address: str
    called_ae: str
    source: str | None
    charset: str | None
    extra: Collection[str]
    reserve_bytes: int
    max_bytes: int


class Placing:
    """One upload. `close` has to be called, whatever happened."""

    def __init__(self, spool: Spool, terms: Terms) -> None:
        """Raises StepRefused while the node is drained or its disk is short."""
        self._spool, self._terms = spool, terms
        drain = spool.draining.state()
        if drain is not None:
            raise StepRefused(f"{drain.words}; nothing can be uploaded now")
        self.check_room(0)
        self._worker = spool.workers.enter("receiver", "upload")
        self._id = os.urandom(16)
        self._origin = Origin(self._id, CALLING_AE, terms.called_ae, terms.address, terms.source)
        self._whole = True
        spool.images.association_opened(
            self._id, self._worker.owner, CALLING_AE, terms.called_ae, terms.address, terms.source
        )

    def check_room(self, more: int) -> None:
        """Raises StepRefused if the disk would be below its reserve with so many bytes more."""
        if self._spool.fs.room(self._spool.places.images).bytes - more <= self._terms.reserve_bytes:
            raise StepRefused("the disk of this node is at its reserve; nothing can be uploaded until there is room")

    def place(self, path: Path) -> Placed:
        """Store the object in a file. Raises StepRefused, and DiskFailed: then nothing more may be placed."""
        try:
            start = read_file_start(path)
        except UnreadableImage as exc:
            return Placed("skipped", str(exc))
        if start.length > self._terms.max_bytes:
            return Placed("failed", f"larger than {self._terms.max_bytes / 1e9:g} GB (receiver.max_object_gb)")
        self.check_room(start.length)
        try:
            header, reason = self._header(path, start)
            saved = self._stored(path, start, header, reason)
            (receipt,) = self._spool.images.commit([saved])
        except (DiskFailed, OutOfSpace):
            self._whole = False
            raise
        except SpoolError as exc:
            return Placed("failed", str(exc))
        if receipt.outcome == "failed":
            return Placed("failed", "it could not be recorded")
        return Placed(receipt.outcome, reason or "", receipt.arrival)

    def close(self, whole: bool) -> None:
        """End the association; its series are complete a few seconds later, or, if not all came, as after an abort."""
        self._spool.images.association_closed(self._id, "released" if whole and self._whole else "aborted")
        self._worker.leave()

    def _header(self, path: Path, start: FileStart) -> tuple[Header | None, str | None]:
        """What the header says, and why the object cannot be placed, or None."""
        try:
            header = self._scanned(path, start)
        except UnreadableImage as exc:
            return None, str(exc)
        return header, misplacement(header, start.sop_class_uid, start.sop_instance_uid)

    def _scanned(self, path: Path, start: FileStart) -> Header:
        syntax, extra, charset = start.transfer_syntax_uid, self._terms.extra, self._terms.charset
        with path.open("rb") as file:
            for size in HEADS:
                if start.length > size:
                    file.seek(start.offset)
                    found = scan_head(file.read(size), syntax, extra=extra, fallback_charset=charset)
                    if found is not None:
                        return found.of_length(start.length)
            file.seek(start.offset)
            return scan(file.read(start.length), syntax, extra=extra, fallback_charset=charset)

    def _stored(self, path: Path, start: FileStart, header: Header | None, reason: str | None) -> Saved:
        images = self._spool.images
        writer = images.writer(self._origin)
        intake = writer.begin(start.sop_class_uid, start.sop_instance_uid, start.transfer_syntax_uid)
        try:
            self._copy(path, start, intake, header, reason)
            if reason is None and header is not None:
                file = intake.finish(sync=images.sync)
                return images.described(file, intake.meta(), self._terms.source, header)
            file = intake.finish(sync=False)
            return images.set_aside(file, intake.meta(), reason or "it cannot be read", self._terms.source)
        except SpoolError:
            intake.abandon()
            raise
        finally:
            writer.close()

    def _copy(self, path: Path, start: FileStart, intake: Intake, header: Header | None, reason: str | None) -> None:
        key = association_key(self._id)
        if header is not None and reason is None:
            key = series_key(header.study_uid, header.series_uid, CALLING_AE)
        left = start.length
        with path.open("rb") as file:
            file.seek(start.offset)
            while left:
                piece = file.read(min(PIECE, left))
                if not piece:
                    raise SpoolError("the uploaded file became shorter while it was read")
                left -= len(piece)
                intake.write(key, [piece], not left)
