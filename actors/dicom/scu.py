"""The storage SCU: one outgoing association that sends image files byte for byte, each step with a hard limit.

It must not decode a dataset, retry, or decide what a status means for a delivery.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from actors.dicom import dimse, pdus, statuses
from actors.dicom.dialling import connect
from actors.dicom.negotiation import IMPLICIT_LITTLE
from actors.dicom.pdus import AssociateAc, AssociateRq, ProposedContext
from actors.dicom.tls import ClientTls, dial
from actors.dicom.upper import Connection, ConnectionLost, Message, ReleaseRequested, fragments
from protocol.errors import (
    AssociationAborted,
    AssociationRejected,
    NetworkError,
    PeerTimeout,
    UnreadableImage,
)

Context = tuple[str, str]
"""(SOP class UID, transfer syntax UID)"""

VERIFICATION_CONTEXT: Context = (dimse.VERIFICATION, IMPLICIT_LITTLE)
DEFLATED = frozenset(("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"))
MAX_CONTEXTS = 128  # odd numbers up to 255, PS3.8 section 9.3.2.2
_CHUNK_BYTES = 1024 * 1024  # even, so that every fragment but the last is even
_UNLIMITED_SEND = 131072  # what we send to a peer that names no limit
_RESPONSE_BYTES = 1024 * 1024  # a response has no dataset; what comes nevertheless is dropped


@dataclass(frozen=True)
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
        return f"{self.called_ae}@{self.host}:{self.port}"


@dataclass(frozen=True)
class OutgoingImage:
    """An image file to send; its dataset starts at `dataset_offset` (bytes) of the Part 10 file."""

    path: Path
    dataset_offset: int
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True)
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


class Association:
    """An open association, used by one thread; leaving its `with` releases it, or aborts it after an exception.

    After any AssociationAborted or PeerTimeout it is over: a late answer must never be taken for another image's.
    """

    def __init__(self, node: Node, connection: Connection, accepted: dict[Context, int], max_send: int) -> None:
        self._node, self._connection = node, connection
        self._accepted, self._max_send = accepted, max_send
        self._message_id = 0
        self._over = False
        self.progress: Callable[[], None] = lambda: None
        """Called after every chunk the peer took: one large image may take longer than any timeout."""

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

    def store(self, image: OutgoingImage) -> StoreResult:
        """Send one image exactly as it is in its file and wait for the answer.

        Raises:
            PeerTimeout: no byte taken, or no answer, within `dimse_timeout_s`; the association is over.
            AssociationAborted: it ended, or the peer does not take this context (then it is still usable).
            UnreadableImage: the file is missing or has no dataset; or it was cut off while sending (then the
                association is over, see `usable`).
        """
        context_id = self._context(image.sop_class_uid, image.transfer_syntax_uid)
        try:
            file = image.path.open("rb", buffering=0)
        except OSError as exc:
            raise UnreadableImage(f"the image file cannot be opened: {exc.strerror}") from exc
        with file:
            length = os.fstat(file.fileno()).st_size - image.dataset_offset
            if length <= 0:
                raise UnreadableImage("the image file holds no dataset")
            file.seek(image.dataset_offset)
            message_id = self._next_message_id()
            request = dimse.store_request(message_id, image.sop_class_uid, image.sop_instance_uid)
            try:
                # A deflated stream of odd length gets the NUL that its file should have had (PS3.5 section A.5): peers
                # abort at odd fragments. Any other odd dataset is damaged and goes out as it is.
                pad = length % 2 if image.transfer_syntax_uid in DEFLATED else 0
                self._send_store(context_id, request, file, length, pad)
                answer = self._response(message_id, dimse.C_STORE_RSP)
                return StoreResult(answer.number(dimse.STATUS), answer.text(dimse.ERROR_COMMENT))
            except BaseException as exc:
                self.abort(exc)
                raise

    def echo(self) -> int:
        """C-ECHO (PS3.4 Annex A); the DIMSE status. Needs VERIFICATION_CONTEXT among the contexts.

        Raises:
            PeerTimeout, AssociationAborted
        """
        context_id = self._context(*VERIFICATION_CONTEXT)
        message_id = self._next_message_id()
        try:
            self._connection.send_command(
                context_id, dimse.echo_request(message_id), self._max_send, self._node.dimse_timeout_s
            )
            return self._response(message_id, dimse.C_ECHO_RSP).number(dimse.STATUS)
        except BaseException as exc:
            self.abort(exc)
            raise

    def release(self) -> bool:
        """End in order; True if the peer confirmed it. Never raises: every answer that counts is already in."""
        if self._over:
            return False
        self._over = True
        try:
            self._connection.send([pdus.RELEASE_RQ_PDU], self._node.acse_timeout_s)
            return self._await_release()
        except NetworkError as exc:
            self._connection.abort(exc, linger_s=0)
            return False
        finally:
            self._connection.close()

    def abort(self, cause: BaseException | None = None) -> None:
        """End at once, with an A-ABORT if the peer still takes it; `cause` is what went wrong, if anything did."""
        if not self._over:
            self._over = True
            self._connection.abort(cause, linger_s=0)
            self._connection.close()

    def cancel(self) -> None:
        """From another thread: make what is under way end now with AssociationAborted."""
        self._connection.shutdown(socket.SHUT_RDWR)

    # -- inner -------------------------------------------------------------------------------------------------

    def _context(self, sop_class_uid: str, transfer_syntax_uid: str) -> int:
        if self._over:
            raise AssociationAborted("the association is over")
        context_id = self._accepted.get((sop_class_uid, transfer_syntax_uid))
        if context_id is None:
            raise AssociationAborted(f"{self._node} does not take {sop_class_uid} in {transfer_syntax_uid}", False)
        return context_id

    def _next_message_id(self) -> int:
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def _send_store(self, context_id: int, request: bytes, file: BinaryIO, length: int, pad: int) -> None:
        """Command and dataset; the first chunk goes out together with the command, so small images take one call."""
        left = length + pad
        buffer = memoryview(bytearray(min(_CHUNK_BYTES, left)))
        parts: list[Any] = fragments(context_id, request, True, True, self._max_send)
        while left:
            chunk = buffer[: min(len(buffer), left)]
            left -= len(chunk)
            if pad and not left:
                chunk[-1] = 0
                _read_exactly(file, chunk[:-1])
            else:
                _read_exactly(file, chunk)
            parts += fragments(context_id, chunk, False, not left, self._max_send)
            self._connection.send(parts, self._node.dimse_timeout_s)
            self.progress()
            parts = []

    def _response(self, message_id: int, field: int) -> dimse.Command:
        try:
            message: Message = self._connection.read_message(self._node.dimse_timeout_s, self._node.dimse_timeout_s)
        except PeerTimeout as exc:
            raise PeerTimeout(f"{self._node} gave no answer within {self._node.dimse_timeout_s:g} s") from exc
        except ReleaseRequested as exc:
            raise AssociationAborted("the peer wants to release instead of answering") from exc
        command = message.command
        if command.field != field or command.number(dimse.ANSWERED_ID) != message_id:
            raise AssociationAborted("the peer answered another request than the one sent")
        return command

    def _await_release(self) -> bool:
        deadline = time.monotonic() + self._node.acse_timeout_s
        while (remaining := deadline - time.monotonic()) > 0:
            kind, _ = self._connection.read_pdu(remaining)
            if kind == pdus.RELEASE_RQ:  # both at once: the requestor answers first, PS3.8 section 9.2, AR-9
                self._connection.send([pdus.RELEASE_RP_PDU], remaining)
                continue
            return kind == pdus.RELEASE_RP
        raise PeerTimeout(f"{self._node} did not confirm the release")


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
    connection = Connection(_dial(node), node.max_pdu, _RESPONSE_BYTES)
    try:
        answer = _negotiate(node, connection, request)
    except BaseException as exc:
        connection.abort(exc, linger_s=0)
        connection.close()
        # Since TLS 1.3 a server says only after the handshake what it thinks of our certificate.
        if isinstance(exc, ConnectionLost) and isinstance(exc.__cause__, ssl.SSLError):
            raise AssociationRejected(f"{node}: {exc}") from exc
        raise
    by_id = {context.context_id: pair for context, pair in zip(proposed, pairs, strict=True)}
    accepted = {
        by_id[result.context_id]: result.context_id
        for result in answer.contexts
        if result.result == pdus.ACCEPTED
        and result.context_id in by_id
        and result.transfer_syntax == by_id[result.context_id][1]
    }
    limits = [limit for limit in (answer.max_pdu, node.max_pdu) if limit] or [_UNLIMITED_SEND]
    return Association(node, connection, accepted, max(min(limits), 128))


def _dial(node: Node) -> socket.socket:
    sock = connect(node.host, node.port, node.connect_timeout_s)
    if node.tls is None:
        return sock
    try:
        return dial(sock, node.tls, node.host, node.acse_timeout_s)
    except NetworkError as exc:
        raise type(exc)(f"{node}: {exc}", exc.retryable) from exc


def pack_contexts(contexts: Iterable[Context]) -> list[list[Context]]:
    """Distinct contexts in groups of at most 128, one association each; the order stays."""
    distinct = list(dict.fromkeys(contexts))
    return [distinct[start : start + MAX_CONTEXTS] for start in range(0, len(distinct), MAX_CONTEXTS)]


def _negotiate(node: Node, connection: Connection, request: AssociateRq) -> AssociateAc:
    connection.send([request.encode()], node.acse_timeout_s)
    try:
        kind, body = connection.read_pdu(node.acse_timeout_s)
    except PeerTimeout as exc:
        raise PeerTimeout(f"{node} did not answer the association request within {node.acse_timeout_s:g} s") from exc
    if kind == pdus.ASSOCIATE_AC:
        return AssociateAc.decode(body)
    if kind == pdus.ASSOCIATE_RJ:
        words, retryable = pdus.reject_words(body)
        raise AssociationRejected(f"{node} {words}", retryable)
    raise AssociationAborted(f"{node}: {pdus.abort_words(body)}")


def _read_exactly(file: BinaryIO, view: memoryview) -> None:
    done = 0
    while done < len(view):
        try:
            count = file.readinto(view[done:])  # type: ignore[attr-defined]
        except OSError as exc:
            raise UnreadableImage(f"the image file cannot be read: {exc.strerror}") from exc
        if not count:
            raise UnreadableImage("the image file ends too early")
        done += count
