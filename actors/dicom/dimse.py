"""DIMSE command sets (PS3.7 section 6.3 and Annex E): the few commands scanpost speaks, as bytes and back.

It must not know about PDUs or sockets, and it never looks into a dataset.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from actors.dicom.pdus import InvalidPdu, uid_text

C_STORE_RQ, C_STORE_RSP = 0x0001, 0x8001
C_ECHO_RQ, C_ECHO_RSP = 0x0030, 0x8030
C_CANCEL_RQ = 0x0FFF
N_EVENT_REPORT_RQ, N_EVENT_REPORT_RSP = 0x0100, 0x8100
N_ACTION_RQ, N_ACTION_RSP = 0x0130, 0x8130
RESPONSE = 0x8000  # this bit makes a response of a request's command field

# Elements of group 0000, PS3.7 Annex E
AFFECTED_CLASS, REQUESTED_CLASS, COMMAND_FIELD, MESSAGE_ID, ANSWERED_ID = 0x0002, 0x0003, 0x0100, 0x0110, 0x0120
PRIORITY, DATA_SET_TYPE, STATUS, ERROR_COMMENT = 0x0700, 0x0800, 0x0900, 0x0902
AFFECTED_INSTANCE, REQUESTED_INSTANCE = 0x1000, 0x1001
EVENT_TYPE, ACTION_TYPE = 0x1002, 0x1008

NO_DATA_SET, HAS_DATA_SET = 0x0101, 0x0001
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"  # in which command sets are written

_ELEMENT = struct.Struct("<HHI")
_GROUP_LENGTH = struct.Struct("<HHII")
_FOUR_NUMBERS = struct.Struct("<" + "HHIH" * 4)
_NO_LENGTH = 0xFFFFFFFF
MESSAGE_ID_HEADER = _ELEMENT.pack(0, MESSAGE_ID, 2)
_PLAIN_BEFORE_ID = (
    _ELEMENT.pack(0, COMMAND_FIELD, 2) + C_STORE_RSP.to_bytes(2, "little") + _ELEMENT.pack(0, ANSWERED_ID, 2)
)
_PLAIN_AFTER_ID = (
    _ELEMENT.pack(0, DATA_SET_TYPE, 2) + NO_DATA_SET.to_bytes(2, "little") + _ELEMENT.pack(0, STATUS, 2) + b"\0\0"
)


@dataclass(slots=True)
class Command:
    """A decoded command set: element number of group 0000 -> raw value."""

    elements: dict[int, bytes]

    def number(self, element: int, default: int | None = None) -> int:
        """An element of VR US.

        Raises:
            InvalidPdu: it is missing (and there is no default) or not two bytes long.
        """
        value = self.elements.get(element)
        if value is None and default is not None:
            return default
        if value is None or len(value) != 2:
            raise InvalidPdu(f"command element (0000,{element:04X}) is missing or no 16-bit number")
        return int.from_bytes(value, "little")

    def uid(self, element: int) -> str:
        """An element of VR UI as text; empty if missing."""
        return uid_text(self.elements.get(element, b""))

    def text(self, element: int) -> str:
        """A short text as the peer wrote it, unprintable characters replaced by ``?``."""
        raw = self.elements.get(element, b"").strip(b"\0 ").decode("ascii", "replace")
        return "".join(char if " " <= char <= "~" else "?" for char in raw)[:64]

    @property
    def field(self) -> int:
        """What it asks for, or answers."""
        return self.number(COMMAND_FIELD)

    @property
    def has_data_set(self) -> bool:
        return self.number(DATA_SET_TYPE, NO_DATA_SET) != NO_DATA_SET


def encode(elements: dict[int, int | bytes | str]) -> bytes:
    """A command set in Implicit VR Little Endian with its group length (PS3.7 section 6.3.1).

    Numbers are written as US, texts as UI padded with NUL, bytes as they are.
    """
    body = bytearray()
    for element in sorted(elements):
        value = elements[element]
        if isinstance(value, int):
            raw = value.to_bytes(2, "little")
        elif isinstance(value, str):
            raw = value.encode("ascii", "replace")
        else:
            raw = value
        raw += b"\0" * (len(raw) % 2)
        body += _ELEMENT.pack(0, element, len(raw)) + raw
    return _ELEMENT.pack(0, 0, 4) + struct.pack("<I", len(body)) + bytes(body)


def decode(data: bytes | bytearray | memoryview) -> Command:
    """Read a command set.

    Raises:
        InvalidPdu: it is cut off or holds an element of another group.
    """
    elements: dict[int, bytes] = {}
    position = 0
    while position < len(data):
        if len(data) - position < 8:
            raise InvalidPdu("the command set is cut off")
        group, element, length = _ELEMENT.unpack_from(data, position)
        position += 8
        if group != 0 or length == _NO_LENGTH or position + length > len(data):
            raise InvalidPdu("the command set cannot be read")
        elements[element] = bytes(data[position : position + length])
        position += length
    return Command(elements)


def store_request(message_id: int, sop_class_uid: str, sop_instance_uid: str) -> bytes:
    """C-STORE-RQ of medium priority, PS3.7 section 9.3.1.1."""
    return encode(
        {
            AFFECTED_CLASS: sop_class_uid,
            COMMAND_FIELD: C_STORE_RQ,
            MESSAGE_ID: message_id,
            PRIORITY: 0,
            DATA_SET_TYPE: HAS_DATA_SET,
            AFFECTED_INSTANCE: sop_instance_uid,
        }
    )


def is_plain_success(data: bytes | bytearray, start: int, end: int, message_id: int) -> bool:
    """Whether the command set data[start:end] is a C-STORE-RSP of status 0000 to this message, in the usual order.

    False only means that `decode` has to look: it says nothing about the answer.
    """
    if data[start : start + 4] == b"\0\0\0\0":  # the group length, which is not to be relied on
        start += 12
    if data[start : start + 4] == b"\0\0\2\0":
        start += 8 + int.from_bytes(data[start + 4 : start + 8], "little")
    block = _PLAIN_BEFORE_ID + message_id.to_bytes(2, "little") + _PLAIN_AFTER_ID
    stop = start + len(block)
    return stop <= end and data[start:stop] == block


def echo_request(message_id: int) -> bytes:
    """C-ECHO-RQ, PS3.7 section 9.3.5.1."""
    return encode(
        {
            AFFECTED_CLASS: VERIFICATION,
            COMMAND_FIELD: C_ECHO_RQ,
            MESSAGE_ID: message_id,
            DATA_SET_TYPE: NO_DATA_SET,
        }
    )


def action_request(message_id: int, sop_class_uid: str, sop_instance_uid: str, action_type: int) -> bytes:
    """N-ACTION-RQ with a data set, PS3.7 section 10.3.5.1."""
    return encode(
        {
            REQUESTED_CLASS: sop_class_uid,
            COMMAND_FIELD: N_ACTION_RQ,
            MESSAGE_ID: message_id,
            DATA_SET_TYPE: HAS_DATA_SET,
            REQUESTED_INSTANCE: sop_instance_uid,
            ACTION_TYPE: action_type,
        }
    )


def event_report_request(message_id: int, sop_class_uid: str, sop_instance_uid: str, event_type: int) -> bytes:
    """N-EVENT-REPORT-RQ with a data set, PS3.7 section 10.3.1.1."""
    return encode(
        {
            AFFECTED_CLASS: sop_class_uid,
            COMMAND_FIELD: N_EVENT_REPORT_RQ,
            MESSAGE_ID: message_id,
            DATA_SET_TYPE: HAS_DATA_SET,
            AFFECTED_INSTANCE: sop_instance_uid,
            EVENT_TYPE: event_type,
        }
    )


def response_to(request: Command, status: int) -> bytes:
    """The response to any request, with its UIDs repeated byte for byte (PS3.7 section 9.3)."""
    found = request.elements
    # A DIMSE-N request names its object as "requested", the response as "affected": the two are the same object.
    sop_class = found.get(AFFECTED_CLASS, found.get(REQUESTED_CLASS))
    instance = found.get(AFFECTED_INSTANCE, found.get(REQUESTED_INSTANCE))
    field, answered = request.field | RESPONSE, request.number(MESSAGE_ID)
    if sop_class and instance and not (len(sop_class) | len(instance)) & 1:
        return _usual_response(sop_class, instance, field, answered, status)
    elements: dict[int, int | bytes | str] = {
        COMMAND_FIELD: field, ANSWERED_ID: answered, DATA_SET_TYPE: NO_DATA_SET, STATUS: status,
    }  # fmt: skip
    if sop_class is not None:
        elements[AFFECTED_CLASS] = sop_class
    if instance is not None:
        elements[AFFECTED_INSTANCE] = instance
    return encode(elements)


def _usual_response(sop_class: bytes, instance: bytes, field: int, answered: int, status: int) -> bytes:
    """What `encode` would make, in a tenth of the time: every image has one."""
    numbers = _FOUR_NUMBERS.pack(
        0, COMMAND_FIELD, 2, field, 0, ANSWERED_ID, 2, answered, 0, DATA_SET_TYPE, 2, NO_DATA_SET, 0, STATUS, 2, status
    )
    size = len(sop_class) + len(numbers) + len(instance) + 2 * _ELEMENT.size
    return b"".join((
        _GROUP_LENGTH.pack(0, 0, 4, size), _ELEMENT.pack(0, AFFECTED_CLASS, len(sop_class)), sop_class, numbers,
        _ELEMENT.pack(0, AFFECTED_INSTANCE, len(instance)), instance,
    ))  # fmt: skip
