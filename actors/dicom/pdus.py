"""Association PDUs of PS3.8 section 9.3 (request, accept, reject, release, abort) as values and as bytes.

It must not touch a socket or decide what is accepted: upper.py moves the bytes, negotiation.py decides.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from protocol.errors import AssociationAborted
from protocol.version import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION

# PDU types, PS3.8 table 9-1
ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"  # the DICOM application context, PS3.7 Annex A

# Reasons of an abort by the provider, PS3.8 table 9-26
UNRECOGNISED_PDU, UNEXPECTED_PDU, INVALID_PARAMETER = 1, 2, 6

# Results of a presentation context, PS3.8 table 9-18
ACCEPTED, ABSTRACT_SYNTAX_NOT_SUPPORTED, TRANSFER_SYNTAXES_NOT_SUPPORTED = 0, 3, 4

_HEADER = struct.Struct(">BxI")
_ITEM = struct.Struct(">BxH")

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


class InvalidPdu(AssociationAborted):
    """The peer sent bytes that are no valid PDU here; `code` is the reason of the A-ABORT (PS3.8 table 9-26)."""

    def __init__(self, message: str, code: int = INVALID_PARAMETER) -> None:
        self.code = code
        super().__init__(message, retryable=True)


@dataclass(frozen=True)
class ProposedContext:
    """One presentation context as proposed."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True)
class ContextResult:
    """The acceptor's answer to one proposed context; `transfer_syntax` counts only if `result` is ACCEPTED."""

    context_id: int
    result: int
    transfer_syntax: str


@dataclass(frozen=True)
class RoleSelection:
    """Which roles the requestor of the association plays (or may play) for a SOP class, PS3.7 section D.3.3.4.

    Without one for its class the requestor is SCU and the acceptor SCP.
    """

    sop_class_uid: str
    scu: bool
    scp: bool


@dataclass(frozen=True)
class AssociateRq:
    """A-ASSOCIATE-RQ, PS3.8 section 9.3.2. `max_pdu` 0 is unlimited; `titles` keeps the raw AE title fields."""

    called_ae: str
    calling_ae: str
    contexts: tuple[ProposedContext, ...]
    max_pdu: int
    version: int = 1
    application_context: str = APPLICATION_CONTEXT
    titles: bytes = b""
    roles: tuple[RoleSelection, ...] = ()

    def encode(self) -> bytes:
        items = [_item(0x10, self.application_context.encode("ascii"))]
        for context in self.contexts:
            syntaxes = b"".join(_item(0x40, uid.encode("ascii", "replace")) for uid in context.transfer_syntaxes)
            body = bytes((context.context_id, 0, 0, 0)) + _item(
                0x30, context.abstract_syntax.encode("ascii", "replace")
            )
            items.append(_item(0x20, body + syntaxes))
        items.append(_user_information(self.max_pdu, self.roles))
        titles = _pad_title(self.called_ae) + _pad_title(self.calling_ae) + bytes(32)
        return _pdu(ASSOCIATE_RQ, struct.pack(">HH", 1, 0) + titles + b"".join(items))

    @classmethod
    def decode(cls, body: bytes) -> AssociateRq:
        """Read the PDU's body (without the 6 bytes of header). Unknown items are skipped, PS3.8 section 9.3.1.

        Raises:
            InvalidPdu: lengths or mandatory fields are wrong.
        """
        if len(body) < 68:
            raise InvalidPdu("A-ASSOCIATE-RQ is too short")
        contexts: list[ProposedContext] = []
        application, max_pdu = "", 0
        roles: tuple[RoleSelection, ...] = ()
        for kind, value in _items(body, 68):
            if kind == 0x10:
                application = uid_text(value)
            elif kind == 0x20:
                contexts.append(_proposed_context(value))
            elif kind == 0x50:
                max_pdu, roles = _max_pdu(value), _roles(value)
        return cls(
            called_ae=title_text(body[4:20]),
            calling_ae=title_text(body[20:36]),
            contexts=tuple(contexts),
            max_pdu=max_pdu,
            version=int.from_bytes(body[:2], "big"),
            application_context=application,
            titles=body[4:68],
            roles=roles,
        )


@dataclass(frozen=True)
class AssociateAc:
    """A-ASSOCIATE-AC, PS3.8 section 9.3.3. `titles` repeats the request's 64 bytes, as the standard asks."""

    contexts: tuple[ContextResult, ...]
    max_pdu: int
    titles: bytes = bytes(64)
    roles: tuple[RoleSelection, ...] = ()

    def encode(self) -> bytes:
        items = [_item(0x10, APPLICATION_CONTEXT.encode("ascii"))]
        for context in self.contexts:
            syntax = _item(0x40, context.transfer_syntax.encode("ascii", "replace"))
            items.append(_item(0x21, bytes((context.context_id, 0, context.result, 0)) + syntax))
        items.append(_user_information(self.max_pdu, self.roles))
        return _pdu(ASSOCIATE_AC, struct.pack(">HH", 1, 0) + self.titles + b"".join(items))

    @classmethod
    def decode(cls, body: bytes) -> AssociateAc:
        """Read the PDU's body.

        Raises:
            InvalidPdu: lengths or mandatory fields are wrong.
        """
        if len(body) < 68:
            raise InvalidPdu("A-ASSOCIATE-AC is too short")
        contexts: list[ContextResult] = []
        max_pdu = 0
        roles: tuple[RoleSelection, ...] = ()
        for kind, value in _items(body, 68):
            if kind == 0x21:
                if len(value) < 4:
                    raise InvalidPdu("a presentation context is too short")
                syntax = next((uid_text(sub) for code, sub in _items(value, 4) if code == 0x40), "")
                contexts.append(ContextResult(value[0], value[2], syntax))
            elif kind == 0x50:
                max_pdu, roles = _max_pdu(value), _roles(value)
        return cls(tuple(contexts), max_pdu, body[4:68], roles)


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


def abort_words(body: bytes) -> str:
    """Words for the body of an A-ABORT, PS3.8 table 9-26."""
    source, reason = (body + bytes(4))[2:4]
    if source == 0:
        return "aborted by the peer's application"
    return f"aborted by the peer's upper layer: {_ABORT_WORDS.get(reason, f'reason {reason}')}"


def uid_text(value: bytes) -> str:
    """A UID as text without its padding; bytes that are not ASCII stay visible as ``\\xNN``."""
    return value.rstrip(b"\0 ").decode("ascii", "backslashreplace")


def title_text(value: bytes) -> str:
    """An AE title as text: padding (some devices pad with NUL) removed, everything unprintable replaced by ``?``."""
    text = value.strip(b"\0 ").decode("ascii", "replace")
    return "".join(char if " " <= char <= "~" else "?" for char in text)


def _pdu(kind: int, body: bytes) -> bytes:
    return _HEADER.pack(kind, len(body)) + body


def _item(kind: int, value: bytes) -> bytes:
    return _ITEM.pack(kind, len(value)) + value


def _items(data: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    while start < len(data):
        if len(data) - start < 4:
            raise InvalidPdu("an item's header is cut off")
        kind, length = _ITEM.unpack_from(data, start)
        start += 4
        if start + length > len(data):
            raise InvalidPdu(f"item {kind:02X} is longer than the PDU")
        yield kind, data[start : start + length]
        start += length


def _pad_title(title: str) -> bytes:
    return title.encode("ascii", "replace")[:16].ljust(16)


def _proposed_context(value: bytes) -> ProposedContext:
    if len(value) < 4:
        raise InvalidPdu("a presentation context is too short")
    abstract, syntaxes = "", []
    for kind, sub in _items(value, 4):
        if kind == 0x30:
            abstract = uid_text(sub)
        elif kind == 0x40:
            syntaxes.append(uid_text(sub))
    return ProposedContext(value[0], abstract, tuple(syntaxes))


def _user_information(max_pdu: int, roles: tuple[RoleSelection, ...]) -> bytes:
    return _item(
        0x50,
        _item(0x51, struct.pack(">I", max_pdu))
        + _item(0x52, IMPLEMENTATION_CLASS_UID.encode("ascii"))
        + b"".join(map(_role_item, roles))
        + _item(0x55, IMPLEMENTATION_VERSION.encode("ascii")),
    )


def _max_pdu(value: bytes) -> int:
    for kind, sub in _items(value, 0):
        if kind == 0x51 and len(sub) == 4:
            return int.from_bytes(sub, "big")
    return 0


def _role_item(role: RoleSelection) -> bytes:
    """PS3.7 table D.3-9."""
    uid = role.sop_class_uid.encode("ascii", "replace")
    return _item(0x54, struct.pack(">H", len(uid)) + uid + bytes((role.scu, role.scp)))


def _roles(value: bytes) -> tuple[RoleSelection, ...]:
    roles = []
    for kind, sub in _items(value, 0):
        if kind == 0x54:
            if len(sub) < 4 or len(sub) != int.from_bytes(sub[:2], "big") + 4:
                raise InvalidPdu("a role selection item is cut off")
            roles.append(RoleSelection(uid_text(sub[2:-2]), sub[-2] == 1, sub[-1] == 1))
    return tuple(roles)
