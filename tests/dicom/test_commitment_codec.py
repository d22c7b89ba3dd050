"""Data sets and commands of storage commitment: held against pydicom and pynetdicom, and against bytes that are wrong."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pynetdicom.dimse_messages import N_ACTION_RQ, N_EVENT_REPORT_RQ
from pynetdicom.dsutils import decode as pynetdicom_decode

from actors.dicom import dimse
from actors.dicom.commitment import (
    MAX_BYTES,
    SOP_CLASS,
    SOP_INSTANCE,
    Malformed,
    Report,
    Request,
    decode_report,
    decode_request,
    encode_report,
    encode_request,
)
from actors.dicom.negotiation import EXPLICIT_LITTLE, IMPLICIT_LITTLE

CT = "1.2.840.10008.5.1.4.1.1.2"
SYNTAXES = (IMPLICIT_LITTLE, EXPLICIT_LITTLE)
uids = st.lists(st.integers(0, 99999), min_size=1, max_size=8).map(lambda parts: ".".join(map(str, parts)))
references = st.tuples(uids, uids)


@given(uids, st.lists(references, min_size=1, max_size=5), st.sampled_from(SYNTAXES))
@settings(max_examples=50)
def test_a_request_survives_and_pydicom_reads_the_same(transaction, named, syntax) -> None:
    request = Request(transaction, tuple(named))
    data = encode_request(request, syntax)
    assert decode_request(data, syntax) == request
    theirs = pydicom_reads(data, syntax)
    assert theirs.TransactionUID == transaction
    assert [(one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID) for one in theirs.ReferencedSOPSequence] == named


@given(
    uids,
    st.lists(references, max_size=4),
    st.lists(st.tuples(uids, uids, st.integers(0, 0xFFFF)), max_size=4),
    st.sampled_from(SYNTAXES),
)
@settings(max_examples=50)
def test_a_report_survives_and_pydicom_reads_the_same(transaction, committed, failed, syntax) -> None:
    report = Report(transaction, tuple(committed), tuple(failed))
    data = encode_report(report, syntax)
    assert decode_report(data, syntax) == report
    assert report.event_type == (2 if failed else 1)
    theirs = pydicom_reads(data, syntax)
    got = [(one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID, one.FailureReason)
           for one in theirs.get("FailedSOPSequence", [])]  # fmt: skip
    assert got == failed
    assert len(theirs.get("ReferencedSOPSequence", [])) == len(committed)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [False, True])
def test_what_pydicom_writes_is_read_with_everything_around_it(syntax, undefined) -> None:
    dataset = Dataset()
    dataset.StorageMediaFileSetID = "DISK"
    dataset.TransactionUID = "1.2.3"
    item, inner = Dataset(), Dataset()
    inner.ReferencedSOPInstanceUID = "9.9"
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, "1.2.3.4"
    item.PurposeOfReferenceCodeSequence = [inner]
    item["PurposeOfReferenceCodeSequence"].is_undefined_length = undefined
    item.is_undefined_length_sequence_item = undefined
    dataset.ReferencedSOPSequence = [item]
    dataset["ReferencedSOPSequence"].is_undefined_length = undefined
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = True, syntax == IMPLICIT_LITTLE
    write_dataset(file, dataset)
    assert decode_request(file.getvalue(), syntax) == Request("1.2.3", ((CT, "1.2.3.4"),))


SAMPLE = Report("1.2.3", ((CT, "1.1"), (CT, "1.2")), ((CT, "1.3", 0x0112),))


@given(
    st.sampled_from(SYNTAXES),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
    st.integers(0, 400),
)
@settings(max_examples=300)
def test_damaged_bytes_are_a_report_or_malformed_and_never_hang(syntax, changes, length) -> None:
    data = bytearray(encode_report(SAMPLE, syntax))
    for place, value in changes:
        data[place % len(data)] = value
    for decoder in (decode_report, decode_request):
        try:
            decoder(data[:length], syntax)
        except Malformed as exc:
            assert exc.status in (0x0110, 0x0115, 0x0120, 0x0213)


def test_hostile_forms_are_malformed() -> None:
    nested = struct.pack("<HHI", 8, 0x1199, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    endless = struct.pack("<HHI", 8, 0x1199, 0x7FFFFFFF)
    for data in (b"", None, nested * 10_000, endless, b"\0", bytes(MAX_BYTES + 1)):
        with pytest.raises(Malformed):
            decode_request(data, IMPLICIT_LITTLE)


@pytest.mark.parametrize(
    ("transaction", "references", "status"),
    [("", ((CT, "1.2"),), 0x0120), ("1.2", (), 0x0120), ("1.2", (("", "1.2"),), 0x0120), ("1" * 66, ((CT, "1"),), 0x0115),
     ("1.2", ((CT, "a\nb"),), 0x0115)],
)  # fmt: skip
def test_what_is_missing_or_no_uid_is_told_by_status(transaction, references, status) -> None:
    with pytest.raises(Malformed) as caught:
        decode_request(encode_request(Request(transaction, references), IMPLICIT_LITTLE), IMPLICIT_LITTLE)
    assert caught.value.status == status


def test_pynetdicom_reads_our_commands() -> None:
    action, event = N_ACTION_RQ(), N_EVENT_REPORT_RQ()
    for theirs, data in (
        (action, dimse.action_request(7, SOP_CLASS, SOP_INSTANCE, 1)),
        (event, dimse.event_report_request(8, SOP_CLASS, SOP_INSTANCE, 2)),
    ):
        theirs.command_set = pynetdicom_decode(io.BytesIO(data), True, True)
    assert (action.command_set.CommandField, action.command_set.ActionTypeID, action.command_set.MessageID) == (
        0x0130,
        1,
        7,
    )
    assert action.command_set.RequestedSOPInstanceUID == SOP_INSTANCE
    assert (event.command_set.CommandField, event.command_set.EventTypeID, event.command_set.MessageID) == (
        0x0100,
        2,
        8,
    )
    assert event.command_set.AffectedSOPClassUID == SOP_CLASS


def pydicom_reads(data: bytes, syntax: str) -> Dataset:
    return read_dataset(io.BytesIO(data), syntax == IMPLICIT_LITTLE, True)
