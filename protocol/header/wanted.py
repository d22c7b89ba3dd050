"""Which elements the header scan keeps: the default set, what counts as patient data, and lookup tables by tag.

It must not read any object; it only knows names.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import NamedTuple

from pydicom.datadict import dictionary_keyword, dictionary_VR, tag_for_keyword

_PATIENT = """
    PatientName PatientID IssuerOfPatientID OtherPatientIDs PatientBirthDate PatientSex PatientAge PatientSize
    PatientWeight PatientComments PatientPosition PatientIdentityRemoved
"""
_STUDY = """
    StudyInstanceUID StudyID StudyDate StudyTime StudyDescription AccessionNumber ReferringPhysicianName
    RequestedProcedureDescription InstitutionName InstitutionalDepartmentName
"""
_SERIES = """
    SeriesInstanceUID SeriesNumber SeriesDate SeriesTime SeriesDescription Modality BodyPartExamined Laterality
    ImageLaterality ProtocolName OperatorsName PerformingPhysicianName PerformedProcedureStepDescription
    StationName Manufacturer ManufacturerModelName DeviceSerialNumber SoftwareVersions PresentationIntentType
    SeriesType
"""
_IMAGE = """
    SpecificCharacterSet SOPClassUID SOPInstanceUID InstanceNumber AcquisitionNumber AcquisitionDate
    AcquisitionTime AcquisitionDateTime ContentDate ContentTime TimezoneOffsetFromUTC ImageType ImageComments
    BurnedInAnnotation LossyImageCompression NumberOfFrames FrameOfReferenceUID TemporalPositionIdentifier
    DocumentTitle
"""
_GEOMETRY = """
    Rows Columns SamplesPerPixel PhotometricInterpretation BitsAllocated BitsStored PixelRepresentation
    PixelSpacing ImagerPixelSpacing SliceThickness SpacingBetweenSlices SliceLocation ImagePositionPatient
    ImageOrientationPatient WindowCenter WindowWidth RescaleIntercept RescaleSlope
"""
_ACQUISITION = """
    ContrastBolusAgent KVP XRayTubeCurrent Exposure ExposureTime ConvolutionKernel ReconstructionDiameter
    GantryDetectorTilt ScanningSequence SequenceVariant ScanOptions MRAcquisitionType SequenceName
    RepetitionTime EchoTime InversionTime FlipAngle EchoNumbers EchoTrainLength MagneticFieldStrength
    PixelBandwidth NumberOfAverages ReceiveCoilName DiffusionBValue TriggerTime AngioFlag Units CorrectedImage
    DecayCorrection Radiopharmaceutical NumberOfSlices ViewPosition
"""

DEFAULT_KEYWORDS: tuple[str, ...] = tuple(
    " ".join((_PATIENT, _STUDY, _SERIES, _IMAGE, _GEOMETRY, _ACQUISITION)).split()
)
"""What rules and ledger commonly need, top-level elements only; a caller adds its own by `extra`."""

_PHI = """
    PatientName PatientID IssuerOfPatientID OtherPatientIDs PatientBirthDate PatientSex PatientAge PatientSize
    PatientWeight PatientComments
    StudyID StudyDate StudyDescription AccessionNumber ReferringPhysicianName RequestedProcedureDescription
    InstitutionName InstitutionalDepartmentName
    SeriesDate SeriesDescription ProtocolName OperatorsName PerformingPhysicianName
    PerformedProcedureStepDescription AcquisitionDate AcquisitionDateTime ContentDate ImageComments
    DocumentTitle ContrastBolusAgent Radiopharmaceutical
"""

PHI_KEYWORDS: frozenset[str] = frozenset(_PHI.split())
"""Patient data (days of an examination count) and free text among the defaults.

They belong in the spool, the ledger and `phi.` events only. Whatever is scanned by `extra` is to be treated
as patient data too (see `is_phi`).
"""

_TAG_TEXT = re.compile(r"\(?([0-9A-Fa-f]{4}),\s?([0-9A-Fa-f]{4})\)?")
_SAFE = frozenset(DEFAULT_KEYWORDS) - PHI_KEYWORDS

# Any of these ends the scan: float, double float and integer pixel data (PS3.3 section C.7.6.24, C.7.6.25, C.7.6.3).
PIXEL_DATA = (0x7FE00008, 0x7FE00009, 0x7FE00010)
CHARACTER_SET = 0x00080005
PIXEL_REPRESENTATION = 0x00280103


def is_phi(key: str) -> bool:
    """True unless `key` is a default keyword known to hold neither patient data nor free text."""
    return key not in _SAFE


class Entry(NamedTuple):
    """One wanted element: key in the header's values, VR by the dictionary ("" if unknown).

    Paths into the first item of a sequence will hang here, as the entries wanted of that item.
    """

    tag: int
    key: str
    vr: str


PIXEL = Entry(0x7FE00010, "PixelData", "OW")


class Wanted(NamedTuple):
    """Entries by the tag as one 32-bit word, as `struct` reads it in either byte order."""

    little: dict[int, Entry]
    big: dict[int, Entry]


@lru_cache(maxsize=64)
def compile_wanted(extra: frozenset[int | str] = frozenset()) -> Wanted:
    """Lookup tables for the default set plus `extra`: tags as numbers, keywords, or "gggg,eeee".

    Raises ValueError for a name that is none of these; rules are checked against the dictionary when saved.
    """
    tags = [_tag(name) for name in (*DEFAULT_KEYWORDS, *extra)]
    by_tag = {tag: _entry(tag) for tag in tags}
    by_tag.update((tag, PIXEL) for tag in PIXEL_DATA)
    return Wanted({_little(tag): entry for tag, entry in by_tag.items()}, by_tag)


def tag_text(tag: int) -> str:
    """The key of an element that has no keyword: "gggg,eeee" in upper case."""
    return f"{tag >> 16:04X},{tag & 0xFFFF:04X}"


def _tag(name: int | str) -> int:
    if isinstance(name, int):
        if not 0 <= name <= 0xFFFFFFFF:
            raise ValueError(f"no DICOM tag: {name}")
        return name
    written = _TAG_TEXT.fullmatch(name)
    tag = int(written[1] + written[2], 16) if written else tag_for_keyword(name)
    if tag is None or not name:  # elements without a keyword are listed under ""
        raise ValueError(f"no DICOM keyword or tag: {name!r}")
    return tag


def _entry(tag: int) -> Entry:
    try:
        keyword, vr = dictionary_keyword(tag), dictionary_VR(tag)
    except KeyError:
        return Entry(tag, tag_text(tag), "")
    # Elements of repeating groups (60xx,...) share one keyword and need a key each.
    return Entry(tag, keyword if tag_for_keyword(keyword) == tag else tag_text(tag), vr)


def _little(tag: int) -> int:
    """The tag as a little endian reader sees it in one word: element first, then group."""
    word: int = struct.unpack("<I", struct.pack("<HH", tag >> 16, tag & 0xFFFF))[0]
    return word
