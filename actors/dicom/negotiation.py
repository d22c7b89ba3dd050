"""Which presentation contexts the receiver accepts, and in which transfer syntax. It must not know who asks."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from actors.dicom.dimse import IMPLICIT_LITTLE as IMPLICIT_LITTLE
from actors.dicom.dimse import VERIFICATION
from actors.dicom.pdus import (
    ABSTRACT_SYNTAX_NOT_SUPPORTED,
    ACCEPTED,
    TRANSFER_SYNTAXES_NOT_SUPPORTED,
    ContextResult,
    ProposedContext,
    RoleSelection,
)
from actors.dicom.userinfo import PASSCODE, USERNAME, CommonExtended, ExtendedNegotiation, UserInformation
from protocol.header.dictionary import UIDS

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

STORAGE_SERVICE = "1.2.840.10008.4.2"
STORAGE_INFORMATION = bytes((2, 0, 3, 0, 0, 0))
"""What we say of storage (PS3.4 table B.3-2): level 2 (full), digital signatures bit-preserved, nothing coerced."""

# Non-Patient Object Storage (PS3.4 Annex GG). These objects have no study and no series, and a router that decides by series has
# no place for them: whoever proposes one is to hear that at negotiation, not to be answered 0000 for what goes to quarantine.
NON_PATIENT = frozenset({
    "1.2.840.10008.5.1.4.38.1",  # Hanging Protocol
    "1.2.840.10008.5.1.4.39.1",  # Color Palette
    "1.2.840.10008.5.1.4.43.1",  # Generic Implant Template
    "1.2.840.10008.5.1.4.44.1",  # Implant Assembly Template
    "1.2.840.10008.5.1.4.45.1",  # Implant Template Group
    "1.2.840.10008.5.1.4.1.1.200.1",  # CT Defined Procedure Protocol
    "1.2.840.10008.5.1.4.1.1.200.3",  # Protocol Approval
    "1.2.840.10008.5.1.4.1.1.200.7",  # XA Defined Procedure Protocol
    "1.2.840.10008.5.1.4.1.1.201.1",  # Inventory
})  # fmt: skip

# Known transfer syntaxes in which no C-STORE dataset exists: MIME and XML encapsulation, real-time video.
_NO_DATASET = ("1.2.840.10008.1.2.6.", "1.2.840.10008.1.2.7.")
_DICOM_ROOT = "1.2.840.10008."


def is_storage(sop_class_uid: str, common: CommonExtended | None = None) -> bool:
    """Whether images of this SOP class can be stored: all storage classes of PS3.6 Annex A but NON_PATIENT, all it
    does not know.

    Unknown ones are private classes and those of a newer standard; a router has no reason to refuse either, unless the
    requestor says by `common` (PS3.7 section D.3.3.6) that it is of another service.
    """
    if sop_class_uid in NON_PATIENT:
        return False
    known = UIDS.get(sop_class_uid)
    if known is None:
        if common is not None and common.service_class_uid != STORAGE_SERVICE:
            return any(uid in UIDS and is_storage(uid) for uid in common.related)
        return bool(sop_class_uid)
    name, kind = known[0], known[1]
    if kind != "SOP Class":
        return False
    # Two retired classes of the storage branch have an empty name in the registry.
    return ("Storage" in name and "Storage Commitment" not in name) or not name


def choose(
    context: ProposedContext, services: Collection[str] = (), common: CommonExtended | None = None
) -> ContextResult:
    """Answer one proposed context; `services` are SOP classes beyond storage and verification that are offered.

    `common` is what the requestor says of an SOP class that we may not know.

    The requestor's order counts, with four ranks before it: Explicit VR and all compressed syntaxes, then Implicit VR
    (a sender that converts to it loses the VRs of private elements), then big endian, then syntaxes unknown to us.
    """
    first = context.transfer_syntaxes[0] if context.transfer_syntaxes else IMPLICIT_LITTLE
    if context.abstract_syntax in services:
        return _choose_service(context, first)
    if context.abstract_syntax != VERIFICATION and not is_storage(context.abstract_syntax, common):
        return ContextResult(context.context_id, ABSTRACT_SYNTAX_NOT_SUPPORTED, first)
    usable = [uid for uid in context.transfer_syntaxes if uid and not uid.startswith(_NO_DATASET)]
    if not usable:
        return ContextResult(context.context_id, TRANSFER_SYNTAXES_NOT_SUPPORTED, first)
    return ContextResult(context.context_id, ACCEPTED, min(usable, key=_rank))  # min keeps the requestor's order


def _choose_service(context: ProposedContext, first: str) -> ContextResult:
    """Data sets of services are read and written here, not passed on: the two syntaxes that everybody speaks are enough."""
    usable = [uid for uid in context.transfer_syntaxes if uid in (EXPLICIT_LITTLE, IMPLICIT_LITTLE)]
    if not usable:
        return ContextResult(context.context_id, TRANSFER_SYNTAXES_NOT_SUPPORTED, first)
    return ContextResult(context.context_id, ACCEPTED, usable[0])


def choose_all(
    contexts: Iterable[ProposedContext], services: Collection[str] = (), common: Iterable[CommonExtended] = ()
) -> tuple[ContextResult, ...]:
    """Answer all proposed contexts in their order; `services` and `common` as in `choose`."""
    said = {one.sop_class_uid: one for one in common}
    return tuple(choose(context, services, said.get(context.abstract_syntax)) for context in contexts)


def contradicts(sop_class_uid: str, abstract_syntax: str) -> bool:
    """Whether a request names a SOP class of the standard that is not the one of its context (PS3.7 section 9.1.1.1.9).

    Anything else that differs is a sender's slip of the pen (DCMTK writes 31 for a UID whose VR was lost on the way).
    """
    return sop_class_uid != abstract_syntax and sop_class_uid in UIDS


def answer_user(asked: UserInformation, stored: Collection[str]) -> UserInformation:
    """Our user information for an acceptance, without maximum length and roles; `stored` are the SOP classes accepted
    for storage.

    Users are not authenticated: who names one is accepted like everybody else, and confirmed if it asks for that
    (PS3.7 section D.3.3.7.2; only for a name, with or without passcode: what else would need an answer of its kind).
    """
    who = asked.identity
    confirmed = who is not None and who.wants_response and who.kind in (USERNAME, PASSCODE)
    return UserInformation(
        operations=(1, 1) if asked.operations is not None else None,
        extended=tuple(
            ExtendedNegotiation(said.sop_class_uid, STORAGE_INFORMATION)
            for said in {one.sop_class_uid: one for one in asked.extended}.values()
            if said.sop_class_uid in stored
        ),
        identity_answer=b"" if confirmed else None,
    )


def choose_roles(proposed: Iterable[RoleSelection], services: Collection[str]) -> tuple[RoleSelection, ...]:
    """Answer the proposed roles for `services`, of which we play both sides; others get no answer: the default counts."""
    return tuple(role for role in proposed if role.sop_class_uid in services)


def _rank(transfer_syntax: str) -> int:
    if transfer_syntax == IMPLICIT_LITTLE:
        return 1
    if transfer_syntax == EXPLICIT_BIG:
        return 2
    if transfer_syntax in UIDS:
        return 0
    return 3 if transfer_syntax.startswith(_DICOM_ROOT) else 4
