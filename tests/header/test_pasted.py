"""Pasted headers give the values that scanning the object gives, and no text whatever does more than be refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from protocol.errors import UnreadableHeader
from protocol.header.dumped import read_dumped
from protocol.header.pasted import MAX_TEXT, read_pasted
from protocol.header.scan import scan
from protocol.header.wanted import DEFAULT_KEYWORDS

FILES = [get_testdata_file(name) for name in ("CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "JPEG2000.dcm")]
EXTRA = ["RequestAttributesSequence.ScheduledProcedureStepID", "ReferencedStudySequence.ReferencedSOPInstanceUID",
         "0043,101E", "0043,xx1E GEMS_PARM_01", "BeamSequence.BeamName", "ReferencedSeriesSequence.SeriesInstanceUID"]  # fmt: skip


def scanned(file: str) -> dict:
    data = pydicom.dcmread(file)
    with open(file, "rb") as opened:
        pydicom.filereader.read_preamble(opened, True)
        pydicom.filereader._read_file_meta_info(opened)
        raw = opened.read()
    return dict(scan(raw, str(data.file_meta.TransferSyntaxUID), extra=EXTRA).values)


def alike(found: dict, expected: dict) -> None:
    for key, value in expected.items():
        assert key in found, key
        if key in ("PixelSpacing", "SliceLocation") or isinstance(value, float):
            assert found[key] == pytest.approx(value), key
        else:
            assert found[key] == value, key


@pytest.mark.parametrize("file", FILES)
@pytest.mark.skipif(shutil.which("dcmdump") is None, reason="dcmdump is not installed")
def test_what_dcmdump_prints_is_what_the_scan_reads(file: str) -> None:
    text = subprocess.run(["dcmdump", "+L", file], capture_output=True, text=True, check=True).stdout
    (found,) = read_pasted(text)
    alike(found, scanned(file))
    assert found["TransferSyntaxUID"] == str(pydicom.dcmread(file).file_meta.TransferSyntaxUID)


@pytest.mark.parametrize("file", FILES)
def test_the_dicom_json_model_is_what_the_scan_reads(file: str) -> None:
    (found,) = read_pasted(pydicom.dcmread(file).to_json())
    alike(found, scanned(file))


def test_several_data_sets_are_several_images() -> None:
    one = pydicom.dcmread(FILES[0]).to_json_dict()
    assert len(read_pasted(json.dumps([one, one]))) == 2
    assert [image["Modality"] for image in read_pasted('[{"Modality": "CT"}, {"Modality": "MR"}]')] == ["CT", "MR"]


def test_flat_json_takes_keywords_tags_paths_numbers_and_lists() -> None:
    text = json.dumps({
        "Modality": "MR", "SeriesNumber": "3", "EchoTime": 12.5, "ImageType": ["ORIGINAL", "PRIMARY"],
        "(0008,0050)": "A1", "00080070": " MAKER ", "PixelSpacing": "0.5\\0.5", "PatientComments": None, "StudyID": "",
        "RequestAttributesSequence.ScheduledProcedureStepID": "S1", "0019,xx0C SIEMENS": 5,
    })  # fmt: skip
    assert read_pasted("\ufeff" + text) == [{
        "Modality": "MR", "SeriesNumber": 3, "EchoTime": 12.5, "ImageType": ["ORIGINAL", "PRIMARY"], "AccessionNumber": "A1",
        "Manufacturer": "MAKER", "PixelSpacing": [0.5, 0.5], "RequestAttributesSequence.ScheduledProcedureStepID": "S1",
        "0019,xx0C SIEMENS": 5,
    }]  # fmt: skip


def test_a_dump_shows_the_first_items_of_sequences_and_private_names() -> None:
    (found,) = read_dumped(
        "(0008,0060) CS [MR]       #   2, 1 Modality\n"
        "(0008,103e) LO [a # b ] c]   #  10, 1 SeriesDescription\n"
        "(0019,0010) LO [SIEMENS]  #   8, 1 PrivateCreator\n"
        "(0019,100c) IS [5]        #   2, 1 Unknown Tag & Data\n"
        "(0040,0275) SQ (Sequence with undefined length #=2)  # u/l, 1 RequestAttributesSequence\n"
        "  (fffe,e000) na (Item with undefined length #=1)      # u/l, 1 Item\n"
        "    (0040,0009) SH [S1]    #   2, 1 ScheduledProcedureStepID\n"
        "  (fffe,e00d) na (ItemDelimitationItem)  #   0, 0 ItemDelimitationItem\n"
        "  (fffe,e000) na (Item with undefined length #=1)      # u/l, 1 Item\n"
        "    (0040,0009) SH [S2]    #   2, 1 ScheduledProcedureStepID\n"
        "    (0008,0060) CS [XX]    #   2, 1 Modality\n"
        "(fffe,e0dd) na (SequenceDelimitationItem)  #   0, 0 SequenceDelimitationItem\n"
        "(0020,0011) IS [7]        #   2, 1 SeriesNumber\n"
    )
    assert (found["Modality"], found["SeriesDescription"], found["SeriesNumber"]) == ("MR", "a # b ] c", 7)
    assert found["RequestAttributesSequence.ScheduledProcedureStepID"] == "S1"
    assert (found["0019,xx0C SIEMENS"], found["0019,100C"]) == (5, 5)


REFUSED = {
    "": "empty", "  \n": "empty", "hello": "no JSON", "[]": "not a header", "3": "not a header", '{"Modalty": "CT"}': "Modalty",
    '{"Modality": true}': "Modality is no text", '{"Modality": {"a": 1}}': "Modality is no text", "[{}, 3]": "not a header",
    '{"Modality": [["CT"]]}': "Modality is no text", '[{"Modality": "CT"}, {"x": 1}]': "image 2: 'x'",
    '{"00080060": {"vr": 5}}': "no vr", '{"00080060": {"vr": "CS", "Value": "CT"}}': "Value is no list",
    "[" * 100_000: "JSON", '{"SeriesNumber": ' + "9" * 5000 + "}": "JSON",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_header_is_one_message_with_the_place(text: str) -> None:
    with pytest.raises(UnreadableHeader) as refused:
        read_pasted(text)
    assert REFUSED[text] in str(refused.value) and "\n" not in str(refused.value)


def test_an_error_names_no_value() -> None:
    for text in ('{"PatientName": {"secret": "JANE"}}', "JANE^DOE was here", '{"PatientName": ["JANE", ["x"]]}'):
        with pytest.raises(UnreadableHeader) as refused:
            read_pasted(text)
        assert "JANE" not in str(refused.value)


def test_too_much_is_refused() -> None:
    with pytest.raises(UnreadableHeader, match="longer"):
        read_pasted("x" * (MAX_TEXT + 1))


# ---- any text whatever ----------------------------------------------------------------------------------------------
json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8,
)  # fmt: skip
names = st.sampled_from([*DEFAULT_KEYWORDS[:40], "00080060", "0008,0060", "(0019,100c)", "00400275", "00190010", "x"])
model = st.dictionaries(
    st.sampled_from(["00080060", "00100010", "00400275", "00190010", "0019100c", "7fe00010"]),
    st.fixed_dictionaries({"vr": st.sampled_from(["CS", "PN", "SQ", "DS", "IS", "OB", "??"])}, optional={"Value": json_value}),
)  # fmt: skip
line = st.builds(
    "{}({},{}) {} {} # 2, 1 X".format, st.sampled_from(["", "  ", "    ", "      "]),
    st.sampled_from(["0008", "fffe", "0040", "0019", "0002"]), st.sampled_from(["0060", "e000", "0275", "0010", "100c"]),
    st.sampled_from(["CS", "SQ", "na", "IS", "UI", "??"]), st.text(max_size=12) | st.sampled_from(["[1\\2]", "=X", "(Item"]),
)  # fmt: skip


def is_plain(value: object) -> bool:
    return isinstance(value, str | int | float) or (isinstance(value, list) and all(is_plain(one) for one in value))


@settings(max_examples=500, deadline=None)
@given(
    st.text(max_size=80) | json_value.map(json.dumps) | st.dictionaries(names, json_value, max_size=4).map(json.dumps)
    | model.map(json.dumps) | st.lists(line, max_size=8).map("\n".join)
)  # fmt: skip
def test_any_text_gives_plain_values_or_our_error(text: str) -> None:
    try:
        images = read_pasted(text)
    except UnreadableHeader:
        return
    assert images and all(is_plain(value) for image in images for value in image.values())
    assert json.loads(json.dumps(images, allow_nan=False)) == images


def test_the_pages_example_of_a_paste_is_read(tmp_path: Path) -> None:
    assert read_pasted('{"Modality": "CT", "SliceThickness": 1.25}') == [{"Modality": "CT", "SliceThickness": 1.25}]
