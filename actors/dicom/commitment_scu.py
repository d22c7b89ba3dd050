"""Storage commitment on an association of our own (PS3.4 Annex J): ask a target, or report to who asked us.

It must not keep or judge anything, or try again; every wait has a limit.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from actors.dicom import dimse, pdus, statuses
from actors.dicom.commitment import (
    REQUEST_COMMITMENT,
    SOP_CLASS,
    SOP_INSTANCE,
    Malformed,
    Report,
    Request,
    decode_report,
    encode_report,
    encode_request,
)
from actors.dicom.dialling import connect
from actors.dicom.dimse import IMPLICIT_LITTLE
from actors.dicom.negotiation import EXPLICIT_LITTLE
from actors.dicom.pdus import AssociateAc, AssociateRq, ProposedContext, RoleSelection
from actors.dicom.scu import Node
from actors.dicom.tls import dial
from actors.dicom.upper import Connection, Message, ReleaseRequested, fragments
from protocol.errors import AssociationAborted, AssociationRejected, NetworkError, PeerTimeout

_CONTEXT = 1
_LARGEST = 32 * 1024 * 1024  # a report of 100,000 images


class CommitmentRefused(NetworkError):
    """The peer does not offer the service, or answered with a failure; `status` is 0 for the former."""

    def __init__(self, message: str, status: int, retryable: bool) -> None:
        self.status = status
        super().__init__(message, retryable)


def ask(
    node: Node, request: Request, keep: Callable[[Report], int], answer_s: float, alive: Callable[[], None] = lambda: None
) -> bool:  # fmt: skip
    """N-ACTION; then wait `answer_s` for the report on the same association. True if it came and was kept.

    Args:
        keep: makes a report durable and returns the status to answer; called before the peer is answered.
        alive: called whenever something moved.

    Raises:
        NetworkError: the target did not take the request; a CommitmentRefused if it said so.
    """
    with _Association(node, RoleSelection(SOP_CLASS, True, False)) as association:
        alive()
        return association.ask(request, keep, answer_s, alive)


@contextmanager
def reporting(node: Node) -> Iterator[Callable[[Report], int]]:
    """A new association in the role of SCP; what it gives sends one N-EVENT-REPORT and returns the peer's status.

    Raises:
        NetworkError: on entering, nothing was sent; out of a report, it is not known that the peer got it.
    """
    with _Association(node, RoleSelection(SOP_CLASS, False, True)) as association:
        yield association.report


class _Association:
    """Leaving its `with` releases it, or aborts it after an exception."""

    def __init__(self, node: Node, role: RoleSelection) -> None:
        self._node, self._role = node, role
        self._syntax, self._max_send, self._message_id = IMPLICIT_LITTLE, 0, 1
        self._connection = Connection(self._dial(), node.max_pdu, _LARGEST)

    def _dial(self) -> socket.socket:
        node = self._node
        sock = connect(node.host, node.port, node.connect_timeout_s)
        return sock if node.tls is None else dial(sock, node.tls, node.host, node.acse_timeout_s)

    def __enter__(self) -> Self:
        try:
            self._negotiate()
        except BaseException as exc:
            self._abort(exc)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self._release()
        else:
            self._abort(exc)

    def _negotiate(self) -> None:
        node, limit_s = self._node, self._node.acse_timeout_s
        context = ProposedContext(_CONTEXT, SOP_CLASS, (EXPLICIT_LITTLE, IMPLICIT_LITTLE))
        # The default role needs no words, and some peers stumble over them.
        roles = (self._role,) if self._role.scp else ()
        request = AssociateRq(node.called_ae, node.calling_ae, (context,), node.max_pdu, roles=roles)
        self._connection.send([request.encode()], limit_s)
        kind, body = self._connection.read_pdu(limit_s)
        if kind == pdus.ASSOCIATE_RJ:
            words, retryable = pdus.reject_words(body)
            raise AssociationRejected(f"{node} {words}", retryable, pdus.reject_cause(body))
        if kind == pdus.ABORT:
            raise AssociationAborted(f"{node}: {pdus.abort_words(body)}")
        if kind != pdus.ASSOCIATE_AC:
            raise AssociationAborted(f"{node} answered an association request with PDU type {kind:02X}")
        self._accept(AssociateAc.decode(body))

    def _accept(self, answer: AssociateAc) -> None:
        accepted = [one for one in answer.contexts if (one.context_id, one.result) == (_CONTEXT, pdus.ACCEPTED)]
        if not accepted or accepted[0].transfer_syntax not in (EXPLICIT_LITTLE, IMPLICIT_LITTLE):
            raise CommitmentRefused(f"{self._node} does not offer storage commitment", 0, self._role.scp)
        # No word about roles would mean the default, but many who take reports leave it out; who says no means it.
        if self._role.scp and any(role.sop_class_uid == SOP_CLASS and not role.scp for role in answer.roles):
            raise CommitmentRefused(f"{self._node} does not take reports of storage commitment", 0, True)
        self._syntax = accepted[0].transfer_syntax
        limits = [limit for limit in (answer.max_pdu, self._node.max_pdu) if limit] or [65536]
        self._max_send = max(min(limits), 128)

    # -- both sides ------------------------------------------------------------------------------------------------

    def ask(self, request: Request, keep: Callable[[Report], int], answer_s: float, alive: Callable[[], None]) -> bool:
        command = dimse.action_request(self._message_id, SOP_CLASS, SOP_INSTANCE, REQUEST_COMMITMENT)
        self._send(command, encode_request(request, self._syntax))
        got = False
        while (message := self._message()).command.field == dimse.N_EVENT_REPORT_RQ:
            got |= self._told(message, request, keep)  # faster than its own response
            alive()
        status = self._status(message, dimse.N_ACTION_RSP)
        if statuses.category(status) == "failure":
            words = f"{self._node} refused the request for storage commitment: {statuses.describe(status)}"
            raise CommitmentRefused(words, status, statuses.retryable(status))
        alive()
        until = time.monotonic() + answer_s
        while not got and (left := until - time.monotonic()) > 0 and self._connection.readable(left):
            try:
                message = self._message()
            except NetworkError:
                break  # it took the request; how this association ends changes nothing
            if message.command.field != dimse.N_EVENT_REPORT_RQ:
                break
            got = self._told(message, request, keep)
        return got

    def _told(self, message: Message, request: Request, keep: Callable[[Report], int]) -> bool:
        try:
            told = decode_report(message.dataset, self._syntax)
            status = keep(told)
        except Malformed as exc:
            told, status = None, exc.status
        response = dimse.response_to(message.command, status)
        self._connection.send_command(_CONTEXT, response, self._max_send, self._node.dimse_timeout_s)
        return told is not None and status == 0 and told.transaction_uid == request.transaction_uid

    def report(self, told: Report) -> int:
        self._message_id = self._message_id % 0xFFFF + 1
        command = dimse.event_report_request(self._message_id, SOP_CLASS, SOP_INSTANCE, told.event_type)
        self._send(command, encode_report(told, self._syntax))
        return self._status(self._message(), dimse.N_EVENT_REPORT_RSP)

    def _send(self, command: bytes, data: bytes) -> None:
        parts = fragments(_CONTEXT, command, True, True, self._max_send)
        self._connection.send(
            parts + fragments(_CONTEXT, data, False, True, self._max_send), self._node.dimse_timeout_s
        )

    def _message(self) -> Message:
        limit_s = self._node.dimse_timeout_s
        try:
            message = self._connection.read_message(limit_s, limit_s)
        except PeerTimeout as exc:
            raise PeerTimeout(f"{self._node} gave no answer within {limit_s:g} s") from exc
        except ReleaseRequested as exc:
            raise AssociationAborted("the peer wants to release instead of answering") from exc
        if message.context_id != _CONTEXT:
            raise AssociationAborted("the peer used a presentation context that was not proposed")
        return message

    def _status(self, message: Message, field: int) -> int:
        command = message.command
        if command.field != field or command.number(dimse.ANSWERED_ID) != self._message_id:
            raise AssociationAborted("the peer answered another request than the one sent")
        return command.number(dimse.STATUS)

    # -- ending ----------------------------------------------------------------------------------------------------

    def _release(self) -> None:
        """In order if the peer does its part; every answer that counts is already in."""
        try:
            self._connection.send([pdus.RELEASE_RQ_PDU], self._node.acse_timeout_s)
            kind, _ = self._connection.read_pdu(self._node.acse_timeout_s)
            if kind == pdus.RELEASE_RQ:  # both at once, PS3.8 section 9.2, AR-9
                self._connection.send([pdus.RELEASE_RP_PDU], self._node.acse_timeout_s)
                self._connection.read_pdu(self._node.acse_timeout_s)
            self._connection.close()
        except NetworkError as exc:
            self._abort(exc)

    def _abort(self, cause: BaseException | None) -> None:
        self._connection.abort(cause, linger_s=0)
        self._connection.close()
