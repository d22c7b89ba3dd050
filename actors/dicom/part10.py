"""A Part 10 file as an image to send. It must not read the dataset itself."""

from __future__ import annotations

from pathlib import Path

from actors.dicom.frame import OutgoingImage
from protocol.header.filemeta import read_file_start


def read_part10(path: Path | str) -> OutgoingImage:
    """What sending a file needs of its file meta information (PS3.10 section 7.1).

    Raises:
        UnreadableImage: no Part 10 file, a DICOMDIR, or the UIDs needed for sending are missing.
    """
    start = read_file_start(path)
    return OutgoingImage(
        path, start.offset, start.sop_class_uid, start.sop_instance_uid, start.transfer_syntax_uid, start.length
    )
