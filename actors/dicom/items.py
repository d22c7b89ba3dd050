"""Items of association PDUs (PS3.8 section 9.3.1): a type, a length, a value; and the texts in them.

It must not know what any item is for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from protocol.errors import AssociationAborted

_ITEM = struct.Struct(">BxH")
INVALID_PARAMETER = 6  # reason of an abort by the provider, PS3.8 table 9-26


class InvalidPdu(AssociationAborted):
    """The peer sent bytes that are no valid PDU here; `code` is the reason of the A-ABORT (PS3.8 table 9-26)."""

    def __init__(self, message: str, code: int = INVALID_PARAMETER) -> None:
        self.code = code
        super().__init__(message, retryable=True)


def item(kind: int, value: bytes) -> bytes:
    """One item. `value` must be shorter than 64 KiB."""
    return _ITEM.pack(kind, len(value)) + value


def items(data: bytes, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """All items from `start` on as (type, value).

    Raises:
        InvalidPdu: one is cut off.
    """
    while start < len(data):
        if len(data) - start < 4:
            raise InvalidPdu("an item's header is cut off")
        kind, length = _ITEM.unpack_from(data, start)
        start += 4
        if start + length > len(data):
            raise InvalidPdu(f"item {kind:02X} is longer than the PDU")
        yield kind, data[start : start + length]
        start += length


def counted(value: bytes) -> bytes:
    """A field with its 16-bit length before it, as PS3.7 Annex D nests them."""
    return struct.pack(">H", len(value)) + value


def take_counted(data: bytes, start: int, what: str) -> tuple[bytes, int]:
    """A field with its 16-bit length before it, and where the next one begins.

    Raises:
        InvalidPdu: it is cut off; `what` names it.
    """
    begin = start + 2
    stop = begin + int.from_bytes(data[start:begin], "big")
    if stop > len(data):
        raise InvalidPdu(f"{what} is cut off")
    return data[begin:stop], stop


def uid_text(value: bytes) -> str:
    """A UID as text without its padding; bytes that are not ASCII stay visible as ``\\xNN``."""
    return value.rstrip(b"\0 ").decode("ascii", "backslashreplace")


def uid_bytes(uid: str) -> bytes:
    """A UID as it stands in an item, without padding."""
    return uid.encode("ascii", "replace")


def title_text(value: bytes) -> str:
    """An AE title as text: padding (some devices pad with NUL) removed, everything unprintable replaced by ``?``."""
    text = value.strip(b"\0 ").decode("ascii", "replace")
    return "".join(char if " " <= char <= "~" else "?" for char in text)
