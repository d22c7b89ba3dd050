"""Where the data set of a Part 10 file starts, and what its file meta information says (PS3.10 section 7.1), whoever wrote it.

It must not read the data set itself. The files that scanpost itself writes are read by protocol/spool/part10.py.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple

from protocol.errors import UnreadableImage

_PREAMBLE_BYTES = 132
_FIRST_BYTES = 4096  # holds the file meta information of all but odd files
_MAX_META_BYTES = 1024 * 1024
_LONG_VRS = frozenset((b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_CLASS, _INSTANCE, _SYNTAX = 0x0002, 0x0003, 0x0010
DIRECTORY = "1.2.840.10008.1.3.10"


class FileStart(NamedTuple):
    """The data set is the `length` bytes from `offset` on."""

    offset: int
    length: int
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


def read_file_start(path: Path | str) -> FileStart:
    """Read the file meta information element by element: its group length (0002,0000) is wrong in too many files.

    Raises:
        UnreadableImage: no Part 10 file, a DICOMDIR, or the UIDs needed for sending are missing.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            size = os.fstat(fd).st_size
            head = os.pread(fd, _FIRST_BYTES, 0)
            found = _meta(head, complete=len(head) >= size)
            if found is None:
                found = _meta(os.pread(fd, _MAX_META_BYTES, 0), complete=True)
        finally:
            os.close(fd)
    except OSError as exc:
        raise UnreadableImage(f"cannot be read: {exc.strerror}") from exc
    assert found is not None
    offset, values = found
    sop_class, instance, syntax = (_text(values.get(element, b"")) for element in (_CLASS, _INSTANCE, _SYNTAX))
    if sop_class == DIRECTORY:
        raise UnreadableImage("a DICOMDIR is no image")
    if not (sop_class and instance and syntax) or offset >= size:
        raise UnreadableImage("the file meta information is incomplete")
    return FileStart(offset, size - offset, sop_class, instance, syntax)


def start_in(data: bytes) -> tuple[int, str]:
    """Where the data set begins in a file that is there as bytes, and its transfer syntax ("": none is named).

    Raises UnreadableImage: no Part 10 file, or its file meta information is cut off.
    """
    found = _meta(data, complete=True)
    assert found is not None
    offset, values = found
    if offset > len(data):
        raise UnreadableImage("the file meta information is cut off")
    return offset, _text(values.get(_SYNTAX, b""))


def _text(value: bytes) -> str:
    return value.rstrip(b"\0 ").decode("ascii", "backslashreplace")


def _meta(data: bytes, complete: bool) -> tuple[int, dict[int, bytes]] | None:
    """(offset of the dataset, element number of group 0002 -> value); None: the meta information may go on behind
    `data`, which is not `complete`.
    """
    if data[128:132] != b"DICM":
        raise UnreadableImage(
            "a dataset without file meta information (no Part 10 file)" if looks_like_dataset(data) else "no DICOM file"
        )
    offset = _PREAMBLE_BYTES
    values: dict[int, bytes] = {}
    while True:
        if len(data) < offset + 12 and not complete:
            return None
        if data[offset : offset + 2] != b"\x02\x00" or len(data) < offset + 8:
            return offset, values
        element = int.from_bytes(data[offset + 2 : offset + 4], "little")
        if data[offset + 4 : offset + 6] in _LONG_VRS:
            length, size = int.from_bytes(data[offset + 8 : offset + 12], "little"), 12
        else:
            length, size = int.from_bytes(data[offset + 6 : offset + 8], "little"), 8
        if offset + size + length > _MAX_META_BYTES:
            raise UnreadableImage("the file meta information is too long")
        if len(data) < offset + size + length and not complete:
            return None
        values[element] = data[offset + size : offset + size + length]
        offset += size + length


def looks_like_dataset(data: bytes) -> bool:
    """Whether the bytes begin like a dataset: an element of group 0002, 0004 or 0008, whose length is no nonsense.

    Older programs write files without preamble and meta information; their transfer syntax can only be guessed.
    """
    if len(data) < 8:
        return False
    for order in ("<", ">"):
        group, element, length = struct.unpack_from(f"{order}HHI", data)
        if group in (0x0002, 0x0004, 0x0008) and element < 0x3000:
            explicit = data[4:6].isalpha() and data[4:6].isupper()
            if explicit or (order == "<" and length < 1024):
                return True
    return False
