"""Which elements are kept for data mining beyond what every image is scanned for: a fixed list, and what a site adds.
It must not read any object; they are read of one image of each series (protocol/spool/mined).
"""

from __future__ import annotations

from collections.abc import Iterable

from protocol.header.wanted import compile_wanted, key_of_name

_DOSE = """
    CTDIvol EntranceDoseInmGy EntranceDose OrganDose ImageAndFluoroscopyAreaDoseProduct CommentsOnRadiationDose
    ExposureInuAs ExposureTimeInuS XRayTubeCurrentInuA ExposureDoseSequence.CTDIvol SpiralPitchFactor
    RadiopharmaceuticalInformationSequence.RadionuclideTotalDose
"""
_CONTRAST = """
    ContrastBolusVolume ContrastBolusRoute ContrastBolusStartTime ContrastBolusAgentSequence.CodeMeaning
    ContrastBolusAgentSequence.CodeValue
"""
_WHAT = """
    AnatomicRegionSequence.CodeMeaning ProcedureCodeSequence.CodeMeaning PulseSequenceName FilterType DetectorType
    DetectorID BodyPartThickness CompressionForce
"""
# Multi-frame objects say of all frames at once, or of the first one, what others say of each image (PS3.3 C.7.6.16).
_SHARED, _FIRST = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
_IN_GROUPS = """
    PixelMeasuresSequence.SliceThickness PixelMeasuresSequence.SpacingBetweenSlices PixelMeasuresSequence.PixelSpacing
    MRTimingAndRelatedParametersSequence.RepetitionTime MRTimingAndRelatedParametersSequence.FlipAngle
    MREchoSequence.EffectiveEchoTime FrameAnatomySequence.AnatomicRegionSequence.CodeMeaning CTXRayDetailsSequence.KVP
    CTExposureSequence.CTDIvol CTExposureSequence.XRayTubeCurrentInmA CTExposureSequence.ExposureInmAs
    CTExposureSequence.ExposureTimeInms
"""

MINED_KEYWORDS: tuple[str, ...] = (
    *" ".join((_DOSE, _CONTRAST, _WHAT)).split(),
    *(f"{group}.{path}" for group in (_SHARED, _FIRST) for path in _IN_GROUPS.split()),
)
"""What the columns of the ledger's table `series` are made of, besides the default keywords of the scan."""


def in_groups(path: str) -> tuple[str, str]:
    """The keys of a value that multi-frame objects keep in functional groups: shared by all frames, of the first frame."""
    return f"{_SHARED}.{path}", f"{_FIRST}.{path}"


def mined_keys(names: Iterable[str]) -> tuple[str, ...]:
    """The keys under which values of these names (as a site writes them) are found; see `compile_wanted`.

    Raises ValueError for a name that is no keyword, tag, path or private name.
    """
    usual = frozenset(compile_wanted().keys)
    keys: list[str] = []
    for name in names:
        own = [key for key in compile_wanted(frozenset({name})).keys if key not in usual]
        keys += own or [key_of_name(name)]  # it is one of the usual ones
    return tuple(dict.fromkeys(keys))
