"""A buffer in which the headers of P-DATA-TF PDUs stand in their places and an image is read into the gaps between them.

So an image of up to a megabyte is one read and one write. It must not know sockets or wait for a peer.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from actors.dicom import dimse, pdus
from protocol.errors import UnreadableImage
from protocol.records import record

CHUNK_BYTES = 1024 * 1024
DEFLATED = frozenset(("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"))
_HEADER = struct.Struct(">BxIIBB")  # of a P-DATA-TF with one PDV, PS3.8 section 9.3.5
_LEAD_BYTES = 512  # room for the command set: two UIDs of 64 characters and 64 bytes of numbers take half of it
_MAX_GAPS = 512  # buffers per read, half of Linux's IOV_MAX
_LAST = 2  # message control header, PS3.8 section E.2
_COMMAND = 1
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # O_NONBLOCK: a FIFO in an image's place must not hang us


@record
class OutgoingImage:
    """An image file to send; its dataset starts at `dataset_offset` (bytes) of the Part 10 file.

    `length` is how long the dataset has to be, bytes; None: as long as the file is. A shorter file is not sent.
    """

    path: Path | str
    dataset_offset: int
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    length: int | None = None


class Frame:
    """Holds one chunk of one image at a time. `max_send`: the peer's longest PDU body, bytes, at least 8."""

    def __init__(self, max_send: int) -> None:
        self._max_send = max_send
        self._size = size = min(max_send - 6, CHUNK_BYTES) & ~1  # fragments are of even length, PS3.8 section E.2
        self._count = count = max(1, min(_MAX_GAPS, CHUNK_BYTES // size))
        self._step = size + _HEADER.size
        self._buffer = bytearray(_LEAD_BYTES + count * self._step)
        self._view = memoryview(self._buffer)
        starts = range(_LEAD_BYTES + _HEADER.size, len(self._buffer), self._step)
        self._gaps = [self._view[start : start + size] for start in starts]
        self._context_id = 0
        self._short: int | None = None  # the PDU whose header does not say "whole, and more to come"
        self._commands: dict[tuple[str, int], tuple[bytes, bytes]] = {}
        self._fd = -1
        self._position = self._left = self._filled = self._pad = 0
        self.image: OutgoingImage | None = None

    # -- the file --------------------------------------------------------------------------------------------------

    def load(self, image: OutgoingImage) -> None:
        """Open the image and read its first chunk.

        Raises:
            UnreadableImage: it cannot be opened, holds no dataset, or is shorter than it has to be.
        """
        self.clear()
        try:
            self._fd = os.open(image.path, _FLAGS)
        except OSError as exc:
            raise UnreadableImage(f"the image file cannot be opened: {exc.strerror}") from exc
        try:
            length = image.length
            if length is None:
                length = os.fstat(self._fd).st_size - image.dataset_offset
            if length <= 0:
                raise UnreadableImage("the image file holds no dataset")
            self._position, self._left = image.dataset_offset, length
            # A deflated stream of odd length gets the NUL that its file should have had (PS3.5 section A.5): peers
            # abort at odd fragments. Any other odd dataset is damaged and goes out as it is.
            self._pad = length % 2 if image.transfer_syntax_uid in DEFLATED else 0
            self._read()
        except BaseException:
            self.clear()
            raise
        self.image = image

    def load_more(self) -> bool:
        """Read the next chunk of the same image; False if there is none. Raises UnreadableImage."""
        if not self._left:
            return False
        self._read()
        return True

    def clear(self) -> None:
        """Forget the image and close its file."""
        self.image = None
        self._left = 0
        self._close()

    def _read(self) -> None:
        want = min(self._left, len(self._gaps) * self._size)
        try:
            got = os.preadv(self._fd, self._gaps, self._position)
            while got < want:  # the end of the file, or a read that was interrupted
                more = os.preadv(self._fd, self._rest(got), self._position + got)
                if not more:
                    raise UnreadableImage("the image file ends too early")
                got += more
        except OSError as exc:
            raise UnreadableImage(f"the image file cannot be read: {exc.strerror}") from exc
        self._filled = want
        self._position += want
        self._left -= want
        if not self._left:
            self._close()
            if self._pad:
                self._gaps[want // self._size][want % self._size] = 0
                self._filled += 1

    def _rest(self, got: int) -> list[memoryview]:
        index, inside = divmod(got, self._size)
        return [self._gaps[index][inside:], *self._gaps[index + 1 :]]

    def _close(self) -> None:
        # Forgotten first: an interrupt (Ctrl-C) may come in between, and must not lead to closing what has the number then.
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    # -- the PDUs --------------------------------------------------------------------------------------------------

    def data(self, context_id: int) -> memoryview:
        """The chunk as P-DATA-TF PDUs; the last one says so if it ends the dataset."""
        return self._view[_LEAD_BYTES : self._finish(context_id)]

    def request(self, context_id: int, message_id: int) -> memoryview:
        """The C-STORE-RQ of the image (PS3.7 section 9.3.1.1) and its first chunk right behind it."""
        assert self.image is not None
        command = self._command(self.image, message_id)
        end = self._finish(context_id)
        start = _LEAD_BYTES - _HEADER.size - len(command)
        if start < 0 or len(command) + 6 > self._max_send:
            # A UID of absurd length, or a peer with tiny PDUs: put together anew.
            return memoryview(self._cut(context_id, command) + self._view[_LEAD_BYTES:end])
        _HEADER.pack_into(self._buffer, start, pdus.P_DATA, len(command) + 6, len(command) + 2, context_id,
                          _COMMAND | _LAST)  # fmt: skip
        self._buffer[start + _HEADER.size : _LEAD_BYTES] = command
        return self._view[start:end]

    def _command(self, image: OutgoingImage, message_id: int) -> bytes:
        """Of a series only the message id and the instance UID change."""
        instance = image.sop_instance_uid.encode("ascii", "replace")
        if len(instance) % 2:
            instance += b"\0"
        key = image.sop_class_uid, len(instance)
        halves = self._commands.get(key)
        if halves is None:
            if len(self._commands) >= 1000:
                self._commands.clear()
            whole = dimse.store_request(0, image.sop_class_uid, "\0" * len(instance))
            mark = whole.index(dimse.MESSAGE_ID_HEADER) + len(dimse.MESSAGE_ID_HEADER)
            halves = self._commands[key] = whole[:mark], whole[mark + 2 : len(whole) - len(instance)]
        return b"".join((halves[0], message_id.to_bytes(2, "little"), halves[1], instance))

    def _finish(self, context_id: int) -> int:
        """Make the headers right for what was read; the offset behind the last PDU."""
        buffer, size, filled = self._buffer, self._size, self._filled
        if context_id != self._context_id:
            self._context_id, self._short = context_id, None
            for index in range(self._count):
                self._whole(index)
        last = (filled - 1) // size
        length = filled - last * size
        if self._short is not None and self._short != last:
            self._whole(self._short)
        start = _LEAD_BYTES + last * self._step
        _HEADER.pack_into(buffer, start, pdus.P_DATA, length + 6, length + 2, context_id, 0 if self._left else _LAST)
        self._short = last
        return start + _HEADER.size + length

    def _whole(self, index: int) -> None:
        start = _LEAD_BYTES + index * self._step
        _HEADER.pack_into(self._buffer, start, pdus.P_DATA, self._size + 6, self._size + 2, self._context_id, 0)

    def _cut(self, context_id: int, command: bytes) -> bytes:
        size = (self._max_send - 6) & ~1
        together = bytearray()
        for start in range(0, len(command), size):
            piece = command[start : start + size]
            control = _COMMAND | (_LAST if start + size >= len(command) else 0)
            together += _HEADER.pack(pdus.P_DATA, len(piece) + 6, len(piece) + 2, context_id, control) + piece
        return bytes(together)
