"""User information of association PDUs (PS3.7 Annex D.3.3, PS3.8 Annex D) as values and as bytes.

It must not decide what is accepted (negotiation.py does), and nothing of a user's identity may reach a log: it is
left out of every text that a value makes of itself.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import field, replace
from typing import Any

from actors.dicom.items import InvalidPdu, counted, item, items, take_counted, title_text, uid_bytes, uid_text
from protocol.records import record
from protocol.version import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION

USERNAME, PASSCODE, KERBEROS, SAML, JWT = range(1, 6)  # types of user identity, PS3.7 table D.3-14


@record
class RoleSelection:
    """Which roles the requestor of the association plays (or may play) for a SOP class, PS3.7 section D.3.3.4.

    Without one for its class the requestor is SCU and the acceptor SCP.
    """

    sop_class_uid: str
    scu: bool
    scp: bool


@record
class ExtendedNegotiation:
    """What both sides tell each other about one SOP class, PS3.7 section D.3.3.5; the bytes mean what its service says."""

    sop_class_uid: str
    information: bytes


@record
class CommonExtended:
    """What kind of SOP class one is, PS3.7 section D.3.3.6: its service class, and the classes it specialises."""

    sop_class_uid: str
    service_class_uid: str
    related: tuple[str, ...] = ()


@record
class UserIdentity:
    """Who uses the requestor, PS3.7 section D.3.3.7.1. Printing it shows the type only."""

    kind: int
    wants_response: bool
    primary: bytes = field(repr=False)
    secondary: bytes = field(default=b"", repr=False)


@record
class UserInformation:
    """All of the user information item; the defaults are what scanpost says of itself.

    `operations` is the asynchronous operations window (invoked, performed; 0: any number), None without the item.
    `identity` belongs into a request, `identity_answer` into an acceptance.
    """

    max_pdu: int = 0
    implementation_class_uid: str = IMPLEMENTATION_CLASS_UID
    implementation_version: str = IMPLEMENTATION_VERSION
    operations: tuple[int, int] | None = None
    roles: tuple[RoleSelection, ...] = ()
    extended: tuple[ExtendedNegotiation, ...] = ()
    common: tuple[CommonExtended, ...] = ()
    identity: UserIdentity | None = None
    identity_answer: bytes | None = field(default=None, repr=False)

    def encode(self) -> bytes:
        """The whole item, sub-items in the order of their types."""
        parts = [item(0x51, struct.pack(">I", self.max_pdu)), item(0x52, uid_bytes(self.implementation_class_uid))]
        if self.operations is not None:
            parts.append(item(0x53, struct.pack(">HH", *self.operations)))
        for role in self.roles:
            parts.append(item(0x54, counted(uid_bytes(role.sop_class_uid)) + bytes((role.scu, role.scp))))
        if self.implementation_version:
            parts.append(item(0x55, self.implementation_version.encode("ascii", "replace")[:16]))
        for said in self.extended:
            parts.append(item(0x56, counted(uid_bytes(said.sop_class_uid)) + said.information))
        for known in self.common:
            related = b"".join(counted(uid_bytes(uid)) for uid in known.related)
            names = counted(uid_bytes(known.sop_class_uid)) + counted(uid_bytes(known.service_class_uid))
            parts.append(item(0x57, names + counted(related)))
        if self.identity is not None:
            who = self.identity
            parts.append(
                item(0x58, bytes((who.kind, who.wants_response)) + counted(who.primary) + counted(who.secondary))
            )
        if self.identity_answer is not None:
            parts.append(item(0x59, counted(self.identity_answer)))
        return item(0x50, b"".join(parts))

    @classmethod
    def decode(cls, value: bytes) -> UserInformation:
        """Read the item's value. Unknown sub-items are skipped; of those that may come once the last counts.

        Raises:
            InvalidPdu: a sub-item is cut off.
        """
        single: dict[str, Any] = {}
        several: dict[str, list[Any]] = {}
        for kind, sub in items(value):
            name, read = _READERS.get(kind, (None, None))
            if name is None or read is None:
                continue
            if name in _SEVERAL:
                several.setdefault(name, []).append(read(sub))
            else:
                single[name] = read(sub)
        single.update((name, tuple(values)) for name, values in several.items())
        return replace(NOTHING, **single)


NOTHING = UserInformation(implementation_class_uid="", implementation_version="")
"""What a peer has said that said nothing."""

_SEVERAL = frozenset({"roles", "extended", "common"})


def _exactly(value: bytes, size: int, what: str) -> bytes:
    if len(value) != size:
        raise InvalidPdu(f"{what} of {len(value)} bytes instead of {size}")
    return value


def _operations(value: bytes) -> tuple[int, int]:
    invoked, performed = struct.unpack(">HH", _exactly(value, 4, "the asynchronous operations window"))
    return invoked, performed


def _role(value: bytes) -> RoleSelection:
    uid, at = take_counted(value, 0, "a role selection item")
    roles = _exactly(value[at:], 2, "the roles of a role selection item")
    return RoleSelection(uid_text(uid), roles[0] == 1, roles[1] == 1)


def _extended(value: bytes) -> ExtendedNegotiation:
    uid, at = take_counted(value, 0, "an extended negotiation item")
    return ExtendedNegotiation(uid_text(uid), value[at:])


def _common(value: bytes) -> CommonExtended:
    what = "a common extended negotiation item"
    uid, at = take_counted(value, 0, what)
    service, at = take_counted(value, at, what)
    related, _ = take_counted(value, at, what)  # what may follow is reserved
    uids, at = [], 0
    while at < len(related):
        one, at = take_counted(related, at, what)
        uids.append(uid_text(one))
    return CommonExtended(uid_text(uid), uid_text(service), tuple(uids))


def _identity(value: bytes) -> UserIdentity:
    what = "a user identity item"
    primary, at = take_counted(value, 2, what)
    secondary, _ = take_counted(value, at, what)
    return UserIdentity(value[0], value[1] == 1, primary, secondary)


_READERS: dict[int, tuple[str, Callable[[bytes], Any]]] = {
    0x51: ("max_pdu", lambda value: int.from_bytes(_exactly(value, 4, "the maximum length"), "big")),
    0x52: ("implementation_class_uid", uid_text),
    0x53: ("operations", _operations),
    0x54: ("roles", _role),
    0x55: ("implementation_version", lambda value: title_text(value)[:16]),
    0x56: ("extended", _extended),
    0x57: ("common", _common),
    0x58: ("identity", _identity),
    0x59: ("identity_answer", lambda value: take_counted(value, 0, "a user identity answer")[0]),
}
