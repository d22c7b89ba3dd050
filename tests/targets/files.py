"""Files that a target has, taken apart by pydicom. It must not use what it judges."""

from __future__ import annotations

from io import BytesIO

import pydicom

_BEFORE_GROUP = 128 + 4 + 12  # preamble, prefix, and the element with the length of the rest (PS3.10 section 7.1)


def dataset_in(data: bytes) -> tuple[str, bytes]:
    """(SOP instance UID, data set bytes) of a Part 10 file."""
    meta = pydicom.dcmread(BytesIO(data), stop_before_pixels=True).file_meta
    return str(meta.MediaStorageSOPInstanceUID), data[_BEFORE_GROUP + meta.FileMetaInformationGroupLength :]
