"""One accepted connection from its first byte to its end: negotiate, answer C-ECHO and C-STORE, report the end once.

It must not store anything itself, look into a dataset, or let one peer's fault leave this thread.
"""

from __future__ import annotations

import logging
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from actors.dicom import commitment_scp, dimse, pdus, statuses
from actors.dicom.agreement import Agreement, Agreements
from actors.dicom.commitment import MAX_BYTES as COLLECTED_BYTES
from actors.dicom.commitment import SOP_CLASS as COMMITMENT
from actors.dicom.facts import facts
from actors.dicom.negotiation import contradicts
from actors.dicom.pdus import AssociateRq, InvalidPdu, with_titles
from actors.dicom.service import How, LimitReached, Peer, ScpConfig, ScpHandler, StoreCommand, Taker, Way
from actors.dicom.storing import Dropped, Storing, log_fault, whole
from actors.dicom.transport import ConnectionLost
from actors.dicom.upper import Connection, Message, PeerAborted, ReleaseRequested, Sink
from protocol.errors import DiskFailed, NetworkError, PeerTimeout

log = logging.getLogger(__name__)

_LINGER_S = 1.0
_NO_STORAGE = {dimse.VERIFICATION, COMMITMENT}
REJECT_CALLING, REJECT_CALLED = (1, 1, 3), (1, 1, 7)
REJECT_CONTEXT, REJECT_VERSION = (1, 1, 2), (1, 2, 2)
REJECT_LIMIT, REJECT_CONGESTION = (2, 3, 2), (2, 3, 1)


class Acceptor:
    """Serves one connection; `run` is the body of its thread.

    Args:
        admit: called once the association may open; False if the limit of associations is reached. What it admitted
            is given back by `dismiss`.
    """

    def __init__(
        self,
        config: ScpConfig,
        handler: ScpHandler,
        sock: socket.socket,
        address: tuple[str, int],
        admit: Callable[[Acceptor], bool],
        dismiss: Callable[[Acceptor], None],
        agreements: Agreements,
    ) -> None:
        self._config, self._handler = config, handler
        self._address, self._port = address
        self._admit, self._dismiss, self._agreements = admit, dismiss, agreements
        self._connection = Connection(sock, config.max_pdu, COLLECTED_BYTES)
        self._stopping = False
        self._open = False
        self._max_send = 0
        self._contexts: Mapping[int, tuple[str, str]] = {}
        self._storing: Storing | None = None
        self._commitment: commitment_scp.Service | None = None
        self._id = uuid.uuid4().bytes
        self._secured = not isinstance(sock, ssl.SSLSocket)
        self._subject = ""
        self._deadline = time.monotonic() + config.acse_timeout_s

    def cut(self) -> None:
        """End the association soon, from another thread: a handler under way finishes and its answer is sent."""
        self._stopping = True
        self._connection.shutdown()

    def run(self) -> None:
        """Serve until the end. Never raises."""
        try:
            request = self._receive_request() if self._secured or self._secure() else None
            if request is not None:
                self._serve(request)
        except NetworkError as exc:
            log.debug("connection from %s ended: %s", self._address, exc)
        except Exception as exc:
            log_fault("scp.fault", exc)
        finally:
            self._dismiss(self)
            # It knows us in its turn: nothing of us, such as a buffer of some 100 KB, is to wait for a search for garbage.
            self._connection.taker = None
            self._connection.close()

    # -- opening -----------------------------------------------------------------------------------------------

    def _secure(self) -> bool:
        """Shake hands. False if the peer was turned away: it gets an alert of TLS, and an event tells why."""
        try:
            self._subject = self._connection.handshake(self._config.acse_timeout_s)
            return True
        except (PeerTimeout, ConnectionLost) as exc:
            # Nothing at all and closed is a load balancer's health check.
            if self._stopping or (isinstance(exc, ConnectionLost) and not self._connection.received_anything):
                return False
            reason = str(exc)
        log.warning("TLS failed", extra={"action": "scp.tls_failed", "address": self._address, "reason": reason})
        self._tell(self._handler.refused_pdu, self._address, reason)
        self._connection.linger(_LINGER_S)  # a reset would overtake the alert
        return False

    def _receive_request(self) -> AssociateRq | None:
        try:
            kind, body = self._connection.read_pdu(max(0.0, self._deadline - time.monotonic()))
            return self._agreements.decode(body) if kind == pdus.ASSOCIATE_RQ else None  # else an abort
        except InvalidPdu as exc:
            self._refuse_pdu(str(exc), exc)
        except PeerTimeout as exc:
            self._refuse_pdu(f"no association request within {self._config.acse_timeout_s:g} s", exc)
        except ConnectionLost as exc:
            # Nothing at all is a load balancer's health check; half a request is a fault worth an event.
            if self._connection.received_anything and not self._stopping:
                self._refuse_pdu("the connection ended within the association request", exc)
        return None

    def _refuse_pdu(self, reason: str, cause: NetworkError) -> None:
        log.warning("refused PDU", extra={"action": "scp.refused_pdu", "address": self._address, "reason": reason})
        self._tell(self._handler.refused_pdu, self._address, reason)
        self._connection.abort(cause, linger_s=0 if self._open else _LINGER_S)

    def _serve(self, request: AssociateRq) -> None:
        peer = Peer(
            self._address, self._port, request.calling_ae, request.called_ae, self._subject,
            request.user.implementation_class_uid, request.user.implementation_version,
        )  # fmt: skip
        rejection = self._rejection(request, peer)
        if rejection is not None:
            self._reject(rejection)
            return
        try:
            if not self._tell(self._handler.opened, self._id, peer):
                self._connection.abort()
                return
        except LimitReached:
            self._reject(REJECT_LIMIT)
            return
        how: How = "lost"
        self._open = True
        try:
            how = self._accepted(request, peer)
        finally:
            self._tell(self._handler.closed, self._id, peer, how)
            self._dismiss(self)  # its place is free, however long the peer takes to close
        self._connection.linger(_LINGER_S)  # after the report: completing a series must not wait for a slow peer

    def _reject(self, how: tuple[int, int, int]) -> None:
        self._connection.send([pdus.encode_reject(*how)], self._config.network_timeout_s)
        self._connection.linger(_LINGER_S)

    def _rejection(self, request: AssociateRq, peer: Peer) -> tuple[int, int, int] | None:
        """(result, source, reason) of an A-ASSOCIATE-RJ, PS3.8 table 9-21; None to accept."""
        if not request.version & 1:
            return REJECT_VERSION
        if request.application_context != pdus.APPLICATION_CONTEXT:
            return REJECT_CONTEXT
        config = self._config
        if not config.accept_any_called_ae and peer.called_ae not in {config.ae_title, *config.called_aes}:
            self._tell(self._handler.refused_pdu, self._address, f"'{peer.called_ae}' is no AE title of ours")
            return REJECT_CALLED
        try:
            reason = self._handler.requested(peer)
        except DiskFailed as exc:
            self._handler.fatal(exc)
            return REJECT_CONGESTION
        except Exception as exc:
            log_fault("scp.requested", exc)
            return REJECT_CONGESTION
        if reason is not None:
            log.warning(
                "association rejected",
                extra={"action": "scp.rejected", "calling_ae": peer.calling_ae, "address": peer.address, "why": reason},
            )
            return REJECT_CALLING
        return None if self._admit(self) else REJECT_LIMIT

    # -- open --------------------------------------------------------------------------------------------------

    def _accepted(self, request: AssociateRq, peer: Peer) -> How:
        try:
            agreement = self._agree(request, peer)
            self._tell(self._handler.agreed, self._id, lambda: facts(request, agreement.answer))
            self._connection.send([with_titles(agreement.pdu, request.titles)], self._config.network_timeout_s)
            self._connection.settle_down(self._config.idle_timeout_s, self._config.network_timeout_s)
            while True:
                if self._commitment is not None:
                    self._commitment.attend()
                message = self._next_message(peer)
                self._answer(message, peer)
                self._tell(self._handler.rest, self._id)
                self._connection.taker = None if message.pieces is None else self._taker(message)
        except ReleaseRequested:
            return self._release()
        except PeerAborted:
            return "aborted"
        except InvalidPdu as exc:
            self._refuse_pdu(str(exc), exc)
            return "aborted"
        except (ConnectionLost, PeerTimeout) as exc:
            self._connection.abort(None if self._stopping else exc, linger_s=0)  # stopping ends reading, not sending
            return "aborted" if self._stopping else "lost"
        except Exception as exc:
            log_fault("scp.fault", exc)
            self._connection.abort(linger_s=0)
            return "aborted"

    def _agree(self, request: AssociateRq, peer: Peer) -> Agreement:
        """Choose the contexts and what else is negotiated."""
        services = commitment_scp.services(self._handler, peer)
        agreement = self._agreements.of(request, services, self._config.max_pdu)
        self._contexts = agreement.contexts
        self._max_send = max(request.max_pdu, 128) if request.max_pdu else 65536
        self._commitment = commitment_scp.serve(
            self._handler, self._id, peer, self._connection, self._max_send, self._config.network_timeout_s,
            self._contexts, agreement.answer.roles,
        )  # fmt: skip
        return agreement

    def _release(self) -> How:
        try:
            self._connection.send([pdus.RELEASE_RP_PDU], self._config.network_timeout_s)
        except NetworkError as exc:
            log.debug("the release could not be confirmed: %s", exc)  # asked for by the peer, so it is released
        return "released"

    def _next_message(self, peer: Peer) -> Message:
        idle_s, busy_s = self._config.idle_timeout_s, self._config.network_timeout_s
        try:
            return self._connection.read_message(idle_s, busy_s, lambda message: self._sink(message, peer))
        except BaseException:
            storing, self._storing = self._storing, None
            if storing is not None:
                storing.abandon()
            raise

    def _answer(self, message: Message, peer: Peer) -> None:
        self._check_context(message)
        command = message.command
        field = command.field
        if field == dimse.C_STORE_RQ:
            status = self._stored(message, peer)
        elif field == dimse.C_ECHO_RQ:
            status = statuses.SUCCESS
        else:
            answer = self._answer_other(message, field)
            if answer is None:
                return
            status = answer
        response = dimse.response_to(command, status)
        self._connection.send_command(message.context_id, response, self._max_send, self._config.network_timeout_s)

    def _answer_other(self, message: Message, field: int) -> int | None:
        """The status of what is neither C-STORE nor C-ECHO; None if nothing is to be answered."""
        service = self._service(message)
        if field & dimse.RESPONSE:
            if service is None:
                raise InvalidPdu("a response to nothing", pdus.UNEXPECTED_PDU)
            service.answered(message)
            return None
        if field == dimse.C_CANCEL_RQ:
            return None  # nothing to cancel, and it has no response (PS3.7 section 9.3.2.3)
        return statuses.UNRECOGNISED_OPERATION if service is None else service.answer(message)

    def _service(self, message: Message) -> commitment_scp.Service | None:
        """Who works on it, if it is not an image."""
        return self._commitment if self._commitment is not None and self._commitment.speaks(message) else None

    def _check_context(self, message: Message) -> None:
        if message.context_id not in self._contexts:
            raise InvalidPdu(f"presentation context {message.context_id} was not accepted")

    def _sink(self, message: Message, peer: Peer) -> Sink | None:
        """Where the dataset of a request goes; None: into the message, for a service."""
        command = message.command
        self._check_context(message)
        if command.field != dimse.C_STORE_RQ:
            return Dropped() if self._service(message) is None else None
        request = self._store_command(message)
        if self._is_foreign(message, request):
            return Dropped()
        self._storing = Storing(self._handler, self._id, peer, request, self._config.max_object_bytes)
        return self._storing

    def _is_foreign(self, message: Message, request: StoreCommand) -> bool:
        """Whether a request to store is none of an object that its presentation context is for."""
        abstract_syntax = self._contexts[message.context_id][0]
        return abstract_syntax in _NO_STORAGE or contradicts(request.sop_class_uid, abstract_syntax)

    def _stored(self, message: Message, peer: Peer) -> int:
        storing, self._storing = self._storing, None
        if storing is not None:
            return storing.status()
        request = self._store_command(message)
        foreign = self._is_foreign(message, request)
        if message.pieces is not None and not foreign:
            return whole(self._handler, self._id, peer, request, message.pieces, self._config.max_object_bytes)
        if foreign:
            status, reason = statuses.SOP_CLASS_NOT_SUPPORTED, "the SOP class is not that of the presentation context"
        else:
            status, reason = statuses.CANNOT_UNDERSTAND, "the C-STORE request has no data set"
        self._tell(self._handler.refused, self._id, request, status, reason)
        return status

    def _taker(self, message: Message) -> Taker | None:
        """Who may take what comes next, if it is like this object, which came whole."""
        if self._commitment is not None:
            return None  # which looks after its own answers between two messages
        way = Way(
            message.context_id, message.command.elements.get(dimse.AFFECTED_CLASS, b""), self._max_send,
            lambda data: self._connection.send([data], self._config.network_timeout_s),
        )  # fmt: skip
        try:
            return self._handler.taker(self._id, way, message.pieces or [])
        except Exception as exc:
            log_fault("scp.handler", exc)
            return None

    def _store_command(self, message: Message) -> StoreCommand:
        command = message.command
        abstract_syntax, transfer_syntax = self._contexts[message.context_id]
        return StoreCommand(
            command.uid(dimse.AFFECTED_CLASS) or abstract_syntax, command.uid(dimse.AFFECTED_INSTANCE), transfer_syntax,
            command.number(dimse.MESSAGE_ID),
        )  # fmt: skip

    def _tell(self, method: Callable[..., Any], *args: object) -> bool:
        """Call the handler; False if it raised. A fault of its stays a fault of one association."""
        try:
            method(*args)
            return True
        except LimitReached:
            raise
        except DiskFailed as exc:
            self._handler.fatal(exc)
        except Exception as exc:
            log_fault("scp.handler", exc)
        return False
