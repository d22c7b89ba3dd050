"""Where the dataset of a Part 10 file starts, and what its file meta information says (PS3.10 section 7.1).

It must not read the dataset itself.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from actors.dicom.pdus import uid_text
from actors.dicom.scu import OutgoingImage
from protocol.errors import UnreadableImage

_PREAMBLE_BYTES = 132
_MAX_META_BYTES = 1024 * 1024
_LONG_VRS = frozenset((b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_CLASS, _INSTANCE, _SYNTAX = 0x0002, 0x0003, 0x0010
DIRECTORY = "1.2.840.10008.1.3.10"


def read_part10(path: Path) -> OutgoingImage:
    """Read the file meta information element by element: its group length (0002,0000) is wrong in too many files.

    Raises:
        UnreadableImage: no Part 10 file, a DICOMDIR, or the UIDs needed for sending are missing.
    """
    try:
        with path.open("rb") as file:
            offset, values = _meta(file)
            has_dataset = bool(file.read(1))
    except OSError as exc:
        raise UnreadableImage(f"cannot be read: {exc.strerror}") from exc
    uids = [uid_text(values.get(element, b"")) for element in (_CLASS, _INSTANCE, _SYNTAX)]
    if not all(uids) or not has_dataset:
        raise UnreadableImage("the file meta information is incomplete")
    if uids[0] == DIRECTORY:
        raise UnreadableImage("a DICOMDIR is no image")
    return OutgoingImage(path, offset, *uids)


def _meta(file: BinaryIO) -> tuple[int, dict[int, bytes]]:
    """(offset of the dataset, element number of group 0002 -> value); leaves the file at the dataset."""
    preamble = file.read(_PREAMBLE_BYTES)
    if preamble[128:] != b"DICM":
        raise UnreadableImage("no DICOM Part 10 file")
    offset = _PREAMBLE_BYTES
    values: dict[int, bytes] = {}
    while True:
        header = file.read(8)
        if len(header) < 8 or header[:2] != b"\x02\x00":
            file.seek(offset)
            return offset, values
        element = int.from_bytes(header[2:4], "little")
        length, size = struct.unpack("<H", header[6:8])[0], 8
        if header[4:6] in _LONG_VRS:
            length, size = int.from_bytes(file.read(4), "little"), 12
        if offset + size + length > _MAX_META_BYTES:
            raise UnreadableImage("the file meta information is too long")
        values[element] = file.read(length)
        offset += size + length
