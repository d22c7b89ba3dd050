"""One object while it comes in: room on the disk, header, file, row, status. It must not know PDUs or sockets.

What turns out to come in one go is kept until its end, and then stored as a whole (whole.py).
"""

from __future__ import annotations

from functools import partial

from actors.dicom.service import StoreCommand
from actors.dicom.statuses import OUT_OF_RESOURCES, PROCESSING_FAILURE, STORED_MISMATCH, SUCCESS
from actors.receiver import whole
from actors.receiver.associations import Served
from actors.receiver.judging import header_of, judged, key_of
from actors.receiver.outcomes import Outcomes
from actors.receiver.terms import Refusal, beyond
from actors.receiver.whole import told
from protocol.errors import OutOfSpace, SpoolError, UnreadableImage
from protocol.header.scan import Header

HEADS = (4 << 20, 64 << 20)  # bytes of a file that are read to find its header, before all of it is


class OneObject:
    """An Intake (see actors/dicom/service) over the spool's."""

    def __init__(self, outcomes: Outcomes, served: Served, command: StoreCommand) -> None:
        self._outcomes, self._served, self._command = outcomes, served, command
        assert served.writer is not None
        self._intake = served.writer.begin(command.sop_class_uid, command.sop_instance_uid, command.transfer_syntax_uid)
        self._whole: list[memoryview] | None = None
        self._header: Header | None = None
        self._unreadable: str | None = None
        self._key = b""
        self._size = 0
        self._refused: Refusal | None = served.terms.before(command.sop_class_uid)
        self._committing = False

    # -- bytes -------------------------------------------------------------------------------------------------

    def write(self, pieces: list[memoryview], last: bool) -> None:
        """See service.Intake. What the disk refuses is kept for `finish`, where the refusal is recorded."""
        if self._refused is not None:
            return
        if last and not self._key:
            self._whole = pieces
            return
        size = sum(map(len, pieces))
        self._size += size
        refusal = self._served.terms.too_large(self._size) or beyond(self._outcomes.max_bytes, self._size)
        if refusal is not None:
            self._refuse_later(*refusal)
            return
        try:
            self._outcomes.reserve.take(size, files=0 if self._key else 1)
            if not self._key:
                self._look(pieces)
            self._intake.write(self._key, pieces, last)
        except OutOfSpace as exc:
            self._refuse_later(OUT_OF_RESOURCES, str(exc))
        except (SpoolError, OSError) as exc:
            if self._outcomes.ends_process(exc):
                raise
            self._refuse_later(PROCESSING_FAILURE, told(exc))

    def _look(self, pieces: list[memoryview]) -> None:
        """The first bytes: which folder, and all of the header if it is in them."""
        try:
            self._header = header_of(self._served, self._command, pieces, whole=False)
        except UnreadableImage as exc:
            self._unreadable = str(exc)
        self._key = key_of(self._served, self._header)

    # -- the end -----------------------------------------------------------------------------------------------

    def finish(self) -> int:
        """See service.Intake: success only when all survives whatever the durability promises."""
        if self._whole is not None:
            return whole.store(self._outcomes, self._served, self._command, self._whole)
        status = SUCCESS
        try:
            if self._refused is None:
                status = self._finish()
        except OutOfSpace as exc:
            self._refuse_later(OUT_OF_RESOURCES, str(exc))
        except (SpoolError, OSError) as exc:
            if self._outcomes.ends_process(exc):
                raise
            self._outcomes.log.error("image_failed", association=self._served.id.hex(), reason=told(exc))
            self._refused = Refusal(PROCESSING_FAILURE, told(exc))
            if not self._committing:
                self.abandon()  # else the outcome is unknown: the bytes stay, and are adopted at the next start
        return self._outcomes.reply(self._served, self._command, self._refused or status, self._size)

    def _finish(self) -> int:
        self._find_header()
        found = judged(self._served, self._command, self._header, self._unreadable)
        if found.refusal is not None:
            self._refuse_later(*found.refusal)
            return SUCCESS
        if found.status == STORED_MISMATCH:
            self._outcomes.of_other_class(self._served)
        images, intake, source = self._outcomes.images, self._intake, self._served.source
        if found.reason is None:
            assert self._header is not None
            file = intake.finish(sync=images.sync)
            self._served.pending = partial(whole.described, images, self._served, file, intake.meta(), self._header)
            return found.status
        file = intake.finish(sync=False)
        move = partial(images.set_aside, file, intake.meta(), found.reason, source)
        if not images.sync:
            self._served.pending = move
            return found.status
        # To be set aside, which is rare: room for that has to be there before the success.
        saved = move()
        self._committing = True
        whole.counted(self._outcomes, self._served, self._outcomes.committer.commit(saved))
        return found.status

    def _find_header(self) -> None:
        """Read the header out of the file if it was too long to be seen at the beginning."""
        scanner, syntax = self._served.scanner, self._command.transfer_syntax_uid
        assert scanner is not None
        try:
            for size in HEADS:
                if self._header is None and self._unreadable is None and self._intake.length > size:
                    self._header = scanner.scan_head(self._intake.beginning(size), syntax)
            if self._header is None and self._unreadable is None:
                self._header = scanner.scan(self._intake.beginning(self._intake.length), syntax)
        except UnreadableImage as exc:
            self._unreadable = str(exc)
        if self._header is not None:
            self._header = self._header.of_length(self._intake.length)

    def _refuse_later(self, status: int, reason: str) -> None:
        self._refused = Refusal(status, reason)
        self.abandon()

    def abandon(self) -> None:
        """See service.Intake."""
        self._whole = None
        self._intake.abandon()
