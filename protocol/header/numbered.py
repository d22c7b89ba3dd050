"""Keywords written as numbers, so that kept headers are half as large and decoded twice as fast.
It must not change what a number means: kept headers outlive every version of this program.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Append only, never reorder: the position is what is stored.
_IN_ORDER = """
    PatientName PatientID IssuerOfPatientID OtherPatientIDs PatientBirthDate PatientSex PatientAge PatientSize
    PatientWeight PatientComments PatientPosition PatientIdentityRemoved StudyInstanceUID StudyID StudyDate
    StudyTime StudyDescription AccessionNumber ReferringPhysicianName RequestedProcedureDescription InstitutionName
    InstitutionalDepartmentName SeriesInstanceUID SeriesNumber SeriesDate SeriesTime SeriesDescription Modality
    BodyPartExamined Laterality ImageLaterality ProtocolName OperatorsName PerformingPhysicianName
    PerformedProcedureStepDescription StationName Manufacturer ManufacturerModelName DeviceSerialNumber
    SoftwareVersions PresentationIntentType SeriesType SpecificCharacterSet SOPClassUID SOPInstanceUID
    InstanceNumber AcquisitionNumber AcquisitionDate AcquisitionTime AcquisitionDateTime ContentDate ContentTime
    TimezoneOffsetFromUTC ImageType ImageComments BurnedInAnnotation LossyImageCompression NumberOfFrames
    FrameOfReferenceUID TemporalPositionIdentifier DocumentTitle Rows Columns SamplesPerPixel
    PhotometricInterpretation BitsAllocated BitsStored PixelRepresentation PixelSpacing ImagerPixelSpacing
    SliceThickness SpacingBetweenSlices SliceLocation ImagePositionPatient ImageOrientationPatient WindowCenter
    WindowWidth RescaleIntercept RescaleSlope ContrastBolusAgent KVP XRayTubeCurrent Exposure ExposureTime
    ConvolutionKernel ReconstructionDiameter GantryDetectorTilt ScanningSequence SequenceVariant ScanOptions
    MRAcquisitionType SequenceName RepetitionTime EchoTime InversionTime FlipAngle EchoNumbers EchoTrainLength
    MagneticFieldStrength PixelBandwidth NumberOfAverages ReceiveCoilName DiffusionBValue TriggerTime AngioFlag
    Units CorrectedImage DecayCorrection Radiopharmaceutical NumberOfSlices ViewPosition TransferSyntaxUID
"""
NUMBERED: tuple[str, ...] = tuple(_IN_ORDER.split())
_NUMBER = {keyword: at for at, keyword in enumerate(NUMBERED)}


def number_keys(values: Mapping[str, Any]) -> dict[str | int, Any]:
    """The same map with numbers for the keywords that have one."""
    return {_NUMBER.get(key, key): value for key, value in values.items()}


def name_keys(values: Mapping[str | int, Any]) -> dict[str, Any]:
    """The inverse of `number_keys`; a number of a later version is left out."""
    return {
        key if isinstance(key, str) else NUMBERED[key]: value
        for key, value in values.items()
        if isinstance(key, str) or 0 <= key < len(NUMBERED)
    }


def key_of(keyword: str) -> str | int:
    """How a keyword is written."""
    return _NUMBER.get(keyword, keyword)
