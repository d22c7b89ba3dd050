"""Association PDUs of PS3.8 section 9.3 (request, accept, reject, release, abort) as values and as bytes.

It must not touch a socket or decide what is accepted: upper.py moves the bytes, negotiation.py decides.
"""

from __future__ import annotations

import struct
from dataclasses import field, replace

from actors.dicom.items import INVALID_PARAMETER, InvalidPdu, item, items, title_text, uid_bytes, uid_text
from actors.dicom.userinfo import NOTHING, RoleSelection, UserInformation
from protocol.causes import Cause
from protocol.records import record

__all__ = ["INVALID_PARAMETER", "InvalidPdu", "RoleSelection", "title_text", "uid_text"]  # used from here

# PDU types, PS3.8 table 9-1
ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"  # the DICOM application context, PS3.7 Annex A

# Reasons of an abort by the provider, PS3.8 table 9-26
UNRECOGNISED_PDU, UNEXPECTED_PDU = 1, 2

# Results of a presentation context, PS3.8 table 9-18
ACCEPTED, ABSTRACT_SYNTAX_NOT_SUPPORTED, TRANSFER_SYNTAXES_NOT_SUPPORTED = 0, 3, 4

HEAD = 68
"""Bytes of a request's or an acceptance's body before its items: version, reserved, AE titles."""

_HEADER = struct.Struct(">BxI")

_REJECT_WORDS = {
    (1, 1): "no reason given",
    (1, 2): "application context not supported",
    (1, 3): "calling AE title not recognised",
    (1, 7): "called AE title not recognised",
    (2, 1): "no reason given by the upper layer",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}
_ABORT_WORDS = {
    0: "no reason given",
    1: "unrecognised PDU",
    2: "unexpected PDU",
    4: "unrecognised PDU parameter",
    5: "unexpected PDU parameter",
    6: "invalid PDU parameter",
}


@record
class ProposedContext:
    """One presentation context as proposed."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@record
class ContextResult:
    """The acceptor's answer to one proposed context; `transfer_syntax` counts only if `result` is ACCEPTED."""

    context_id: int
    result: int
    transfer_syntax: str


@record
class AssociateRq:
    """A-ASSOCIATE-RQ, PS3.8 section 9.3.2. `max_pdu` 0 is unlimited; `titles` keeps the raw AE title fields.

    `user` is the rest of the user information; `max_pdu` and `roles` stand beside it and count. `items` is what was decoded,
    without the head that `with_head` changes.
    """

    called_ae: str
    calling_ae: str
    contexts: tuple[ProposedContext, ...]
    max_pdu: int
    version: int = 1
    application_context: str = APPLICATION_CONTEXT
    titles: bytes = b""
    roles: tuple[RoleSelection, ...] = ()
    user: UserInformation = UserInformation()
    items: bytes = field(default=b"", repr=False, compare=False)

    def encode(self) -> bytes:
        parts = [item(0x10, uid_bytes(self.application_context))]
        for context in self.contexts:
            syntaxes = b"".join(item(0x40, uid_bytes(uid)) for uid in context.transfer_syntaxes)
            body = bytes((context.context_id, 0, 0, 0)) + item(0x30, uid_bytes(context.abstract_syntax))
            parts.append(item(0x20, body + syntaxes))
        parts.append(replace(self.user, max_pdu=self.max_pdu, roles=self.roles).encode())
        titles = _pad_title(self.called_ae) + _pad_title(self.calling_ae) + bytes(32)
        return _pdu(ASSOCIATE_RQ, struct.pack(">HH", 1, 0) + titles + b"".join(parts))

    @classmethod
    def decode(cls, body: bytes) -> AssociateRq:
        """Read the PDU's body (without the 6 bytes of header). Unknown items are skipped, PS3.8 section 9.3.1.

        Raises:
            InvalidPdu: lengths or mandatory fields are wrong.
        """
        if len(body) < HEAD:
            raise InvalidPdu("A-ASSOCIATE-RQ is too short")
        contexts: list[ProposedContext] = []
        application, user = "", NOTHING
        for kind, value in items(body, HEAD):
            if kind == 0x10:
                application = uid_text(value)
            elif kind == 0x20:
                contexts.append(_proposed_context(value))
            elif kind == 0x50:
                user = UserInformation.decode(value)
        decoded = cls(
            "", "", tuple(contexts), user.max_pdu, application_context=application, roles=user.roles, user=user,
            items=body[HEAD:],
        )  # fmt: skip
        return decoded.with_head(body)

    def with_head(self, body: bytes) -> AssociateRq:
        """The same proposal under the version and the AE titles of another body, which has HEAD bytes at least."""
        return replace(
            self, called_ae=title_text(body[4:20]), calling_ae=title_text(body[20:36]),
            version=int.from_bytes(body[:2], "big"), titles=body[4:HEAD],
        )  # fmt: skip


@record
class AssociateAc:
    """A-ASSOCIATE-AC, PS3.8 section 9.3.3. `titles` repeats the request's 64 bytes, as the standard asks; `user` as there."""

    contexts: tuple[ContextResult, ...]
    max_pdu: int
    titles: bytes = bytes(64)
    roles: tuple[RoleSelection, ...] = ()
    user: UserInformation = UserInformation()

    def encode(self) -> bytes:
        parts = [item(0x10, uid_bytes(APPLICATION_CONTEXT))]
        for context in self.contexts:
            syntax = item(0x40, uid_bytes(context.transfer_syntax))
            parts.append(item(0x21, bytes((context.context_id, 0, context.result, 0)) + syntax))
        parts.append(replace(self.user, max_pdu=self.max_pdu, roles=self.roles).encode())
        return _pdu(ASSOCIATE_AC, struct.pack(">HH", 1, 0) + self.titles + b"".join(parts))

    @classmethod
    def decode(cls, body: bytes) -> AssociateAc:
        """Read the PDU's body.

        Raises:
            InvalidPdu: lengths or mandatory fields are wrong.
        """
        if len(body) < HEAD:
            raise InvalidPdu("A-ASSOCIATE-AC is too short")
        contexts: list[ContextResult] = []
        user = NOTHING
        for kind, value in items(body, HEAD):
            if kind == 0x21:
                if len(value) < 4:
                    raise InvalidPdu("a presentation context is too short")
                syntax = next((uid_text(sub) for code, sub in items(value, 4) if code == 0x40), "")
                contexts.append(ContextResult(value[0], value[2], syntax))
            elif kind == 0x50:
                user = UserInformation.decode(value)
        return cls(tuple(contexts), user.max_pdu, body[4:HEAD], user.roles, user)


def with_titles(acceptance: bytes, titles: bytes) -> bytes:
    """An encoded A-ASSOCIATE-AC with these `titles` (see AssociateAc) instead of its own."""
    start = _HEADER.size + 4
    return acceptance[:start] + titles + acceptance[start + len(titles) :]


def encode_reject(result: int, source: int, reason: int) -> bytes:
    """A-ASSOCIATE-RJ, PS3.8 section 9.3.4."""
    return _pdu(ASSOCIATE_RJ, bytes((0, result, source, reason)))


def encode_abort(source: int, reason: int) -> bytes:
    """A-ABORT, PS3.8 section 9.3.8; source 0 is the service user, 2 the provider."""
    return _pdu(ABORT, bytes((0, 0, source, reason)))


RELEASE_RQ_PDU = _HEADER.pack(RELEASE_RQ, 4) + bytes(4)
RELEASE_RP_PDU = _HEADER.pack(RELEASE_RP, 4) + bytes(4)


def reject_words(body: bytes) -> tuple[str, bool]:
    """Words for the body of an A-ASSOCIATE-RJ (PS3.8 table 9-21), and whether repeating can help.

    Only what cannot change by waiting (application context, protocol version) is final: people register AE titles
    late, and archives refuse "permanently" while they are being maintained.
    """
    result, source, reason = (body + bytes(4))[1:4]
    how = "transiently" if result == 2 else "permanently"
    words = _REJECT_WORDS.get((source, reason), f"source {source}, reason {reason}")
    return f"rejected {how}: {words}", result == 2 or (source, reason) not in ((1, 2), (2, 2))


def reject_cause(body: bytes) -> Cause:
    """What a person has to mend: AE titles, nothing but patience, or something else (PS3.8 table 9-21)."""
    result, source, reason = (body + bytes(4))[1:4]
    if (source, reason) in ((1, 3), (1, 7)):
        return Cause.UNKNOWN_AE
    return Cause.BUSY if result == 2 or source == 3 else Cause.REJECTED


def abort_words(body: bytes) -> str:
    """Words for the body of an A-ABORT, PS3.8 table 9-26."""
    source, reason = (body + bytes(4))[2:4]
    if source == 0:
        return "aborted by the peer's application"
    return f"aborted by the peer's upper layer: {_ABORT_WORDS.get(reason, f'reason {reason}')}"


def _pdu(kind: int, body: bytes) -> bytes:
    return _HEADER.pack(kind, len(body)) + body


def _pad_title(title: str) -> bytes:
    return title.encode("ascii", "replace")[:16].ljust(16)


def _proposed_context(value: bytes) -> ProposedContext:
    if len(value) < 4:
        raise InvalidPdu("a presentation context is too short")
    abstract, syntaxes = "", []
    for kind, sub in items(value, 4):
        if kind == 0x30:
            abstract = uid_text(sub)
        elif kind == 0x40:
            syntaxes.append(uid_text(sub))
    return ProposedContext(value[0], abstract, tuple(syntaxes))
