"""One connection that speaks PS3.8: what reading.py reads, and PDUs out, each wait with a limit.

It must not decide anything about an association, look into a dataset, or wait without a deadline.
"""

from __future__ import annotations

import contextlib
import ssl
import struct
from collections.abc import Sequence
from typing import Any

from actors.dicom import pdus
from actors.dicom.machine import Event, State
from actors.dicom.message import ChooseSink, Message, PeerAborted, ReleaseRequested, Sink
from actors.dicom.pdus import InvalidPdu
from actors.dicom.reading import SLOWEST, Reader
from actors.dicom.transport import ConnectionLost, broken
from protocol.errors import AssociationAborted, PeerTimeout

__all__ = ["SLOWEST", "ChooseSink", "Message", "PeerAborted", "ReleaseRequested", "Sink"]  # used from here

_PDU_AND_PDV = struct.Struct(">BxIIBB")


class Connection(Reader):
    """A socket that speaks PDUs; see Transport for who may use it, Reader for its arguments."""

    # -- sending -----------------------------------------------------------------------------------------------

    def send(self, parts: Sequence[Any], stall_s: float) -> None:
        """Send buffers one after the other; the peer must take some bytes at least every `stall_s`.

        Raises:
            PeerTimeout, ConnectionLost; PeerAborted if the peer's A-ABORT explains the broken connection
        """
        if self.machine.state is not State.ESTABLISHED or parts[0] is pdus.RELEASE_RQ_PDU:
            self.machine.sent(parts[0][0])
        try:
            if not self._waits_in_kernel:
                self._sock.settimeout(stall_s)
            if self._tls:
                self._send_tls(parts)
            else:
                self._send_plain(parts, stall_s)
        except TimeoutError as exc:
            raise PeerTimeout("the peer stopped taking data") from exc
        except OSError as exc:
            self._explain_broken_send()
            raise ConnectionLost(broken(exc)) from exc

    def _explain_broken_send(self) -> None:
        """A peer that aborts closes its socket, so our send fails first; its A-ABORT may still be readable."""
        self._waits_in_kernel = False
        try:
            self._next_data_pdu(0.2, 0.2)
        except PeerAborted:
            raise
        except ConnectionLost as exc:
            if isinstance(exc.__cause__, ssl.SSLError):  # an alert of TLS says more than a broken pipe
                raise
        except (PeerTimeout, AssociationAborted, ReleaseRequested, InvalidPdu):
            return

    def send_command(self, context_id: int, command: bytes, max_send: int, stall_s: float) -> None:
        """Send a command set that has no dataset."""
        if len(command) + 6 > max_send:
            self.send(fragments(context_id, command, True, True, max_send), stall_s)
            return
        size = len(command)
        self.send([_PDU_AND_PDV.pack(pdus.P_DATA, size + 6, size + 2, context_id, 3) + command], stall_s)

    def abort(self, cause: BaseException | None = None, linger_s: float = 0.5) -> None:
        """Send the A-ABORT that the machine wants, if the connection still takes it at once; then let the peer close.

        `cause` is what went wrong, if ending is not our own wish.
        """
        self._waits_in_kernel = False
        if isinstance(cause, ConnectionLost):
            self.machine.did(Event.TRANSPORT_CLOSED)
        elif isinstance(cause, PeerTimeout) and self.machine.state is State.AWAITING_REQUEST:
            self.machine.did(Event.ARTIM_EXPIRED)
        owed = self.machine.abort(cause.code if isinstance(cause, InvalidPdu) else None)
        if owed is not None:
            with contextlib.suppress(OSError):
                self._sock.settimeout(0.2)
                self._sock.sendall(pdus.encode_abort(*owed))
        if linger_s:
            self.linger(linger_s)


def fragments(context_id: int, data: Any, is_command: bool, is_last: bool, max_send: int) -> list[Any]:
    """Cut `data` into P-DATA-TF PDUs of one PDV each, as a list of buffers: header, slice, header, slice.

    Args:
        max_send: the peer's maximum length of a PDU's body, bytes (PS3.8 section D.1); at least 8.
        is_last: whether `data` ends the command or dataset.
    """
    view = memoryview(data)
    size = (max_send - 6) & ~1  # fragments are of even length, PS3.8 section E.2
    parts: list[Any] = []
    for start in range(0, len(view), size):
        piece = view[start : start + size]
        last = is_last and start + size >= len(view)
        control = (1 if is_command else 0) | (2 if last else 0)
        parts.append(_PDU_AND_PDV.pack(pdus.P_DATA, len(piece) + 6, len(piece) + 2, context_id, control))
        parts.append(piece)
    if not parts:  # an empty last fragment still has to say that it is the last
        parts.append(_PDU_AND_PDV.pack(pdus.P_DATA, 6, 2, context_id, (1 if is_command else 0) | (2 if is_last else 0)))
    return parts
