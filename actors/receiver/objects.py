"""One object while it comes in: room on the disk, header, file, row, status. It must not know PDUs or sockets.

The success is answered when the file is whole, and with `durability = "fsync"` synced: it says itself who sent it and what it
is, so it outlives the death of this process, and its row follows while the sender prepares the next image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.dicom.service import StoreCommand
from actors.dicom.statuses import OUT_OF_RESOURCES, PROCESSING_FAILURE, STORED_MISMATCH, SUCCESS
from actors.receiver.associations import Served
from actors.receiver.terms import Refusal, beyond
from protocol.errors import OutOfSpace, SpoolError, UnreadableImage
from protocol.header.scan import Header
from protocol.spool.images import Receipt, Saved
from protocol.spool.objects import misplacement
from protocol.spool.places import association_key, series_key

if TYPE_CHECKING:
    from actors.receiver.handler import Handler

FIRST_PIECE = 16 << 10  # bytes of a PDU that most headers fit into; to put pieces together copies them
HEADS = (4 << 20, 64 << 20)  # bytes of a file that are read to find its header, before all of it is


class OneObject:
    """An Intake (see actors/dicom/service) over the spool's."""

    def __init__(self, handler: Handler, served: Served, command: StoreCommand) -> None:
        self._handler, self._served, self._command = handler, served, command
        assert served.writer is not None
        self._intake = served.writer.begin(command.sop_class_uid, command.sop_instance_uid, command.transfer_syntax_uid)
        self._header: Header | None = None
        self._unreadable: str | None = None
        self._key = b""
        self._size = 0
        self._refused: Refusal | None = served.terms.before(command.sop_class_uid)
        self._status = SUCCESS
        self._committing = False

    # -- bytes -------------------------------------------------------------------------------------------------

    def write(self, pieces: list[memoryview], last: bool) -> None:
        """See service.Intake. What the disk refuses is kept for `finish`, where the refusal is recorded."""
        if self._refused is not None:
            return
        size = sum(map(len, pieces))
        self._size += size
        refusal = self._served.terms.too_large(self._size) or beyond(self._handler.max_bytes, self._size)
        if refusal is not None:
            self._refuse_later(*refusal)
            return
        try:
            self._handler.reserve.take(size, files=0 if self._key else 1)
            if not self._key:
                self._look(pieces, last)
            self._intake.write(self._key, pieces, last)
        except OutOfSpace as exc:
            self._refuse_later(OUT_OF_RESOURCES, str(exc))
        except (SpoolError, OSError) as exc:
            if self._handler.ends_process(exc):
                raise
            self._refuse_later(PROCESSING_FAILURE, told(exc))

    def _look(self, pieces: list[memoryview], last: bool) -> None:
        """The first bytes: which folder, and all of the header if it is in them."""
        served, syntax = self._served, self._command.transfer_syntax_uid
        assert served.scanner is not None
        try:
            if len(pieces) > 1 and len(pieces[0]) >= FIRST_PIECE:
                self._header = served.scanner.scan_head(pieces[0], syntax)
            if self._header is None:
                beginning = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                self._header = (
                    served.scanner.scan(beginning, syntax) if last else served.scanner.scan_head(beginning, syntax)
                )
        except UnreadableImage as exc:
            self._unreadable = str(exc)
        header = self._header
        if header is not None and header.study_uid and header.series_uid:
            self._key = series_key(header.study_uid, header.series_uid, served.peer.calling_ae)
        else:
            self._key = association_key(served.id)

    # -- the end -----------------------------------------------------------------------------------------------

    def finish(self) -> int:
        """See service.Intake: success only when all survives whatever the durability promises."""
        try:
            if self._refused is None:
                self._finish()
        except OutOfSpace as exc:
            self._refuse_later(OUT_OF_RESOURCES, str(exc))
        except (SpoolError, OSError) as exc:
            if self._handler.ends_process(exc):
                raise
            self._handler.log.error("image_failed", association=self._served.id.hex(), reason=told(exc))
            self._refused = Refusal(PROCESSING_FAILURE, told(exc))
            if not self._committing:
                self.abandon()  # else the outcome is unknown: the bytes stay, and are adopted at the next start
        if self._refused is not None:
            self._status, reason = self._refused
            self._handler.refuse(self._served, self._command, self._status, reason)
        else:
            self._handler.answered(self._served, self._command, self._status, self._size)
        self._handler.keep_pace(self._served)
        return self._status

    def _finish(self) -> None:
        if not self._key:
            self._unreadable, self._key = "the data set is empty", association_key(self._served.id)
            self._intake.write(self._key, [], True)
        reason = self._misplaced()
        refusal = self._judged(reason)
        if refusal is not None:
            self._refuse_later(*refusal)
            return
        sync = self._handler.images.sync
        if reason is None or not sync:
            file = self._intake.finish(sync=sync)
            self._served.pending = lambda: self._saved(file, reason)
            return
        # To be set aside, which is rare: room for that has to be there before the success.
        saved = self._saved(self._intake.finish(sync=False), reason)
        self._committing = True
        self._count(self._handler.committer.commit(saved))

    def _saved(self, file: str, reason: str | None) -> Saved:
        """A finished file that is still to get its row."""
        if reason is not None:
            return self._handler.images.set_aside(file, self._intake.meta(), reason, self._served.source)
        assert self._header is not None
        return self._as_agreed(self._handler.images.described(self._intake, file, self._header))

    def _as_agreed(self, saved: Saved) -> Saved:
        return saved._replace(resend=True) if self._served.terms.resend else saved

    def _judged(self, misplaced: str | None) -> Refusal | None:
        """Why all that has come is refused in the end; a warning goes into the status."""
        terms = self._served.terms
        if misplaced is not None:
            return terms.unplaced(self._unreadable, misplaced)
        assert self._header is not None
        other = terms.of_class(self._command.sop_class_uid, self._header)
        if other is None or other.status != STORED_MISMATCH:
            return other
        self._status = STORED_MISMATCH
        self._handler.of_other_class(self._served)
        return None

    def _count(self, receipt: Receipt) -> None:
        if receipt.outcome == "failed":
            raise SpoolError(f"the image could not be recorded ({type(receipt.error).__name__})")
        self._served.count(receipt)
        self._handler.counts.add(receipt.outcome)

    def _misplaced(self) -> str | None:
        """Why it cannot be placed; reads the header out of the file if it was too long to be seen at the beginning."""
        if self._unreadable is None and self._header is None:
            self._read_header()
        if self._unreadable is not None:
            return self._unreadable
        assert self._header is not None
        self._header = self._header.of_length(self._intake.length)
        return misplacement(self._header, self._command.sop_class_uid, self._command.sop_instance_uid)

    def _read_header(self) -> None:
        scanner, syntax = self._served.scanner, self._command.transfer_syntax_uid
        assert scanner is not None
        try:
            for size in HEADS:
                if self._intake.length > size:
                    self._header = scanner.scan_head(self._intake.beginning(size), syntax)
                    if self._header is not None:
                        return
            self._header = scanner.scan(self._intake.beginning(self._intake.length), syntax)
        except UnreadableImage as exc:
            self._unreadable = str(exc)

    def _refuse_later(self, status: int, reason: str) -> None:
        self._refused = Refusal(status, reason)
        self.abandon()

    def abandon(self) -> None:
        """See service.Intake."""
        self._intake.abandon()


def told(exc: Exception) -> str:
    """An error as people may read it: an OSError's own text would name a path."""
    return (exc.strerror if isinstance(exc, OSError) else str(exc)) or type(exc).__name__
