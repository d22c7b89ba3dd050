"""What the receiver does with each association: admit it, hand its objects on, see to their rows between two of them.
It must not know PDUs or sockets, and one peer's trouble must not reach another's association.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from actors.dicom.service import (
    CommitmentHandler,
    How,
    Intake,
    LimitReached,
    Peer,
    StoreCommand,
    StoreRequest,
    Taker,
    Way,
)
from actors.dicom.statuses import OUT_OF_RESOURCES, PROCESSING_FAILURE
from actors.receiver import alike, whole
from actors.receiver.associations import Associations, Served
from actors.receiver.objects import OneObject
from actors.receiver.outcomes import Outcomes
from protocol.errors import DiskFailed, OutOfSpace, SpoolError
from protocol.header.scanner import Scanner


class Handler:
    """ScpHandler of the receiver; every method runs in association threads, several at a time."""

    def __init__(
        self, outcomes: Outcomes, associations: Associations, chosen: Callable[[], bool] = lambda: False
    ) -> None:
        """`chosen`: whether somebody wants the association that opens now logged."""
        self.outcomes, self._associations, self._chosen = outcomes, associations, chosen
        self.commitment: CommitmentHandler | None = None
        self._loners = alike.Loners()

    # -- associations ------------------------------------------------------------------------------------------

    def requested(self, peer: Peer) -> str | None:
        """See ScpHandler: the policy for known and unknown sources."""
        self.outcomes.failure.check()
        terms = self.outcomes.policy.terms(peer.calling_ae, peer.address, peer.subject)
        if terms.rejection:
            self._reject(peer, terms.source, terms.rejection)
        return terms.rejection or None

    def opened(self, association_id: bytes, peer: Peer) -> None:
        """See ScpHandler: its row is there before its first image."""
        policy, open_now = self.outcomes.policy, self.outcomes.open_now
        terms = policy.terms(peer.calling_ae, peer.address, peer.subject)
        reason = open_now.enter(
            association_id, terms.source, peer.address, source_most=terms.max_associations,
            answers=peer.calling_ae in policy.reporters,
        )  # fmt: skip
        if reason is not None:
            self._reject(peer, terms.source, reason)
            raise LimitReached(reason)
        try:
            served = self._associations.opened(association_id, peer, terms.source)
            self._settle_terms(served)
        except BaseException:
            open_now.leave(association_id)
            raise
        served.chosen = self._chosen()

    def agreed(self, association_id: bytes, facts: Callable[[], dict[str, Any]]) -> None:
        """See ScpHandler."""
        served = self._associations.peek(association_id)
        peer = served.peer
        self.outcomes.log.debug(
            "association_opened", always=served.chosen, association=association_id.hex(), calling_ae=peer.calling_ae,
            called_ae=peer.called_ae, address=peer.address, port=peer.port, agreed=facts,
        )  # fmt: skip

    def _settle_terms(self, served: Served) -> None:
        """Terms and scanner of the policy in force: a revision counts for associations that are open, too."""
        policy, peer = self.outcomes.policy, served.peer
        if served.policy is not policy:
            served.terms = policy.terms(peer.calling_ae, peer.address, peer.subject)
            served.scanner = Scanner(extra=policy.keywords, fallback_charset=served.terms.charset)
            served.policy = policy

    def closed(self, association_id: bytes, peer: Peer, how: How) -> None:
        """See ScpHandler: the router is told."""
        self.outcomes.open_now.leave(association_id)
        served = self._associations.peek(association_id)
        self._associations.closed(association_id, how)
        self._loners.note(peer.calling_ae, served.images)

    def refused_pdu(self, address: str, reason: str) -> None:
        """See ScpHandler."""
        rejected = self.outcomes.images.association_rejected
        self._turned_away(address, reason, "", lambda: rejected("", "", address, reason))

    def fatal(self, exc: BaseException) -> None:
        """See ScpHandler: the main thread ends the process."""
        self.outcomes.failure.set(exc)

    def _reject(self, peer: Peer, source: str | None, reason: str) -> None:
        rejected = self.outcomes.images.association_rejected
        self._turned_away(
            peer.address, reason, peer.calling_ae,
            lambda: rejected(peer.calling_ae, peer.called_ae, peer.address, reason, source, peer.subject),
        )  # fmt: skip

    def _turned_away(self, address: str, reason: str, calling_ae: str, record: Callable[[], None]) -> None:
        outcomes = self.outcomes
        outcomes.log.warning("turned_away", calling_ae=calling_ae, address=address, reason=reason)
        if outcomes.notices.wanted(address, calling_ae, reason):
            outcomes.record("association.rejected", record)

    # -- images ------------------------------------------------------------------------------------------------

    def begin(self, association_id: bytes, peer: Peer, command: StoreCommand) -> Intake:
        """See ScpHandler."""
        return OneObject(self.outcomes, self._ready(association_id, command), command)

    def whole(self, association_id: bytes, peer: Peer, command: StoreCommand, pieces: list[memoryview]) -> int:
        """See ScpHandler."""
        return whole.store(self.outcomes, self._ready(association_id, command), command, pieces)

    def store(self, association_id: bytes, peer: Peer, request: StoreRequest) -> int:
        """An object that is whole already, as if it came in over the network."""
        command = StoreCommand(
            request.sop_class_uid, request.sop_instance_uid, request.transfer_syntax_uid, request.message_id
        )  # fmt: skip
        return self.whole(association_id, peer, command, [memoryview(request.dataset)])

    def refused(self, association_id: bytes, command: StoreCommand, status: int, reason: str) -> None:
        """See ScpHandler."""
        self.outcomes.refuse(self._associations.peek(association_id), command, status, reason)

    def rest(self, association_id: bytes) -> None:
        """See ScpHandler: rows of what is acknowledged already, and the file that the next object will fill."""
        served = self._associations.peek(association_id)
        self.outcomes.post_pending(served)
        if served.behind:
            self.outcomes.hear(served)
        if served.writer is not None and served.images > 1:
            with suppress(OutOfSpace):  # the next object will meet it, and say so
                served.writer.prepare()

    def taker(self, association_id: bytes, way: Way, pieces: list[memoryview]) -> Taker | None:
        """See ScpHandler."""
        served = self._associations.peek(association_id)
        return alike.taker(self.outcomes, self._loners, served, way, pieces)

    def _ready(self, association_id: bytes, command: StoreCommand) -> Served:
        """The association of an object, once what came before it is as far as it must be."""
        self.outcomes.failure.check()
        try:
            served = self._associations.get(association_id)
            self._settle_terms(served)
            if served.behind:
                self.outcomes.hear(served)
            if served.left:
                self.outcomes.settle(served)
            return served
        except OutOfSpace as exc:
            self.refused(association_id, command, OUT_OF_RESOURCES, str(exc))
            raise
        except DiskFailed:
            raise
        except SpoolError as exc:
            self.refused(association_id, command, PROCESSING_FAILURE, str(exc))
            raise
