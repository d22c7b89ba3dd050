"""Values of a Part 10 file that somebody dropped on a page: read, or refused with the reason."""

import io

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from protocol.errors import UnreadableHeader
from protocol.header.part10 import values_of


@pytest.fixture
def file():
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = CTImageStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality = generate_uid(), generate_uid(), "CT"
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_the_values_are_those_of_the_data_set(file):
    found = values_of(file)
    assert (found["Modality"], found["TransferSyntaxUID"]) == ("CT", ExplicitVRLittleEndian)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda data: data[128:], "no DICOM file|no Part 10 file"),
        (lambda data: b"", "no DICOM file"),
        (lambda data: data[:200], "cut off"),
        (lambda data: data.replace(b"\x02\x00\x10\x00", b"\x02\x00\x11\x00"), "no transfer syntax"),
    ],
)
def test_what_is_no_such_file_is_refused_with_the_reason(file, spoil, reason):
    with pytest.raises(UnreadableHeader, match=reason):
        values_of(spoil(file))
