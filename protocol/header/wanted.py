"""Which elements the header scan keeps: the default set, what counts as patient data, and lookup tables by tag.

It must not read any object; it only knows names.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from protocol.header.dictionary import entry, tag_for_keyword

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

MAX_PATH = 8
_NOBODY: Mapping[str, str] = MappingProxyType({})
_PRIVATE = re.compile(r"([0-9A-Fa-f]{4}),xx([0-9A-Fa-f]{2}) (\S[^\\]{0,63})")
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
    """One wanted element: key in the header's values ("" if only what hangs on it is wanted), VR by the dictionary
    ("" if unknown).

    `inner` is what is wanted of the first item of a sequence. `owners` maps a private creator to the key that the element
    has if its block is reserved by that creator (PS3.5 section 7.8.1).
    """

    tag: int
    key: str
    vr: str
    inner: Wanted | None = None
    owners: Mapping[str, str] = _NOBODY

    @property
    def hidden_keys(self) -> tuple[str, ...]:
        """All keys of what hangs on this element."""
        return (*self.owners.values(), *(self.inner.keys if self.inner is not None else ()))


PIXEL = Entry(0x7FE00010, "PixelData", "OW")


class Wanted(NamedTuple):
    """Entries by the tag as one 32-bit word, as `struct` reads it in either byte order.

    `hanging` are the tags (not words) of entries on which something hangs, `creators` those of the private creators that
    decide about one.
    """

    little: dict[int, Entry]
    big: dict[int, Entry]
    hanging: frozenset[int]
    creators: frozenset[int]
    keys: tuple[str, ...]


NOTHING = Wanted({}, {}, frozenset(), frozenset(), ())


@lru_cache(maxsize=64)
def compile_wanted(extra: frozenset[int | str] = frozenset()) -> Wanted:
    """Lookup tables for the default set plus `extra`: tags as numbers, keywords, "gggg,eeee", paths, private names.

    A path reaches into the first items of sequences: `RequestAttributesSequence.ScheduledProcedureStepID`, at most
    MAX_PATH names. A private name is "gggg,xxee" and the creator after a blank (`private_name` makes one); it finds the
    element in whatever block the creator reserved. Both are the keys of their values as they are written canonically.

    Raises ValueError for a name that is none of these; rules are checked against the dictionary when saved.
    """
    return _compile((*DEFAULT_KEYWORDS, *extra))


def key_of_name(name: str) -> str:
    """The key of a top-level element that is written as keyword or tag. Raises ValueError."""
    return _entry(_tag(name)).key


def private_name(group: int, element: int, creator: str) -> str:
    """How a private element is called whose block depends on its creator; of `element` the last byte counts."""
    return f"{group:04X},xx{element & 0xFF:02X} {creator.strip()}"


def _compile(names: Iterable[int | str], prefix: str = "") -> Wanted:
    table: dict[int, Entry] = {}
    inside: dict[int, list[str]] = {}
    creators: set[int] = set()
    for name in names:
        private = _PRIVATE.fullmatch(name) if isinstance(name, str) else None
        head, dot, rest = name.partition(".") if isinstance(name, str) and not private else ("", "", "")
        if private:
            creators |= _own(table, private, prefix)
        elif dot:
            inside.setdefault(_tag(head), []).append(rest)
        else:
            tag = _tag(name)
            table[tag] = (table.get(tag) or _entry(tag))._replace(key=prefix + _entry(tag).key)
    if inside and prefix.count(".") + 2 > MAX_PATH:
        raise ValueError(f"no DICOM path: more than {MAX_PATH} names in one that begins with {prefix}")
    for tag, paths in inside.items():
        entry = table.get(tag, _entry(tag)._replace(key=""))
        table[tag] = entry._replace(inner=_compile(paths, f"{prefix}{_entry(tag).key}."))
    for decisive in (*creators, CHARACTER_SET):
        table.setdefault(decisive, _entry(decisive)._replace(key=""))
    if not prefix:
        table.update((tag, PIXEL) for tag in PIXEL_DATA)
    return _tables(table, creators)


def _own(table: dict[int, Entry], private: re.Match[str], prefix: str) -> set[int]:
    """Want a private element in any block of its group; the tags of the creators that may reserve one."""
    group, last, creator = int(private[1], 16), int(private[2], 16), private[3].strip()
    if not group % 2:
        raise ValueError(f"no DICOM private element: group {group:04X} is even")
    for block in range(0x10, 0x100):
        tag = group << 16 | block << 8 | last
        entry = table.get(tag, Entry(tag, "", ""))
        key = prefix + private_name(group, last, creator)
        table[tag] = entry._replace(owners={**entry.owners, creator: key})
    return {group << 16 | block for block in range(0x10, 0x100)}


def _tables(table: dict[int, Entry], creators: set[int]) -> Wanted:
    keys = [key for entry in table.values() for key in (entry.key, *entry.hidden_keys) if key]
    hanging = frozenset(tag for tag, entry in table.items() if entry.inner is not None or entry.owners)
    return Wanted(
        {_little(tag): entry for tag, entry in table.items()},
        table,
        hanging,
        frozenset(creators),
        tuple(sorted(set(keys))),
    )


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
        element = entry(tag)
    except KeyError:
        return Entry(tag, tag_text(tag), "")
    # Elements of repeating groups (60xx,...) share one keyword and need a key each.
    return Entry(tag, element.keyword if tag_for_keyword(element.keyword) == tag else tag_text(tag), element.vr)


def _little(tag: int) -> int:
    """The tag as a little endian reader sees it in one word: element first, then group."""
    word: int = struct.unpack("<I", struct.pack("<HH", tag >> 16, tag & 0xFFFF))[0]
    return word
