"""What is answered to a proposal, remembered: a sender proposes the same each time, often 128 contexts, and the same answer
need not be worked out again. It must not know who asks, and never keeps what names a user (PS3.7 section D.3.3.7).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import TypeVar

from actors.dicom import pdus
from actors.dicom.dimse import VERIFICATION
from actors.dicom.negotiation import answer_user, choose_all, choose_roles
from actors.dicom.pdus import AssociateAc, AssociateRq
from protocol.records import record

K = TypeVar("K")
V = TypeVar("V")

MOST = 16
"""Agreements that are remembered; one more, and all are forgotten."""
LONGEST = 32 * 1024  # bytes of a proposal; longer ones are worked out each time


@record
class Agreement:
    """`contexts`: id -> (abstract, transfer syntax) of those accepted; `answer` and `pdu`, its bytes, are without titles."""

    contexts: Mapping[int, tuple[str, str]]
    answer: AssociateAc
    pdu: bytes


class Agreements:
    """Those of one process, and the proposals that they are about; from any thread."""

    def __init__(self) -> None:
        self._proposed: dict[bytes, AssociateRq] = {}
        self._known: dict[tuple[bytes, frozenset[str], int], Agreement] = {}

    def decode(self, body: bytes) -> AssociateRq:
        """As AssociateRq.decode. Raises InvalidPdu."""
        found = self._proposed.get(body[pdus.HEAD :])
        if found is not None:
            return found.with_head(body)
        request = AssociateRq.decode(body)
        if _may_be_kept(request):
            _keep(self._proposed, request.items, request)
        return request

    def of(self, request: AssociateRq, services: Collection[str], max_pdu: int) -> Agreement:
        """The agreement on a request if these SOP classes beside storage are offered, and so large PDUs (bytes)."""
        key = request.items, frozenset(services), max_pdu
        found = self._known.get(key)
        if found is None:
            found = agree(request, services, max_pdu)
            if _may_be_kept(request):
                _keep(self._known, key, found)
        return found


def _may_be_kept(request: AssociateRq) -> bool:
    """Never what names somebody; and no more memory than proposals of the standard need, which have odd ids of one byte."""
    return 0 < len(request.items) <= LONGEST and len(request.contexts) <= 128 and request.user.identity is None


def _keep(known: dict[K, V], key: K, value: V) -> None:
    if len(known) >= MOST:
        known.clear()
    known[key] = value


def agree(request: AssociateRq, services: Collection[str], max_pdu: int) -> Agreement:
    """Choose the contexts and what else is negotiated."""
    results = choose_all(request.contexts, services, request.user.common)
    roles = choose_roles(request.roles, services)
    abstract = {context.context_id: context.abstract_syntax for context in request.contexts}
    contexts = {
        result.context_id: (abstract[result.context_id], result.transfer_syntax)
        for result in results
        if result.result == pdus.ACCEPTED
    }
    stored = {one for one, _ in contexts.values()} - {VERIFICATION, *services}
    answer = AssociateAc(results, max_pdu, roles=roles, user=answer_user(request.user, stored))
    return Agreement(MappingProxyType(contexts), answer, answer.encode())
