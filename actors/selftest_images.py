"""The images of a self-test: small, valid MR images of nobody, which say so in every name. It must not send them."""

from __future__ import annotations

import struct
from pathlib import Path

from protocol.selftest import DESCRIPTION, PATIENT_ID, PATIENT_NAME

SIDE = 64
MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def write(folder: Path, study_uid: str, count: int) -> list[Path]:
    """So many files of one series in `folder` (PS3.3 section A.4, what a receiver may want of an MR image)."""
    from pydicom.dataset import Dataset, FileMetaDataset

    made = []
    for number in range(1, count + 1):
        data = Dataset()
        data.SOPClassUID, data.SOPInstanceUID = MR_IMAGE_STORAGE, f"{study_uid}.1.{number}"
        data.StudyInstanceUID, data.SeriesInstanceUID = study_uid, f"{study_uid}.1"
        data.PatientName, data.PatientID, data.PatientSex, data.PatientBirthDate = PATIENT_NAME, PATIENT_ID, "O", ""
        data.StudyDescription, data.SeriesDescription, data.Modality = DESCRIPTION, DESCRIPTION, "MR"
        data.StudyDate = data.StudyTime = data.AccessionNumber = data.ReferringPhysicianName = ""
        data.StudyID, data.SeriesNumber, data.InstanceNumber = "TEST", 1, number
        data.ScanningSequence, data.SequenceVariant, data.ScanOptions, data.MRAcquisitionType = "RM", "NONE", "", "2D"
        data.ImageType, data.Manufacturer = ["DERIVED", "SECONDARY", "OTHER"], "scanpost"
        data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
        data.Rows = data.Columns = SIDE
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
        data.PixelData = b"".join(struct.pack("<H", (x * y * number) % 4096) for y in range(SIDE) for x in range(SIDE))
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = EXPLICIT_VR_LITTLE_ENDIAN
        data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = (
            data.SOPClassUID,
            data.SOPInstanceUID,
        )
        made.append(folder / f"{number:04}.dcm")
        data.save_as(made[-1], enforce_file_format=True)
    return made
