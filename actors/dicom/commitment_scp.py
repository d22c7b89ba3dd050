"""Storage commitment on one association that a peer opened (PS3.4 Annex J): requests in, reports out, targets' reports in.

It must not judge or keep anything itself (the handler does), and it never waits for an answer longer than for the peer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from actors.dicom import dimse, statuses
from actors.dicom.commitment import (
    REQUEST_COMMITMENT,
    SAME_ASSOCIATION_S,
    SOP_CLASS,
    SOP_INSTANCE,
    Malformed,
    decode_report,
    decode_request,
    encode_report,
)
from actors.dicom.pdus import UNEXPECTED_PDU, InvalidPdu, RoleSelection
from actors.dicom.service import CommitmentHandler, Peer, Ready, ScpHandler
from actors.dicom.storing import log_fault
from actors.dicom.upper import Connection, Message, fragments
from protocol.errors import DiskFailed, OutOfSpace

T = TypeVar("T")

LOOK_S = 0.2
_FIELDS = (dimse.N_ACTION_RQ, dimse.N_EVENT_REPORT_RQ, dimse.N_EVENT_REPORT_RSP)

# PS3.7 Annex C
_NO_SUCH_EVENT, _NO_SUCH_ACTION, _NO_SUCH_INSTANCE = 0x0113, 0x0123, 0x0112
_CLASS_NOT_SUPPORTED, _NOT_AUTHORISED = 0x0122, 0x0124


def services(handler: ScpHandler, peer: Peer) -> tuple[str, ...]:
    """The SOP class, if it is offered to this peer."""
    offers = handler.commitment is not None and handler.commitment.offered(peer)
    return (SOP_CLASS,) if offers else ()


def serve(
    handler: ScpHandler, association_id: bytes, peer: Peer, connection: Connection, max_send: int, stall_s: float,
    contexts: Mapping[int, tuple[str, str]], roles: Iterable[RoleSelection],
) -> Service | None:  # fmt: skip
    """The service of an association; None if it negotiated none. `contexts`: id -> (abstract, transfer syntax)."""
    commitment = handler.commitment
    if commitment is None or all(abstract != SOP_CLASS for abstract, _ in contexts.values()):
        return None
    return Service(commitment, handler.fatal, association_id, peer, connection, max_send, stall_s, contexts, roles)


class Service:
    """The part of an association that speaks storage commitment; used by the association's thread. No fault of the
    handler gets out of here: DiskFailed goes to `fatal`.
    """

    def __init__(
        self,
        handler: CommitmentHandler,
        fatal: Callable[[BaseException], None],
        association_id: bytes,
        peer: Peer,
        connection: Connection,
        max_send: int,
        stall_s: float,
        contexts: Mapping[int, tuple[str, str]],
        roles: Iterable[RoleSelection],
    ) -> None:
        self._handler, self._fatal, self._id, self._peer = handler, fatal, association_id, peer
        self._connection, self._max_send, self._stall_s = connection, max_send, stall_s
        self._contexts = {id: syntax for id, (abstract, syntax) in contexts.items() if abstract == SOP_CLASS}
        role = next((role for role in roles if role.sop_class_uid == SOP_CLASS), None)
        self._peer_asks = role is None or role.scu  # without a role selection the requestor is SCU, PS3.7 D.3.3.4
        self._expected = 0  # reports that this association still waits for
        self._until = 0.0
        self._context_id = 0
        self._sent: tuple[int, int] | None = None  # message and request of a report without its answer
        self._message_id = 0

    def attend(self) -> None:
        """Before the next message is waited for: send the reports that are ready, until the peer says something."""
        while self._expected and self._sent is None and time.monotonic() < self._until:
            if self._connection.readable(LOOK_S):
                return
            ready = self._guarded(self._handler.ready, self._id)
            if isinstance(ready, int):
                self._expected = 0  # the spool has trouble; reports go out later, on another association
            elif ready is not None:
                self._send(ready)

    def _guarded(self, method: Callable[..., T], *args: Any) -> T | int:
        """Call the handler; the status to answer if that failed."""
        try:
            return method(*args)
        except OutOfSpace:
            return statuses.RESOURCE_LIMITATION
        except DiskFailed as exc:
            self._fatal(exc)
        except Exception as exc:
            log_fault("scp.commitment", exc)
        return statuses.PROCESSING_FAILURE

    def _send(self, ready: Ready) -> None:
        self._message_id = self._message_id % 0xFFFF + 1
        context = self._context_id
        report = ready.report
        command = dimse.event_report_request(self._message_id, SOP_CLASS, SOP_INSTANCE, report.event_type)
        data = encode_report(report, self._contexts[context])
        self._sent = self._message_id, ready.id
        parts = fragments(context, command, True, True, self._max_send)
        self._connection.send(parts + fragments(context, data, False, True, self._max_send), self._stall_s)

    def speaks(self, message: Message) -> bool:
        """Is this message for this service?"""
        return message.context_id in self._contexts and message.command.field in _FIELDS

    def answered(self, message: Message) -> None:
        """The response to a report of ours. Raises InvalidPdu if it is one to nothing."""
        command = message.command
        if self._sent is None or command.field != dimse.N_EVENT_REPORT_RSP:
            raise InvalidPdu("a response to nothing", UNEXPECTED_PDU)
        message_id, request = self._sent
        if command.number(dimse.ANSWERED_ID) != message_id:
            raise InvalidPdu("a response to another request than the one sent")
        self._sent = None
        self._expected -= 1
        self._guarded(self._handler.taken, request, command.number(dimse.STATUS))

    def answer(self, message: Message) -> int:
        """Carry out a request; the status to answer."""
        command, syntax = message.command, self._contexts[message.context_id]
        asks = command.field == dimse.N_ACTION_RQ
        instance = command.uid(dimse.REQUESTED_INSTANCE if asks else dimse.AFFECTED_INSTANCE)
        if command.uid(dimse.REQUESTED_CLASS if asks else dimse.AFFECTED_CLASS) != SOP_CLASS:
            return _CLASS_NOT_SUPPORTED
        if instance != SOP_INSTANCE:
            return _NO_SUCH_INSTANCE
        if message.oversized:
            return statuses.RESOURCE_LIMITATION
        try:
            if asks:
                return self._requested(message, syntax)
            if command.number(dimse.EVENT_TYPE, 0) not in (1, 2):
                return _NO_SUCH_EVENT
            return self._guarded(self._handler.told, self._peer, decode_report(message.dataset, syntax))
        except Malformed as exc:
            return exc.status

    def _requested(self, message: Message, syntax: str) -> int:
        if not self._peer_asks:
            return _NOT_AUTHORISED  # it negotiated to be SCP alone
        if message.command.number(dimse.ACTION_TYPE, 0) != REQUEST_COMMITMENT:
            return _NO_SUCH_ACTION
        status = self._guarded(self._handler.requested, self._id, self._peer, decode_request(message.dataset, syntax))
        if status == 0:
            self._expected += 1
            self._until = time.monotonic() + SAME_ASSOCIATION_S
            self._context_id = message.context_id
        return status
