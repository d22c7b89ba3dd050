"""What the receiver does about storage commitment on its associations: keep requests, hand out answers, keep reports.
It must not judge what is committed (the router does) and never opens an association (`reporter` does).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.dicom.commitment import SAME_ASSOCIATION_S, Report, Request
from actors.dicom.service import Peer, Ready
from protocol.clock import Clock
from protocol.routing.commitment import SourceCommitment
from protocol.routing.model import RoutingConfiguration
from protocol.routing.sources import commitment_for, source_for
from protocol.routing.targets import DicomTarget
from protocol.spool import Spool
from protocol.spool.commitments import Due

SUCCESS, PROCESSING_FAILURE, CLASS_NOT_SUPPORTED = 0x0000, 0x0110, 0x0122
# Answers to a report that another try can change; the others say that the peer heard it, whatever it makes of it.
TRANSIENT = frozenset((0x0110, 0x0213))
HOLD_S = 30.0  # a report that is under way on an association is not sent on another one for so long


def report_of(due: Due) -> Report:
    """What is reported: PS3.4 table J.3-2."""
    images = list(zip(due.images, due.reasons, strict=True))
    return Report(
        due.transaction_uid,
        tuple(one for one, reason in images if not reason),
        tuple((*one, reason) for one, reason in images if reason),
    )


class Commitments:
    """CommitmentHandler of the receiver; every method runs in association threads. `configuration` is read at each call."""

    def __init__(
        self,
        spool: Spool,
        configuration: Callable[[], RoutingConfiguration],
        clock: Clock,
        arrived: Callable[[set[int]], None],
        log: Any,
    ) -> None:
        """`arrived` wakes the router for the arrival that a target's report is about."""
        self._spool, self._configuration, self._clock = spool, configuration, clock
        self._arrived, self._log = arrived, log

    def offered(self, peer: Peer) -> bool:
        """See CommitmentHandler."""
        targets = self._configuration().targets.values()
        return self._policy(peer).policy != "off" or any(
            isinstance(target, DicomTarget) and target.commitment is not None for target in targets
        )

    def _policy(self, peer: Peer) -> SourceCommitment:
        sources = self._configuration().sources
        return commitment_for(sources, self._source(peer), peer.calling_ae, peer.address)

    def _source(self, peer: Peer) -> str | None:
        return source_for(self._configuration().sources, peer.calling_ae, peer.address, peer.subject).name

    def requested(self, association_id: bytes, peer: Peer, request: Request) -> int:
        """See CommitmentHandler."""
        if self._policy(peer).policy == "off":
            return CLASS_NOT_SUPPORTED
        source = self._source(peer)
        id = self._spool.commitments.request(
            association_id, peer.calling_ae, peer.called_ae, peer.address, source, request.transaction_uid,
            request.references, SAME_ASSOCIATION_S,
        )  # fmt: skip
        self._log.info(
            "commitment_requested", commitment=id, calling_ae=peer.calling_ae, images=len(request.references)
        )
        return SUCCESS

    def ready(self, association_id: bytes) -> Ready | None:
        """See CommitmentHandler."""
        due = self._spool.commitments.ready(association_id, self._clock.now() + HOLD_S)
        return None if due is None else Ready(due.id, report_of(due))

    def taken(self, id: int, status: int) -> None:
        """See CommitmentHandler."""
        if status in TRANSIENT:
            return  # it is due again in a while, on a new association
        self._spool.commitments.reported(id, "same", status, error_of(status))
        self._log.info("commitment_reported", commitment=id, how="same", status=f"{status:04X}")

    def told(self, peer: Peer, report: Report) -> int:
        """See CommitmentHandler."""
        arrival = self._spool.confirmations.answered(report.transaction_uid, *report.instances)
        if arrival is None:
            self._log.warning("unknown_report", calling_ae=peer.calling_ae, address=peer.address)
            return PROCESSING_FAILURE
        self._log.info("confirmation_answered", arrival=arrival, calling_ae=peer.calling_ae,
                       committed=len(report.committed), failed=len(report.failed))  # fmt: skip
        self._arrived({arrival})
        return SUCCESS


def error_of(status: int) -> str:
    """What stands beside a report that was taken with a status other than success."""
    return "" if status == SUCCESS else f"the scanner answered {status:04X}"
