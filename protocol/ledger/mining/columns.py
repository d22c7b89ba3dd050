"""The typed columns of a completed arrival out of its header values: `series_values`, a pure function that never raises.
It must not copy names, ids or birth dates; an odd value gives None, and the row is there all the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from protocol.header.mined import in_groups
from protocol.ledger.fit import fit_row
from protocol.ledger.mining.moments import age_years, moment, moment_of_datetime
from protocol.ledger.tables import series
from protocol.wire.messages import Envelope

Values = Mapping[str, Any]
MAX_EXTRA = 2000  # characters of one value of mining.extra_tags; longer ones are cut
MAX_ITEMS = 50  # values of one element of mining.extra_tags
_DLP = re.compile(r"DLP[^0-9\n]{0,20}(\d{1,6}(?:\.\d{1,6})?)", re.ASCII | re.IGNORECASE)
_NO_CONTRAST = frozenset(
    {"", "none", "no", "n", "without", "ohne", "nein", "keine", "sans", "native", "nativ", "no contrast"}
)
_SEX = frozenset({"M", "F", "O"})


def series_values(event: Envelope) -> dict[str, Any]:
    """The values of the row of `arrival.completed`, without its key. Lengths are those of the standard (metres never:
    millimetres, milliseconds, kV, mA, mAs, mGy, mGy*cm, tesla, MBq), times seconds since 1970 UTC.
    """
    phi: Values = event.phi if isinstance(event.phi, Mapping) else {}
    told = _map(phi.get("mining"))
    more = _map(told.get("values"))
    header = {**_map(phi.get("header")), **_map(phi.get("first"))}
    origin, zone = _map(phi.get("origin")), told.get("zone")
    values = {
        **_where(event, phi, origin),
        **_texts(header, more),
        **_numbers(header, more),
        **_times(header, zone if isinstance(zone, str) else ""),
        **_contrast(header, more),
        "age_years": age_years(header.get("PatientAge"), header.get("PatientBirthDate"), header.get("StudyDate")),
        "sex": header["PatientSex"] if _is_in(header.get("PatientSex"), _SEX) else None,
        "extra": _extra({**header, **more}, told.get("extra")),
    }
    return fit_row(
        series, values, set()
    )  # cut and cleaned without a word: the header values themselves are kept elsewhere


def _where(event: Envelope, phi: Values, origin: Values) -> dict[str, Any]:
    data = event.data
    calling = _text(data.get("calling_ae"))
    return {
        "received": _number(origin.get("opened")),
        "completed": event.time,
        "scanner": _text(origin.get("source")) or calling,
        "calling_ae": calling,
        "addendum_of": _whole(origin.get("addendum_of")),
        "images": _whole(phi.get("count")) if "count" in phi else _whole(data.get("images")),
        "bytes": _whole(data.get("bytes")),
        "study_uid": _text(data.get("study_uid")),
        "series_uid": _text(data.get("series_uid")),
    }


# Column -> keywords, the first that has a value counts.
_TEXTS: dict[str, tuple[str, ...]] = {
    "sop_class_uid": ("SOPClassUID",),
    "transfer_syntax_uid": ("TransferSyntaxUID",),
    "modality": ("Modality",),
    "body_part": ("BodyPartExamined", "AnatomicRegionSequence.CodeMeaning",
                  *in_groups("FrameAnatomySequence.AnatomicRegionSequence.CodeMeaning")),
    "laterality": ("Laterality", "ImageLaterality"),
    "protocol": ("ProtocolName",),
    "series_description": ("SeriesDescription",),
    "study_description": ("StudyDescription",),
    "procedure": ("ProcedureCodeSequence.CodeMeaning", "RequestedProcedureDescription", "PerformedProcedureStepDescription"),
    "manufacturer": ("Manufacturer",),
    "model": ("ManufacturerModelName",),
    "station": ("StationName",),
    "device_serial": ("DeviceSerialNumber",),
    "software": ("SoftwareVersions",),
    "institution": ("InstitutionName",),
    "department": ("InstitutionalDepartmentName",),
    "sequence_name": ("SequenceName", "PulseSequenceName"),
    "scanning_sequence": ("ScanningSequence",),
    "sequence_variant": ("SequenceVariant",),
    "mr_acquisition": ("MRAcquisitionType",),
    "patient_position": ("PatientPosition",),
    "view_position": ("ViewPosition",),
}  # fmt: skip

# Column -> (keywords, factor to the unit of the column)
_NUMBERS: dict[str, tuple[tuple[str, float], ...]] = {
    "contrast_volume": (("ContrastBolusVolume", 1.0),),
    "slice_thickness": (("SliceThickness", 1.0), *((key, 1.0) for key in in_groups("PixelMeasuresSequence.SliceThickness"))),
    "slice_spacing": (
        ("SpacingBetweenSlices", 1.0),
        *((key, 1.0) for key in in_groups("PixelMeasuresSequence.SpacingBetweenSlices")),
    ),
    "pixel_spacing": (
        ("PixelSpacing", 1.0), ("ImagerPixelSpacing", 1.0),
        *((key, 1.0) for key in in_groups("PixelMeasuresSequence.PixelSpacing")),
    ),
    "field_strength": (("MagneticFieldStrength", 1.0),),
    "repetition_time": (
        ("RepetitionTime", 1.0),
        *((key, 1.0) for key in in_groups("MRTimingAndRelatedParametersSequence.RepetitionTime")),
    ),
    "echo_time": (("EchoTime", 1.0), *((key, 1.0) for key in in_groups("MREchoSequence.EffectiveEchoTime"))),
    "inversion_time": (("InversionTime", 1.0),),
    "flip_angle": (
        ("FlipAngle", 1.0), *((key, 1.0) for key in in_groups("MRTimingAndRelatedParametersSequence.FlipAngle")),
    ),
    "kvp": (("KVP", 1.0), *((key, 1.0) for key in in_groups("CTXRayDetailsSequence.KVP"))),
    "tube_current": (
        ("XRayTubeCurrent", 1.0), ("XRayTubeCurrentInuA", 1e-3),
        *((key, 1.0) for key in in_groups("CTExposureSequence.XRayTubeCurrentInmA")),
    ),
    "exposure": (
        ("Exposure", 1.0), ("ExposureInuAs", 1e-3), *((key, 1.0) for key in in_groups("CTExposureSequence.ExposureInmAs")),
    ),
    "exposure_time": (
        ("ExposureTime", 1.0), ("ExposureTimeInuS", 1e-3),
        *((key, 1.0) for key in in_groups("CTExposureSequence.ExposureTimeInms")),
    ),
    "pitch": (("SpiralPitchFactor", 1.0),),
    "ctdivol": (
        ("CTDIvol", 1.0), ("ExposureDoseSequence.CTDIvol", 1.0),
        *((key, 1.0) for key in in_groups("CTExposureSequence.CTDIvol")),
    ),
    "dose_area": (("ImageAndFluoroscopyAreaDoseProduct", 1.0),),
    "entrance_dose": (("EntranceDoseInmGy", 1.0),),
    "activity": (("RadiopharmaceuticalInformationSequence.RadionuclideTotalDose", 1e-6),),
}  # fmt: skip


def _texts(header: Values, more: Values) -> dict[str, Any]:
    return {column: _first(header, more, keywords, _text) for column, keywords in _TEXTS.items()}


def _numbers(header: Values, more: Values) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for column, sources in _NUMBERS.items():
        value = None
        for keyword, factor in sources:
            value = _number(header.get(keyword, more.get(keyword)))
            if value is not None:
                value = value if factor == 1.0 else value * factor
                break
        found[column] = value
    for column, keyword in (("rows", "Rows"), ("columns", "Columns"), ("frames", "NumberOfFrames")):
        found[column] = _whole(header.get(keyword))
    told = _DLP.search(_text(more.get("CommentsOnRadiationDose")) or "")
    found["dlp"] = float(told[1]) if told else None
    return found


def _times(header: Values, zone: str) -> dict[str, Any]:
    """With TimezoneOffsetFromUTC where the object has it, else in the node's own zone."""
    offset = _one(header.get("TimezoneOffsetFromUTC"))

    def at(kind: str) -> float | None:
        return moment(_one(header.get(f"{kind}Date")), _one(header.get(f"{kind}Time")), offset, zone)

    acquired = moment_of_datetime(_one(header.get("AcquisitionDateTime")), offset, zone)
    return {"study_time": at("Study"), "series_time": at("Series"), "acquisition_time": acquired or at("Acquisition")}


def _contrast(header: Values, more: Values) -> dict[str, Any]:
    keywords = ("ContrastBolusAgent", "ContrastBolusAgentSequence.CodeMeaning", "ContrastBolusAgentSequence.CodeValue")
    agent = _first(header, more, keywords, _text)
    named = agent is not None and agent.strip().casefold() not in _NO_CONTRAST
    volume = _number(more.get("ContrastBolusVolume"))
    return {"contrast_agent": agent, "contrast": int(named or bool(volume and volume > 0))}


def _extra(values: Values, names: object) -> dict[str, Any] | None:
    """What a site asked for by mining.extra_tags, bounded: an element may be as large as its writer likes."""
    if not isinstance(names, list | tuple):
        return None
    found = {name: _bounded(values[name]) for name in names if isinstance(name, str) and values.get(name) is not None}
    return found or None


def _bounded(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_bounded(one) for one in value[:MAX_ITEMS]]
    return value[:MAX_EXTRA] if isinstance(value, str) else value


def _first(header: Values, more: Values, keywords: tuple[str, ...], read: Callable[[Any], Any]) -> Any:
    for keyword in keywords:
        found = read(header.get(keyword, more.get(keyword)))
        if found is not None:
            return found
    return None


def _map(value: object) -> Values:
    return value if isinstance(value, Mapping) else {}


def _one(value: Any) -> Any:
    """The first of several values."""
    if isinstance(value, list | tuple):
        return value[0] if value else None
    return value


def _text(value: Any) -> str | None:
    r"""Several values as they are written in DICOM, with ``\`` between them."""
    if isinstance(value, list | tuple):
        value = "\\".join(str(one) for one in value[:MAX_ITEMS] if isinstance(one, str | int | float))
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip()[:MAX_EXTRA]
    return text or None


def _number(value: Any) -> float | None:
    value = _one(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) and abs(found) < 1e300 else None


def _whole(value: Any) -> int | None:
    value = _one(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -(2**63) <= value < 2**63 else None


def _is_in(value: Any, words: frozenset[str]) -> bool:
    return isinstance(value, str) and value in words
