"""The storage SCU: one outgoing association that sends image files byte for byte, each step with a hard limit.

It must not decode a dataset, retry, or decide what a status means for a delivery.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from actors.dicom import dimse, pdus, statuses
from actors.dicom.dialling import connect
from actors.dicom.frame import Frame, OutgoingImage
from actors.dicom.pdus import AssociateAc, AssociateRq, InvalidPdu, ProposedContext
from actors.dicom.requestor import Requestor
from actors.dicom.tls import ClientTls, dial
from actors.dicom.transport import ConnectionLost
from actors.dicom.upper import Message, ReleaseRequested, fragments
from actors.pace import Pace
from protocol.addresses import with_port
from protocol.causes import Cause
from protocol.errors import (
    AssociationAborted,
    AssociationRejected,
    NetworkError,
    PeerTimeout,
    UnreadableImage,
)
from protocol.header.dictionary import uid_name
from protocol.records import record

Context = tuple[str, str]
"""(SOP class UID, transfer syntax UID)"""

VERIFICATION_CONTEXT: Context = (dimse.VERIFICATION, dimse.IMPLICIT_LITTLE)
MAX_CONTEXTS = 128  # odd numbers up to 255, PS3.8 section 9.3.2.2
_UNLIMITED_SEND = 131072  # what we send to a peer that names no limit
_RELEASE_S = 5.0  # nothing depends on the answer to a release
_RESPONSE_BYTES = 1024 * 1024  # a response has no dataset; what comes nevertheless is dropped


@record
class Node:
    """A DICOM node to send to. `max_pdu` (bytes, 0: no limit of ours) bounds PDUs both ways; times in seconds.

    With `tls` the handshake has `acse_timeout_s`, too.
    """

    host: str
    port: int
    called_ae: str
    calling_ae: str
    max_pdu: int = 131072
    connect_timeout_s: float = 10.0
    acse_timeout_s: float = 30.0
    dimse_timeout_s: float = 60.0
    tls: ClientTls | None = None

    def __str__(self) -> str:
        return f"{self.called_ae}@{with_port(self.host, self.port)}"


@record
class StoreResult:
    """The peer's answer to one C-STORE; `comment` is its Error Comment (0000,0902), free text: never log it."""

    status: int
    comment: str = ""

    @property
    def category(self) -> statuses.Category:
        """success, warning (the peer has the image) or failure; see statuses.py."""
        return statuses.category(self.status)

    @property
    def retryable(self) -> bool:
        """Whether the same request can succeed later."""
        return statuses.retryable(self.status)

    def __str__(self) -> str:
        return statuses.describe(self.status)


_SUCCESS = StoreResult(statuses.SUCCESS)


class Association:
    """An open association, used by one thread; leaving its `with` releases it, or aborts it after an exception.

    After any AssociationAborted or PeerTimeout it is over: a late answer must never be taken for another image's.
    """

    def __init__(self, node: Node, connection: Requestor, accepted: dict[Context, int], max_send: int) -> None:
        self._node, self._connection = node, connection
        self._accepted, self._max_send = accepted, max_send
        self.results: Mapping[Context, int] = {}
        """What the peer said to each proposed context (PS3.8 table 9-18): 0 accepted, or why not."""
        self._frame, self._ahead = Frame(max_send), Frame(max_send)
        self._message_id = 0
        self._over = self._cancelled = False
        self.progress: Callable[[int], None] = _nobody
        """Hears how many bytes the peer took each time, headers included: one large image may take longer than any timeout.
        While `pace` makes us wait it hears 0."""
        self.pace: Pace | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self.release()
        else:
            self.abort(exc)

    @property
    def usable(self) -> bool:
        """False once it was released, aborted or broken."""
        return not self._over

    def accepts(self, sop_class_uid: str, transfer_syntax_uid: str) -> bool:
        """Whether the peer takes this SOP class in this transfer syntax."""
        return (sop_class_uid, transfer_syntax_uid) in self._accepted

    def store(self, image: OutgoingImage, following: OutgoingImage | None = None) -> StoreResult:
        """Send one image exactly as it is in its file and wait for the answer; meanwhile `following` is read.

        Raises:
            PeerTimeout: no byte taken, or no answer, within `dimse_timeout_s`; the association is over.
            AssociationAborted: it ended, or the peer does not take this context (then it is still usable). Where the peer
                answered with a failure before it ended it, that is returned instead, and the association is over.
            UnreadableImage: the file is missing or has no dataset; or it was cut off while sending (then the
                association is over, see `usable`).
        """
        context_id = self._context(image.sop_class_uid, image.transfer_syntax_uid)
        frame = self._loaded(image)
        message_id = self._next_message_id()
        try:
            self._connection.push(frame.request(context_id, message_id), self.progress, self.pace)
            while frame.load_more():
                self._connection.push(frame.data(context_id), self.progress, self.pace)
            if following is not None:
                self._look_ahead(following)
            message = self._awaited(
                lambda: self._connection.answer(context_id, message_id), message_id, dimse.C_STORE_RSP
            )
        except BaseException as exc:
            early = self._refused_early(message_id) if isinstance(exc, ConnectionLost | PeerTimeout) else None
            self.abort(exc)
            if early is None:
                raise
            return early
        return _SUCCESS if message is None else _result(message)

    def _refused_early(self, message_id: int) -> StoreResult | None:
        """The failure that the peer answered before it broke off, if it did: a response may come before all of its request has.
        A success would be one of half an image, and counts for nothing.
        """
        message = self._connection.said_last()
        with suppress(InvalidPdu):
            if message is not None and _answers(message, message_id, dimse.C_STORE_RSP):
                result = _result(message)
                return result if result.category == "failure" and result.status not in statuses.PENDING else None
        return None

    def _loaded(self, image: OutgoingImage) -> Frame:
        if (
            self._ahead.image is image or self._ahead.image == image
        ):  # read while the answer to the one before was awaited
            self._frame, self._ahead = self._ahead, self._frame
        else:
            self._frame.load(image)
        return self._frame

    def _look_ahead(self, following: OutgoingImage) -> None:
        try:
            self._ahead.load(following)
        except UnreadableImage:
            return  # its own turn will say so

    def echo(self) -> int:
        """C-ECHO (PS3.4 Annex A); the DIMSE status. Needs VERIFICATION_CONTEXT among the contexts.

        Raises:
            PeerTimeout, AssociationAborted
        """
        message = self.exchange(VERIFICATION_CONTEXT, dimse.echo_request, b"", dimse.C_ECHO_RSP)
        return message.command.number(dimse.STATUS)

    def exchange(self, context: Context, command: Callable[[int], bytes], dataset: bytes, field: int) -> Message:
        """Any other request with a dataset (empty: none): its command set made for a message id, its whole response.

        Raises:
            PeerTimeout, AssociationAborted: the association is over, or the peer does not take this context.
        """
        context_id = self._context(*context)
        message_id = self._next_message_id()
        limit_s = self._node.dimse_timeout_s
        parts = fragments(context_id, command(message_id), True, True, self._max_send)
        if dataset:
            parts += fragments(context_id, dataset, False, True, self._max_send)
        try:
            self._connection.send(parts, limit_s)
            message = self._awaited(lambda: self._connection.read_message(limit_s, limit_s), message_id, field)
        except BaseException as exc:
            self.abort(exc)
            raise
        assert message is not None
        return message

    def is_idle(self) -> bool:
        """Whether it can be used after a pause; never waits. If the peer has ended it, or said anything, it is over."""
        if self._over:
            return False
        if self._connection.is_silent():
            return True
        self._over = True
        self._connection.last_words()
        self._close()
        return False

    def release(self) -> bool:
        """End in order; True if the peer confirmed it. Never raises: every answer that counts is already in."""
        if self._over:
            return False
        self._over = True
        try:
            self._connection.send([pdus.RELEASE_RQ_PDU], min(self._node.acse_timeout_s, _RELEASE_S))
            return self._await_release()
        except NetworkError as exc:
            self._connection.abort(exc, linger_s=0)
            return False
        finally:
            self._close()

    def abort(self, cause: BaseException | None = None) -> None:
        """End at once, with an A-ABORT if the peer still takes it; `cause` is what went wrong, if anything did."""
        if not self._over:
            self._over = True
            # What looks like a lost connection after `cancel` is our own doing.
            self._connection.abort(None if self._cancelled else cause, linger_s=0)
            self._close()

    def cancel(self, *, gently: bool = False) -> None:
        """From another thread: make what is under way end now with AssociationAborted.

        `gently`: only a wait for an answer ends, and the peer gets an A-ABORT.
        """
        self._cancelled = True
        self._connection.shutdown(socket.SHUT_RD if gently else socket.SHUT_RDWR)

    def _close(self) -> None:
        self._connection.close()
        self._frame.clear()
        self._ahead.clear()
        self.progress = _nobody  # it knows whoever holds us: in a circle the buffers, a megabyte, would stay

    # -- inner -------------------------------------------------------------------------------------------------

    def _context(self, sop_class_uid: str, transfer_syntax_uid: str) -> int:
        if self._over:
            raise AssociationAborted("the association is over")
        context_id = self._accepted.get((sop_class_uid, transfer_syntax_uid))
        if context_id is None:
            words = f"{self._node} does not take {uid_name(sop_class_uid)} in {uid_name(transfer_syntax_uid)}"
            raise AssociationAborted(words, False, Cause.CONTEXT_REFUSED)
        return context_id

    def _next_message_id(self) -> int:
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def _awaited(self, read: Callable[[], Message | None], message_id: int, field: int) -> Message | None:
        """What `read` gives: the response, or None for a plain success."""
        limit_s = self._node.dimse_timeout_s
        until = time.monotonic() + 2 * limit_s  # only an answer that others follow needs a second limit
        while time.monotonic() < until:
            try:
                message = read()
            except PeerTimeout as exc:
                raise PeerTimeout(f"{self._node} gave no answer within {limit_s:g} s") from exc
            except ReleaseRequested as exc:
                raise AssociationAborted("the peer wants to release instead of answering") from exc
            if message is None:
                return None
            if not _answers(message, message_id, field):
                raise AssociationAborted("the peer answered another request than the one sent")
            # `number` raises: after an answer that says nothing nobody knows what comes next
            if message.command.number(dimse.STATUS) not in statuses.PENDING:
                return message
        raise PeerTimeout(f"{self._node} gave no answer within {limit_s:g} s but that it is not done yet")

    def _await_release(self) -> bool:
        deadline = time.monotonic() + min(self._node.acse_timeout_s, _RELEASE_S)
        while (remaining := deadline - time.monotonic()) > 0:
            kind, _ = self._connection.read_pdu(remaining)
            if kind == pdus.RELEASE_RQ:  # both at once: the requestor answers first, PS3.8 section 9.2, AR-9
                self._connection.send([pdus.RELEASE_RP_PDU], remaining)
                continue
            return kind == pdus.RELEASE_RP
        raise PeerTimeout(f"{self._node} did not confirm the release")


def _answers(message: Message, message_id: int, field: int) -> bool:
    """Whether it is the response to this request. Raises InvalidPdu: it does not say to which it is one."""
    return message.command.field == field and message.command.number(dimse.ANSWERED_ID) == message_id


def _result(message: Message) -> StoreResult:
    answer = message.command
    return StoreResult(answer.number(dimse.STATUS), answer.text(dimse.ERROR_COMMENT))


def _nobody(taken: int) -> None:
    """Hears of progress and does nothing."""


def open_association(node: Node, contexts: Iterable[Context]) -> Association:
    """Connect and negotiate; every pair of `contexts` (at most 128, see `pack_contexts`) is proposed on its own.

    An association in which the peer accepted nothing is returned all the same: ask `accepts`.

    Raises:
        TargetUnreachable: name, route or port; AssociationRejected (also by TLS); AssociationAborted; PeerTimeout.
        ValueError: no contexts, or more than 128.
    """
    pairs = list(dict.fromkeys(contexts))
    if not 0 < len(pairs) <= MAX_CONTEXTS:
        raise ValueError(f"{len(pairs)} presentation contexts; between 1 and {MAX_CONTEXTS} are possible")
    proposed = tuple(
        ProposedContext(2 * index + 1, sop_class, (syntax,)) for index, (sop_class, syntax) in enumerate(pairs)
    )
    request = AssociateRq(node.called_ae, node.calling_ae, proposed, node.max_pdu)
    connection = Requestor(_dial(node), node.max_pdu, _RESPONSE_BYTES)
    try:
        answer = _negotiate(node, connection, request)
    except BaseException as exc:
        connection.abort(exc, linger_s=0)
        connection.close()
        # Since TLS 1.3 a server says only after the handshake what it thinks of our certificate.
        if isinstance(exc, ConnectionLost) and isinstance(exc.__cause__, ssl.SSLError):
            raise AssociationRejected(f"{node}: {exc}", cause=Cause.TLS) from exc
        raise
    by_id = {context.context_id: pair for context, pair in zip(proposed, pairs, strict=True)}
    accepted = {
        by_id[result.context_id]: result.context_id
        for result in answer.contexts
        if result.result == pdus.ACCEPTED
        and result.context_id in by_id
        and result.transfer_syntax == by_id[result.context_id][1]
    }
    said = {by_id[result.context_id]: result.result for result in answer.contexts if result.context_id in by_id}
    connection.settle(node.dimse_timeout_s)
    limits = [limit for limit in (answer.max_pdu, node.max_pdu) if limit] or [_UNLIMITED_SEND]
    association = Association(node, connection, accepted, max(min(limits), 128))
    # a syntax that was not proposed is no acceptance, whatever the result says
    association.results = {
        pair: 2 if code == pdus.ACCEPTED and pair not in accepted else code for pair, code in said.items()
    }
    return association


def _dial(node: Node) -> socket.socket:
    sock = connect(node.host, node.port, node.connect_timeout_s)
    if node.tls is None:
        return sock
    try:
        return dial(sock, node.tls, node.host, node.acse_timeout_s)
    except NetworkError as exc:
        raise type(exc)(f"{node}: {exc}", exc.retryable, exc.cause) from exc


def pack_contexts(contexts: Iterable[Context]) -> list[list[Context]]:
    """Distinct contexts in groups of at most 128, one association each; the order stays."""
    distinct = list(dict.fromkeys(contexts))
    return [distinct[start : start + MAX_CONTEXTS] for start in range(0, len(distinct), MAX_CONTEXTS)]


def _negotiate(node: Node, connection: Requestor, request: AssociateRq) -> AssociateAc:
    connection.send([request.encode()], node.acse_timeout_s)
    try:
        kind, body = connection.read_pdu(node.acse_timeout_s)
    except PeerTimeout as exc:
        raise PeerTimeout(f"{node} did not answer the association request within {node.acse_timeout_s:g} s") from exc
    if kind == pdus.ASSOCIATE_AC:
        return AssociateAc.decode(body)
    if kind == pdus.ASSOCIATE_RJ:
        words, retryable = pdus.reject_words(body)
        rejected = AssociationRejected(f"{node} {words}", retryable, pdus.reject_cause(body))
        rejected.for_now = body[1:2] == b"\2"  # result 2, rejected-transient
        raise rejected
    raise AssociationAborted(f"{node}: {pdus.abort_words(body)}")
