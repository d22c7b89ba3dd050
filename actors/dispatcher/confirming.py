"""Asks a DICOM target to commit to the images of a delivery (PS3.4 Annex J), as the last step of an attempt.
It must not decide what an answer means (the router does), and every answer is kept before the target hears that it is.
"""

from __future__ import annotations

from collections.abc import Callable

from protocol.routing.commitment import TargetCommitment
from protocol.routing.targets import DicomTarget
from protocol.spool import Spool
from protocol.spool.deliveries import Claim

Ask = Callable[[Spool, Claim, DicomTarget, TargetCommitment, Callable[[], None]], None]


def ask_target(
    spool: Spool, claim: Claim, settings: DicomTarget, commitment: TargetCommitment, alive: Callable[[], None]
) -> None:
    """Ask, and wait a moment for the report. Returns once the target took the request.

    An association of its own: what is being asked must not depend on how the one of the images ends.
    Raises NetworkError: it did not; NotOwner and what else the spool raises.
    """
    from actors.dicom.commitment import Report, Request
    from actors.dicom.commitment_scu import ask
    from actors.targets.dicom import node_of

    asked = spool.confirmations.ask(claim)

    def keep(report: Report) -> int:
        known = spool.confirmations.answered(report.transaction_uid, *report.instances)
        return 0x0000 if known is not None else 0x0110

    ask(node_of(settings), Request(asked.transaction_uid, tuple(asked.images)), keep, commitment.answer_s, alive)
