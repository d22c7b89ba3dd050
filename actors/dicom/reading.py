"""The receiving half of a connection that speaks PS3.8: PDUs in, messages put together, each wait with a limit.

It must not send, decide anything about an association, look into a dataset, or wait without a deadline.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import Any

from actors.dicom import dimse, fast, pdus
from actors.dicom.machine import Machine
from actors.dicom.message import ChooseSink, Collected, Message, Part, PeerAborted, ReleaseRequested, Sink
from actors.dicom.pdus import InvalidPdu
from actors.dicom.service import Taker
from actors.dicom.transport import BUFFER_BYTES, ConnectionLost, Transport, broken
from protocol.errors import PeerTimeout

_PDU_HEADER = struct.Struct(">BxI")
_PDV_HEADER = struct.Struct(">IBB")
_MAX_ASSOCIATE_BYTES = 256 * 1024  # 128 contexts with 50 transfer syntaxes each stay below this
_MAX_COMMAND_BYTES = 64 * 1024
_TOLERATED_PDU_BYTES = 4 * 1024 * 1024  # some senders overrun the announced maximum; a length of 4 GB is an attack
_MOST_HEADERS = 12  # of a PDU and a PDV
SLOWEST = 1024  # bytes a second of a message's contents, on average: an ISDN line has eight times as much


class Reader(Transport):
    """A socket that PDUs come out of; see Transport for who may use it.

    Args:
        max_pdu: the largest P-DATA-TF body we announced, bytes; 0 is unlimited.
        max_object_bytes: datasets above this are read but not kept.
    """

    def __init__(self, sock: socket.socket, max_pdu: int, max_object_bytes: int) -> None:
        super().__init__(sock)
        self._max_pdu = max(max_pdu, _TOLERATED_PDU_BYTES) if max_pdu else 0xFFFFFFFF
        self._max_object = max_object_bytes
        self._pdu_left = 0  # bytes of the current P-DATA-TF not consumed yet
        self._command = bytearray()
        self._message: Message | None = None
        self._began = 0.0  # when the message under way did
        self._moved = 0  # bytes of its contents so far
        self._header_until = 0.0  # if the next PDU's header has begun already
        self._idle_until = 0.0  # the next message must have begun
        self.taker: Taker | None = None  # takes messages from here by itself, with the compiled helper
        self._took = False  # it did
        self.machine = Machine()

    # -- receiving ---------------------------------------------------------------------------------------------

    def read_pdu(self, timeout_s: float) -> tuple[int, bytes]:
        """One whole PDU other than P-DATA-TF as (type, body), within `timeout_s` from now, if it may come now.

        Raises:
            PeerTimeout, ConnectionLost, InvalidPdu
        """
        self._deadline = time.monotonic() + timeout_s
        self.machine.listen()
        while True:
            kind, length = self._pdu_header()
            self.machine.expect(kind)
            limit = self._max_pdu if kind == pdus.P_DATA else _MAX_ASSOCIATE_BYTES
            if length > limit:
                raise InvalidPdu(f"PDU of {length} bytes where at most {limit} make sense")
            if kind != pdus.P_DATA:
                body = self._take(length)
                self.machine.received(kind)
                return kind, body
            self._append(None, length)  # it overtook our release (AR-6), and nobody waits for it any more

    def read_message(self, idle_s: float, busy_s: float, choose: ChooseSink | None = None) -> Message:
        """The next whole DIMSE message. It must begin within `idle_s`; then each PDU has `busy_s` to arrive whole, and the
        message has `busy_s` and a second for each SLOWEST bytes: a drip of fragments, or empty ones, is no progress.

        Raises:
            ReleaseRequested, PeerAborted, PeerTimeout, ConnectionLost, InvalidPdu
        """
        self._idle_until = time.monotonic() + idle_s
        part = Part()
        if choose is not None and self._helped and not self._pdu_left:
            message = self._begin_helped(part, idle_s, busy_s)
            if message is not None:
                return message
        begun_now = self._message is None
        while True:
            begun = self._message
            if begun is not None and choose is not None and begun.sink is None and not begun.dataset:
                begun.sink = choose(begun)
                if begun.sink is not None or part.pieces or part.left or part.last:
                    self._stream_held(begun, part, busy_s)
                    return begun
            if not self._pdu_left:
                wait_s = self._idle_until - time.monotonic() if begun_now else self._left_of_message(busy_s)
                self._next_data_pdu(wait_s, busy_s)
            if begun_now:
                self._began, self._moved, begun_now = time.monotonic(), 0, False
            message = self._read_pdv()
            if message is not None:
                return message

    # -- a dataset, as it lies in the buffer ---------------------------------------------------------------------

    @property
    def _helped(self) -> bool:
        """Whether the compiled helper may read: it knows neither TLS nor limits that the kernel does not keep."""
        return fast.helper is not None and self._waits_in_kernel

    def _begin_helped(self, part: Part, idle_s: float, busy_s: float) -> Message | None:
        """Let the helper read a message from its beginning. What is whole is returned, with a dataset only of a C-STORE request;
        what it has not finished goes on as if it had not been.
        """
        while True:
            if self._start == self._end:
                self._start = self._end = 0
            elif self._start > BUFFER_BYTES // 4:
                self._compact()
            self._deadline = self._idle_until
            at, end = self._help(part, busy_s, fresh=True)
            if self._took:
                self._idle_until = time.monotonic() + idle_s
            if at >= 0:
                break
            if not self._took or self._pdu_left or not self._nothing_or_data():
                return None
        message = Message(part.context_id, self._decode_command(at, end))
        if part.last and not part.left:
            message.pieces = part.pieces
            return message
        if not message.command.has_data_set:
            self._header_until = 0.0
            return message
        message.dataset = bytearray()
        self._message = message
        return None

    def _nothing_or_data(self) -> bool:
        """Whether the buffer is empty or begins with the whole header of a P-DATA-TF."""
        size = self._end - self._start
        return not size or (size >= _PDU_HEADER.size and self._buffer[self._start] == pdus.P_DATA)

    def _decode_command(self, at: int, end: int) -> dimse.Command:
        elements = fast.helper.elements(self._buffer, at, end)
        return dimse.decode(self._view[at:end]) if elements is None else dimse.Command(elements)

    def _help(self, part: Part, busy_s: float, *, fresh: bool = False) -> tuple[int, int]:
        """Let the helper read on and take over where it stopped; where a command lies that it read (-1: none)."""
        view, command = self._view, (-1, -1)
        self._took = False
        while True:
            (
                code, number, self._start, self._end, self._pdu_left, part.left, part.last, part.context_id, self._moved,
                self._began, self._deadline, at, end, ends,
            ) = self._received(part, busy_s, fresh)  # fmt: skip
            if number:
                raise ConnectionLost(broken(OSError(number, os.strerror(number))))
            for place in range(0, len(ends), 2):
                part.pieces.append(view[ends[place] : ends[place + 1]])
            if fresh:
                command, fresh = (at, end), False
                if self._took and self.taker is not None:
                    self.taker.send_rest()
            if code != fast.helper.MORE:
                # A header has begun: looking again must not give it more time.
                begun = code != fast.helper.WHOLE and not self._pdu_left and self._start < self._end
                self._header_until = self._deadline if begun else 0.0
                return command

    def _received(self, part: Part, busy_s: float, fresh: bool) -> tuple[Any, ...]:
        fd = self._sock.fileno()
        if fresh and self.taker is not None:
            state, self._took = self.taker.receive(
                fd, self._buffer, self._start, self._end, self._max_pdu, busy_s, self._deadline, SLOWEST
            )
            return state
        return fast.helper.receive(
            fd, self._buffer, fresh, self._start, self._end, self._pdu_left, part.left, part.last, part.context_id,
            self._max_pdu, self._moved, self._began, busy_s, self._deadline, SLOWEST,
        )  # fmt: skip

    def _stream_held(self, message: Message, part: Part, busy_s: float) -> None:
        sink = message.sink or Collected(message, self._max_object)
        if message.sink is not None:
            message.dataset = None
        try:
            self._held = True
            self._stream(part, sink, message.context_id, busy_s)
        finally:
            self._held = False
        self._message = None

    def _stream(self, part: Part, sink: Sink, context_id: int, busy_s: float) -> None:
        """All of a dataset. Pieces are handed on when the buffer is full or the dataset ends, so that a small dataset comes
        in one go and a large one is stored while its next bytes are on their way.
        """
        pieces = part.pieces
        part.context_id = context_id
        if not pieces and self._start > BUFFER_BYTES // 4:  # else what follows the command stays where it came to lie
            self._compact()
        while True:
            if self._helped and not (part.last and not part.left):
                self._help(part, busy_s)
            if not part.left:
                if part.last:
                    sink.write(pieces, True)
                    return
                self._make_room(sink, pieces, _MOST_HEADERS)
                if not self._pdu_left:
                    self._next_data_pdu(self._left_of_message(busy_s), busy_s)
                    self._make_room(sink, pieces, _MOST_HEADERS)
                part.left, part.last = self._dataset_pdv(context_id)
            elif self._start == self._end:
                self._make_room(sink, pieces, 1)
                self._receive()
            count = min(part.left, self._end - self._start)
            if count:
                pieces.append(self._view[self._start : self._start + count])
                self._start += count
                part.left -= count

    def _dataset_pdv(self, expected_id: int) -> tuple[int, bool]:
        """Consume a PDV's header: (bytes of the dataset in it, whether it is the last)."""
        length, context_id, control = self._pdv_header()
        if control & 1:
            raise InvalidPdu("a command where a dataset was expected", pdus.UNEXPECTED_PDU)
        if context_id != expected_id:
            raise InvalidPdu("a dataset without its command", pdus.UNEXPECTED_PDU)
        return length - 2, bool(control & 2)

    def _make_room(self, sink: Sink, pieces: list[memoryview], need: int) -> None:
        """See to it that `need` bytes more than there are fit behind what is held back, or hand that on."""
        if BUFFER_BYTES - self._end >= need:
            return
        if pieces:
            sink.write(pieces, False)
            pieces.clear()
        self._compact()

    def _next_data_pdu(self, wait_s: float, busy_s: float) -> None:
        self._deadline = time.monotonic() + wait_s
        self._fill(1)
        self._deadline, self._header_until = self._header_until or time.monotonic() + busy_s, 0.0
        kind, length = self._pdu_header()
        if kind == pdus.P_DATA:
            if length < 6 or length > self._max_pdu:
                raise InvalidPdu(f"P-DATA-TF of {length} bytes where 6 to {self._max_pdu} make sense")
            self._pdu_left = length
            return
        self.machine.expect(kind)
        if length != 4:
            raise InvalidPdu(f"PDU type {kind:02X} of {length} bytes instead of 4")
        body = self._take(4)
        self.machine.received(kind)
        if kind == pdus.ABORT:
            raise PeerAborted(pdus.abort_words(body))
        raise ReleaseRequested

    def _read_pdv(self) -> Message | None:
        """Consume one presentation data value item (PS3.8 section 9.3.5.1); the message, if it is complete now."""
        length, context_id, control = self._pdv_header()
        is_command, is_last = control & 1, control & 2
        message = self._message
        if is_command:
            if message is not None:
                raise InvalidPdu("a command where a dataset was expected", pdus.UNEXPECTED_PDU)
            if len(self._command) + length > _MAX_COMMAND_BYTES:
                raise InvalidPdu("the command set is too long")
            self._append(self._command, length - 2)
            return self._command_complete(context_id) if is_last else None
        if message is None or message.context_id != context_id:
            raise InvalidPdu("a dataset without its command", pdus.UNEXPECTED_PDU)
        self._append_dataset(message, length - 2)
        if not is_last:
            return None
        self._message = None
        return message

    # -- headers -------------------------------------------------------------------------------------------------

    def _pdv_header(self) -> tuple[int, int, int]:
        """Consume (item length, context id, message control header) of a PDV; the length is 2 at least."""
        if self._pdu_left < 6:
            raise InvalidPdu("a PDV's header is cut off")
        self._fill(6)
        length, context_id, control = _PDV_HEADER.unpack_from(self._buffer, self._start)
        self._start += 6
        if length < 2 or length + 4 > self._pdu_left:
            raise InvalidPdu(f"PDV of {length} bytes in a PDU with {self._pdu_left} left")
        self._pdu_left -= length + 4
        self._moved += length - 2
        return length, context_id, control

    def _left_of_message(self, busy_s: float) -> float:
        """Seconds that the next PDU of the message may take to begin. Raises PeerTimeout: it does not get on."""
        left = self._began + busy_s + self._moved / SLOWEST - time.monotonic()
        if left <= 0:
            raise PeerTimeout("a message did not get on")
        return min(left, busy_s)

    def _command_complete(self, context_id: int) -> Message | None:
        message = Message(context_id, dimse.decode(self._command))
        self._command = bytearray()
        if not message.command.has_data_set:
            return message
        message.dataset = bytearray()
        self._message = message
        return None

    def _append_dataset(self, message: Message, length: int) -> None:
        if message.dataset is not None and len(message.dataset) + length > self._max_object:
            message.dataset, message.oversized = None, True
        self._append(message.dataset, length)

    def _pdu_header(self) -> tuple[int, int]:
        self._fill(1)
        if not pdus.ASSOCIATE_RQ <= self._buffer[self._start] <= pdus.ABORT:
            # Said at once: a peer of another protocol may never send six bytes.
            raise InvalidPdu(f"unrecognised PDU type {self._buffer[self._start]:02X}", pdus.UNRECOGNISED_PDU)
        self._fill(6)
        kind, length = _PDU_HEADER.unpack_from(self._buffer, self._start)
        self._start += 6
        return kind, length
