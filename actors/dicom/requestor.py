"""The connection of the side that asks: one system call to send a request, one to read its answer.

It must not know files or what a status means; whatever is out of the ordinary goes the general way of `Connection`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable

from actors.dicom import dimse, pdus
from actors.dicom.transport import QUICKACK, ConnectionLost, broken
from actors.dicom.upper import ChooseSink, Connection, Message, ReleaseRequested
from actors.pace import Pace
from protocol.errors import AssociationAborted, NetworkError, PeerTimeout

_PDU_AND_PDV = struct.Struct(">BxIIBB")
_PIECE_BYTES = 256 * 1024  # a write of TLS ends only when the peer's side took it all
_REST_S = 0.2  # for the rest of a PDU that has begun
_TIMEVAL = struct.Struct("@ll")


class Requestor(Connection):
    """Used by one thread. After `settle` each wait for the peer ends after the same time.

    On a plain socket the kernel counts it (SO_SNDTIMEO, SO_RCVTIMEO): Python's own timeouts cost a poll before each
    call and an ioctl at each change.
    """

    _limit_s = 0.0

    def settle(self, limit_s: float) -> None:
        """From now on: `push` and `answer` wait at most `limit_s` at a time."""
        self._limit_s = limit_s
        if self._tls:
            self._sock.settimeout(limit_s)
            return
        self._sock.settimeout(None)
        microseconds = max(1, round(limit_s * 1_000_000))  # 0 would be for ever
        limit = _TIMEVAL.pack(*divmod(microseconds, 1_000_000))
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def push(self, view: memoryview, taken: Callable[[int], None], pace: Pace | None = None) -> None:
        """Send all of it; the peer must take some bytes (under TLS a whole piece) within the limit.

        `taken` hears how many bytes each system call got rid of, and 0 while a bandwidth cap (`pace`) makes us wait.

        Raises:
            PeerTimeout, ConnectionLost; PeerAborted if the peer's A-ABORT explains the broken connection
        """
        if pace is not None:
            for start in range(0, len(view), pace.piece):
                piece = view[start : start + pace.piece]
                pace.wait(len(piece), lambda: taken(0))
                self.push(piece, taken)
            return
        send, done, length = self._sock.send, 0, len(view)
        most = _PIECE_BYTES if self._tls else length
        try:
            while done < length:
                count = send(view[done : done + most])
                done += count
                taken(count)
        except (BlockingIOError, TimeoutError) as exc:
            raise PeerTimeout("the peer stopped taking data") from exc
        except OSError as exc:
            self._explain_broken_send()
            raise ConnectionLost(broken(exc)) from exc

    def answer(self, context_id: int, message_id: int) -> Message | None:
        """Wait for the response to a C-STORE; None is the plain success, everything else the message that came.

        Raises:
            as read_message
        """
        if self._start == self._end and not self._pdu_left:
            self._start = self._end = 0
            self._read_once()
            if self._end < 6 or self._end < 6 + int.from_bytes(self._buffer[2:6], "big"):
                # DCMTK writes a PDU's header by itself. If it has Nagle's algorithm on, the rest stays there until we
                # have acknowledged this part.
                if QUICKACK is not None:
                    with contextlib.suppress(OSError):
                        self._sock.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
                self._read_once()
            if self._is_plain_success(context_id, message_id):
                self._start = self._end = 0
                return None
        return self.read_message(self._limit_s, self._limit_s)

    def _read_once(self) -> None:
        """One system call; the buffer has room for hundreds of answers."""
        try:
            count = self._sock.recv_into(self._view[self._end :])
        except (BlockingIOError, TimeoutError) as exc:
            raise PeerTimeout("the peer fell silent") from exc
        except OSError as exc:
            raise ConnectionLost(broken(exc)) from exc
        if not count:
            raise ConnectionLost("the peer closed the connection")
        self.received_anything = True
        self._end += count

    def _is_plain_success(self, context_id: int, message_id: int) -> bool:
        end = self._end
        if end < 12:
            return False
        usual = (pdus.P_DATA, end - 6, end - 10, context_id, 3)  # one PDU, in it one PDV, in it a whole command
        return _PDU_AND_PDV.unpack_from(self._buffer) == usual and dimse.is_plain_success(
            self._buffer, 12, end, message_id
        )

    def read_message(self, idle_s: float, busy_s: float, choose: ChooseSink | None = None) -> Message:
        """As of any connection; afterwards the kernel counts again."""
        message = super().read_message(idle_s, busy_s, choose)
        self.settle(self._limit_s)
        return message

    def is_silent(self) -> bool:
        """Whether the peer has said nothing since the last answer and the connection still stands; never waits.

        False also if there is anything to read: who sends unasked wants to end the association (see `last_words`).
        """
        if self._start != self._end or self._pdu_left:
            return False
        try:
            self._sock.settimeout(0)
            self._end = self._sock.recv_into(self._buffer)
            self._start = 0
            return False
        except (BlockingIOError, ssl.SSLWantReadError):  # a session ticket of TLS is no PDU
            pass
        except OSError:
            return False
        self.settle(self._limit_s)
        return True

    def said_last(self) -> Message | None:
        """After sending failed: a message that the peer had sent before, if it can still be read."""
        with contextlib.suppress(NetworkError, ReleaseRequested):
            return self.read_message(_REST_S, _REST_S)
        return None

    def last_words(self) -> None:
        """Answer an A-RELEASE-RQ that came while nobody asked anything (PS3.8 section 9.2, AR-2 and AR-4)."""
        if self._start == self._end:
            return
        with contextlib.suppress(AssociationAborted, PeerTimeout):
            try:
                self._next_data_pdu(_REST_S, _REST_S)
            except ReleaseRequested:
                self.send([pdus.RELEASE_RP_PDU], _REST_S)
