"""Small DICOM data sets for tests: enough to be scanned, placed, ruled and sent. It makes no valid clinical objects."""

from __future__ import annotations

import struct

from protocol.records import record

EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
ROOT = "2.25.4711"


@record
class TestImage:
    """One object by numbers: study, series within it, instance within that; `content` tells versions of it apart."""

    __test__ = False  # pytest: no test class

    study: int = 1
    series: int = 1
    instance: int = 1
    content: bytes = b"pixels"
    modality: str = "CT"
    sop_class_uid: str = CT_IMAGE_STORAGE
    transfer_syntax_uid: str = EXPLICIT_VR_LITTLE_ENDIAN

    @property
    def study_uid(self) -> str:
        return f"{ROOT}.{self.study}"

    @property
    def series_uid(self) -> str:
        return f"{self.study_uid}.{self.series}"

    @property
    def sop_uid(self) -> str:
        return f"{self.series_uid}.{self.instance}"

    def dataset(self) -> bytes:
        """The data set in Explicit VR Little Endian (PS3.5 section 7.1), tags ascending."""
        return b"".join((
            _element(0x0008, 0x0016, b"UI", self.sop_class_uid.encode()),
            _element(0x0008, 0x0018, b"UI", self.sop_uid.encode()),
            _element(0x0008, 0x0060, b"CS", self.modality.encode()),
            _element(0x0010, 0x0010, b"PN", b"Test^Image"),
            _element(0x0010, 0x0020, b"LO", b"T1"),
            _element(0x0020, 0x000D, b"UI", self.study_uid.encode()),
            _element(0x0020, 0x000E, b"UI", self.series_uid.encode()),
            _element(0x0020, 0x0013, b"IS", str(self.instance).encode()),
            _element(0x7FE0, 0x0010, b"OB", self.content),
        ))  # fmt: skip


def _element(group: int, element: int, vr: bytes, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr in (b"UI", b"OB") else b" "
    if vr == b"OB":
        return struct.pack("<HH2sHL", group, element, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", group, element, vr, len(value)) + value
