"""What the header scan reads, types, flags and refuses; the objects are built byte by byte."""

from __future__ import annotations

import json
import struct
import zlib

import msgpack
import pytest
from header_bytes import BIG, DEFLATED, EXPLICIT, IMPLICIT, UNDEFINED, element, item, sequence

from protocol.errors import UnreadableImage
from protocol.header import scan as scanning
from protocol.header.scan import CHARSET, ENCODING, NUMBER, PIXELS_CUT, TOO_LONG, Header, scan

SYNTAXES = [EXPLICIT, IMPLICIT, BIG]
ROWS, MODALITY, PIXELS = 0x00280010, 0x00080060, 0x7FE00010
JPEG = "1.2.840.10008.1.2.4.50"


def one(tag: int, vr: str, value: bytes, syntax: str = EXPLICIT, **options: object) -> Header:
    return scan(element(tag, vr, value, syntax), syntax, extra=[tag], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_values_are_typed_by_vr(syntax: str) -> None:
    order = ">" if syntax == BIG else "<"
    data = (
        element(0x00080008, "CS", b"ORIGINAL\\PRIMARY \\AXIAL ", syntax)
        + element(0x00080020, "DA", b"20260131", syntax)
        + element(MODALITY, "CS", b"CT", syntax)
        + element(0x00180050, "DS", b"1.50", syntax)
        + element(0x00189087, "FD", struct.pack(order + "d", 1000.5), syntax)
        + element(0x00200011, "IS", b" 12 ", syntax)
        + element(0x00200032, "DS", b"-1\\2.5\\3e1 ", syntax)
        + element(ROWS, "US", struct.pack(order + "H", 512), syntax)
    )
    assert scan(data, syntax) == Header(
        {
            "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
            "StudyDate": "20260131",
            "Modality": "CT",
            "SliceThickness": 1.5,
            "DiffusionBValue": 1000.5,
            "SeriesNumber": 12,
            "ImagePositionPatient": [-1.0, 2.5, 30.0],
            "Rows": 512,
        }
    )


@pytest.mark.parametrize(
    ("vr", "raw", "value"),
    [
        ("SS", b"\xff\xff", -1),
        ("UL", b"\1\0\0\0\2\0\0\0", [1, 2]),
        ("SL", b"\xfe\xff\xff\xff", -2),
        ("UV", b"\xff" * 8, 2**64 - 1),
        ("SV", b"\xff" * 8, -1),
        ("FL", b"\0\0\x80\x3f", 1.0),
        ("AT", b"\x10\0\x20\0", "0010,0020"),
        ("LO", b" padded \0", "padded"),
        ("LO", b"a\\ b", ["a", "b"]),
        ("LT", b" a\\b\r\n  ", " a\\b\r\n"),
        ("UR", b"http://x/a\\b ", "http://x/a\\b"),
        ("DS", b"1\\\\2", [1.0, "", 2.0]),
        ("IS", b"2.0", 2),
        ("OB", b"abcd", None),
        ("UN", b"text", "text"),
        ("UN", b"\1\2", None),
        ("UN", b"d\0", None),
        ("LO", b"  ", None),
        ("LO", b"\\", None),
        ("DS", b" \0", None),
    ],
)
def test_a_value_follows_the_vr_as_written(vr: str, raw: bytes, value: object) -> None:
    assert one(0x00091001, vr, raw) == Header({} if value is None else {"0009,1001": value})


@pytest.mark.parametrize("raw", [b"abc", b"1,5", b"1_0", b"nan", b"inf", b"1e999", b"0x10"])
@pytest.mark.parametrize("vr", ["DS", "IS"])
def test_a_malformed_number_stays_text_with_a_flag(vr: str, raw: bytes) -> None:
    assert one(0x00091001, vr, raw) == Header({"0009,1001": raw.decode()}, (NUMBER,))


@pytest.mark.parametrize("digits", [20, 5000])
def test_an_integer_beyond_64_bits_stays_text_with_a_flag(digits: int) -> None:
    assert one(0x00091001, "IS", b"9" * digits) == Header({"0009,1001": "9" * digits}, (NUMBER,))


def test_a_binary_nan_stays_text_with_a_flag() -> None:
    assert one(0x00189087, "FD", struct.pack("<d", float("nan"))) == Header({"DiffusionBValue": "nan"}, (NUMBER,))


def test_half_a_binary_number_is_left_out_with_a_flag() -> None:
    assert one(ROWS, "US", b"\1") == Header({}, (NUMBER,))


def test_un_says_nothing_so_the_dictionary_decides() -> None:
    assert one(ROWS, "UN", b"\0\2").values == {"Rows": 512}


@pytest.mark.parametrize(("representation", "value"), [(b"\0\0", 65535), (b"\1\0", -1)])
def test_us_or_ss_follows_pixel_representation(representation: bytes, value: int) -> None:
    data = element(0x00280103, "US", representation, IMPLICIT) + element(0x00280106, "US", b"\xff\xff", IMPLICIT)
    assert scan(data, IMPLICIT, extra=["SmallestImagePixelValue"]).values["SmallestImagePixelValue"] == value


def test_an_oversized_value_is_left_out_with_a_flag() -> None:
    assert one(0x00204000, "UT", b"x" * 65_537) == Header({}, (TOO_LONG,))


def test_names_follow_the_character_set_and_codes_do_not() -> None:
    data = element(0x00080005, "CS", b"ISO_IR 100") + element(0x00100010, "PN", b"M\xfcller^J\xf6rg ")
    assert scan(data, EXPLICIT).values["PatientName"] == "Müller^Jörg"
    header = scan(data + element(0x00185100, "CS", b"H\xc9S "), EXPLICIT)
    assert (header.values["PatientPosition"], header.flags) == ("H\ufffdS", (CHARSET,))


def test_the_second_byte_of_a_character_is_no_separator() -> None:
    raw = "倊\\乗".encode("gb18030")
    assert raw.count(b"\\") == 2
    data = element(0x00080005, "CS", b"GB18030 ") + element(0x0008103E, "LO", raw)
    assert scan(data, EXPLICIT).values["SeriesDescription"] == ["倊", "乗"]


def test_an_unknown_character_set_is_a_flag() -> None:
    data = element(0x00080005, "CS", b"NONSENSE") + element(0x00100010, "PN", b"M\xfcller")
    header = scan(data, EXPLICIT)
    assert (header.values["PatientName"], header.flags) == ("M\ufffdller", (CHARSET,))


def test_the_fallback_of_the_source_decodes_what_declares_nothing() -> None:
    assert one(0x00100010, "PN", b"M\xfcller", fallback_charset="ISO_IR 100") == Header({"PatientName": "Müller"})


def test_uids_lose_their_padding_only() -> None:
    data = element(0x00080016, "UI", b"1.2.3\0") + element(0x00080018, "UI", b"1.2\0.4 ")
    data += element(0x0020000D, "UI", b"1\\2\0")
    header = scan(data, EXPLICIT)
    found = (header.sop_class_uid, header.sop_uid, header.study_uid, header.series_uid)
    assert found == ("1.2.3", "1.2\0.4", "1\\2", "")


def test_extra_elements_are_found_by_any_name() -> None:
    data = element(0x00101040, "LO", b"Street") + element(0x0019100C, "IS", b"1000")
    assert scan(data, EXPLICIT).values == {}
    expected = {"PatientAddress": "Street", "0019,100C": 1000}
    assert scan(data, EXPLICIT, extra=["PatientAddress", "0019,100c"]).values == expected
    assert scan(data, EXPLICIT, extra={0x00101040, 0x0019100C}).values == expected


def test_values_can_be_sent_as_they_are() -> None:
    data = element(0x00080008, "CS", b"A\\B") + element(ROWS, "US", b"\0\2") + element(0x00180050, "DS", b"nan ")
    values = scan(data, EXPLICIT).values
    assert json.loads(json.dumps(values, allow_nan=False)) == values == msgpack.unpackb(msgpack.packb(values))


@pytest.mark.parametrize("raw", [b"1600\0 ", b" 1600\0\0"])
def test_a_nul_at_the_end_of_a_number_is_padding(raw: bytes) -> None:
    assert one(0x00091001, "DS", raw) == Header({"0009,1001": 1600.0})


@pytest.mark.parametrize("raw", [b"\x00600", b"1\0\\2.", b"\0.5\\2."])
def test_a_nul_elsewhere_makes_no_other_number(raw: bytes) -> None:
    header = one(0x00091001, "DS", raw)
    assert header.flags == (NUMBER,)
    assert "\0" in str(header.values["0009,1001"]) or isinstance(header.values["0009,1001"], list)


def test_a_wanted_element_whose_vr_is_none_is_read_by_the_dictionary_and_flagged() -> None:
    data = struct.pack("<HH2sH", 0x0008, 0x0021, b"AA", 8) + b"20040826"
    assert scan(data, EXPLICIT) == Header({"SeriesDate": "20040826"}, (ENCODING,))
    assert one(0x00091001, "ZZ", b"") == Header({}, (ENCODING,))


def test_a_repeated_element_counts_as_last_written() -> None:
    data = element(MODALITY, "CS", b"CT") + element(MODALITY, "CS", b"MR")
    assert scan(data, EXPLICIT).values == {"Modality": "MR"}


def test_memoryviews_and_bytes_give_the_same() -> None:
    data = element(MODALITY, "CS", b"CT")
    assert scan(memoryview(bytearray(b"??" + data))[2:], EXPLICIT) == scan(data, EXPLICIT)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_nothing_behind_the_pixel_data_is_read(syntax: str) -> None:
    data = element(MODALITY, "CS", b"CT", syntax) + element(PIXELS, "OW", b"\0\0", syntax)
    assert scan(data + b"\xffgarbage", syntax) == Header({"Modality": "CT"})


@pytest.mark.parametrize("tag", [0x7FE00008, 0x7FE00009, PIXELS])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pixel_data_that_runs_beyond_the_end_is_a_flag(syntax: str, tag: int) -> None:
    data = element(MODALITY, "CS", b"CT", syntax) + element(tag, "OW", b"\0\0", syntax, length=4)
    assert scan(data, syntax) == Header({"Modality": "CT"}, (PIXELS_CUT,))


@pytest.mark.parametrize("syntax", [JPEG, *SYNTAXES])
def test_encapsulated_pixel_data_ends_the_scan(syntax: str) -> None:
    data = element(MODALITY, "CS", b"CT", syntax) + element(PIXELS, "OB", b"garbage", syntax, length=UNDEFINED)
    assert scan(data, syntax) == Header({"Modality": "CT"})


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_a_wanted_element_written_as_a_sequence_has_no_value(syntax: str) -> None:
    data = sequence(MODALITY, [], syntax, vr="UN") + element(0x00100020, "LO", b"12", syntax)
    assert scan(data, syntax) == Header({"PatientID": "12"})


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("defined", [True, False])
def test_sequences_are_stepped_over_and_their_values_are_not_taken(syntax: str, defined: bool) -> None:
    inner = sequence(0x00081140, [item(element(MODALITY, "CS", b"XX", syntax), syntax)] * 2, syntax)
    content = [item(inner + element(ROWS, "US", b"\1\1", syntax), syntax, defined), item(b"", syntax, defined)]
    data = sequence(0x00081110, content, syntax, defined) + element(MODALITY, "CS", b"CT", syntax)
    assert scan(data, syntax) == Header({"Modality": "CT"})


def test_un_of_undefined_length_holds_implicit_vr() -> None:
    content = item(sequence(0x00091002, [item(element(0x00091003, "LO", b"abc ", IMPLICIT))], IMPLICIT))
    data = sequence(0x00091001, [content], vr="UN") + element(MODALITY, "CS", b"CT")
    assert scan(data, EXPLICIT) == Header({"Modality": "CT"})


def test_a_length_inside_un_is_not_taken_for_a_vr() -> None:
    value = bytes(int.from_bytes(b"DA", "little"))
    content = item(element(0x00091003, "OB", value, IMPLICIT))
    data = sequence(0x00091001, [content], vr="UN") + element(MODALITY, "CS", b"CT")
    assert scan(data, EXPLICIT) == Header({"Modality": "CT"})


def test_explicit_vr_inside_un_is_understood() -> None:
    content = item(sequence(0x00091002, [item(element(0x00091003, "LO", b"abc "))]))
    data = sequence(0x00091001, [content], vr="UN") + element(MODALITY, "CS", b"CT")
    assert scan(data, EXPLICIT) == Header({"Modality": "CT"})


def test_an_encapsulated_icon_is_stepped_over() -> None:
    icon = sequence(PIXELS, [item(b"", defined=True), item(b"\xff\xd8", defined=True)], vr="OB")
    data = sequence(0x00880200, [item(icon)]) + element(0x00880140, "UI", b"1.2.")
    assert scan(data, JPEG, extra=["StorageMediaFileSetUID"]).values == {"StorageMediaFileSetUID": "1.2."}


@pytest.mark.parametrize(("said", "written"), [(EXPLICIT, IMPLICIT), (IMPLICIT, EXPLICIT), (JPEG, IMPLICIT)])
def test_a_mistaken_transfer_syntax_is_a_flag(said: str, written: str) -> None:
    data = element(MODALITY, "CS", b"CT", written) + element(0x00180050, "DS", b"1.5 ", written)
    assert scan(data, said) == Header({"Modality": "CT", "SliceThickness": 1.5}, (ENCODING,))


def test_a_mistaken_transfer_syntax_is_seen_at_a_first_element_of_any_length_field() -> None:
    data = element(0x00080006, "SQ", b"") + element(MODALITY, "CS", b"CT")
    assert scan(data, IMPLICIT) == Header({"Modality": "CT"}, (ENCODING,))


def test_single_elements_in_implicit_vr_are_understood() -> None:
    data = element(MODALITY, "CS", b"CT") + element(ROWS, "US", b"\0\2", IMPLICIT) + element(0x00280011, "US", b"\0\1")
    assert scan(data, EXPLICIT).values == {"Modality": "CT", "Rows": 512, "Columns": 256}


def test_a_vr_of_a_later_edition_is_stepped_over() -> None:
    later = struct.pack("<HH2sHI", 0x0009, 0x1001, b"XY", 0, 4) + b"abcd"
    older = struct.pack("<HH2sH", 0x0009, 0x1002, b"XY", 4) + b"abcd"
    assert scan(later + older + element(MODALITY, "CS", b"CT"), EXPLICIT) == Header({"Modality": "CT"})


# --- refused ---


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    ("length", "reason"), [(2, "longer than the object"), (0xFFFE, "longer than the object"), (0, "")]
)
def test_a_cut_element_makes_the_object_unreadable(syntax: str, length: int, reason: str) -> None:
    data = element(MODALITY, "CS", b"CT", syntax) + element(0x00100020, "LO", b"", syntax, length=length)
    if not reason:
        assert scan(data, syntax).values == {"Modality": "CT"}
        return
    with pytest.raises(UnreadableImage, match=rf"\(0010,0020\) .*{reason}"):
        scan(data, syntax)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_cut_before_the_pixel_data_is_either_unreadable_or_between_elements(syntax: str) -> None:
    parts = [
        element(MODALITY, "CS", b"CT", syntax),
        sequence(0x00081110, [item(element(0x00081150, "UI", b"1.2.", syntax), syntax)], syntax),
        element(ROWS, "US", b"\0\2", syntax),
    ]
    data = b"".join(parts)
    whole = {len(parts[0]), len(parts[0] + parts[1]), len(data)}
    for cut in range(len(data) + 1):
        if cut in whole:
            assert scan(data[:cut], syntax).values["Modality"] == "CT"
        else:
            with pytest.raises(UnreadableImage):
                scan(data[:cut], syntax)


def nested(depth: int, syntax: str = EXPLICIT) -> bytes:
    start = sequence(0x00081110, [], syntax)[:-8] + item(b"", syntax)[:8]
    end = item(b"", syntax)[8:] + sequence(0x00081110, [], syntax)[-8:]
    return start * depth + end * depth + element(MODALITY, "CS", b"CT", syntax)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_nesting_is_followed_to_its_limit_and_no_further(syntax: str) -> None:
    assert scan(nested(64, syntax), syntax) == Header({"Modality": "CT"})
    for depth in (65, 10_000):
        with pytest.raises(UnreadableImage, match="nested deeper than 64"):
            scan(nested(depth, syntax), syntax)


def test_a_missing_delimiter_is_unreadable() -> None:
    data = sequence(0x00081110, [item(element(ROWS, "US", b"\0\2"))])[:-8]
    with pytest.raises(UnreadableImage, match="head of an element"):
        scan(data, EXPLICIT)
    with pytest.raises(UnreadableImage, match="no item where one must begin"):
        scan(data + element(MODALITY, "CS", b"CT"), EXPLICIT)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_delimiters_of_items_are_forgiven_what_writers_do_to_them(syntax: str) -> None:
    end, inside = item(b"", syntax)[8:], element(ROWS, "US", b"\0\2", syntax)
    behind = element(MODALITY, "CS", b"CT", syntax)
    for items in (
        [item(inside, syntax, defined=True), end],  # not needed after an item of defined length
        [item(inside, syntax)[:-4] + b"\7\7\7\7"],  # its length says nothing
        [item(b"", syntax), end, end],
    ):
        assert scan(sequence(0x00081110, items, syntax) + behind, syntax) == Header({"Modality": "CT"})
    with pytest.raises(UnreadableImage, match="no item where one must begin"):
        scan(sequence(0x00081110, [end[:-4] + b"\7\7\7\7"], syntax) + behind, syntax)
    with pytest.raises(UnreadableImage):  # the end of a sequence does not end an item
        scan(sequence(0x00081110, [item(inside, syntax)[:-8]], syntax) + behind, syntax)


def test_an_item_longer_than_the_object_is_unreadable() -> None:
    data = element(0x00081110, "SQ", struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFE), length=UNDEFINED)
    with pytest.raises(UnreadableImage, match=r"\(FFFE,E000\) .*longer than the object"):
        scan(data, EXPLICIT)


def test_too_many_elements_are_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.header.walk.MAX_ELEMENTS", 10)
    flat, inside = element(ROWS, "US", b"\0\2"), item(b"", defined=True)
    assert scan(flat * 9, EXPLICIT).values == {"Rows": 512}
    assert scan(sequence(0x00081110, [inside] * 9) + flat, EXPLICIT).values == {"Rows": 512}
    for data in (flat * 11, sequence(0x00081110, [inside] * 10), element(ROWS, "US", b"\0\2", IMPLICIT) * 11):
        with pytest.raises(UnreadableImage, match="more than 10 elements"):
            scan(data, EXPLICIT)


def test_the_reason_never_quotes_the_object() -> None:
    data = element(0x00100010, "PN", b"Secret^Name") + element(0x00100020, "LO", b"SECRET", length=99)
    with pytest.raises(UnreadableImage) as caught:
        scan(data, EXPLICIT)
    assert "secret" not in str(caught.value).lower()


def test_an_empty_object_is_unreadable() -> None:
    with pytest.raises(UnreadableImage, match="empty"):
        scan(b"", EXPLICIT)


def test_an_unknown_extra_element_is_the_callers_fault() -> None:
    with pytest.raises(ValueError, match="no DICOM keyword"):
        scan(element(MODALITY, "CS", b"CT"), EXPLICIT, extra=["NoSuchKeyword"])


# --- deflated ---


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def test_deflated_objects_are_inflated_as_far_as_needed() -> None:
    head = element(MODALITY, "CS", b"CT")
    long_head = element(0x00091001, "OB", bytes(2 * scanning.INFLATE_FIRST)) + head
    pixels = element(PIXELS, "OW", bytes(3 * scanning.INFLATE_FIRST))
    for data in (head, head + pixels, long_head, long_head + pixels):
        assert scan(deflate(data), DEFLATED) == Header({"Modality": "CT"})


def test_a_cut_deflated_object_has_cut_pixels_or_is_unreadable() -> None:
    data = deflate(element(MODALITY, "CS", b"CT") + element(PIXELS, "OW", bytes(1000)))
    assert scan(data[:-4], DEFLATED) == Header({"Modality": "CT"}, (PIXELS_CUT,))
    with pytest.raises(UnreadableImage):
        scan(data[:5], DEFLATED)


def test_a_deflate_bomb_is_inflated_to_the_limit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "INFLATE_MOST", 2 * scanning.INFLATE_FIRST)
    data = deflate(element(0x00091001, "OB", bytes(4 * scanning.INFLATE_FIRST)) + element(MODALITY, "CS", b"CT"))
    with pytest.raises(UnreadableImage, match="longer than 524288 bytes"):
        scan(data, DEFLATED)


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x03\x00", b"not deflated at all"])
def test_what_is_no_deflated_object_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableImage):
        scan(data, DEFLATED)


# --- private elements by creator, paths into sequences ---

CREATOR = "SIEMENS MR HEADER"
PRIVATE = f"0019,xx0C {CREATOR}"
STEP = "RequestAttributesSequence.ScheduledProcedureStepID"
REQUESTS, STEP_ID = 0x00400275, 0x00400009


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_private_element_is_found_in_the_block_of_its_creator(syntax: str) -> None:
    data = element(0x00190010, "LO", b"OTHER 1.0", syntax) + element(0x00190011, "LO", b"SIEMENS MR HEADER ", syntax)
    data += element(0x0019100C, "IS", b"7 ", syntax) + element(0x0019110C, "IS", b"1000", syntax)
    expected = "1000" if syntax == IMPLICIT else 1000  # without its writer's dictionary it is a text
    assert scan(data, syntax, extra=[PRIVATE]).values == {PRIVATE: expected}
    both = scan(data, syntax, extra=[PRIVATE, "0019,110C", "0019,0011"]).values
    assert both == {PRIVATE: expected, "0019,110C": expected, "0019,0011": CREATOR}


def test_a_private_element_without_its_creator_is_nobodys() -> None:
    data = element(0x0019100C, "IS", b"1000")
    assert scan(data, EXPLICIT, extra=[PRIVATE]).values == {}
    assert scan(element(0x00190011, "LO", CREATOR.encode()) + data, EXPLICIT, extra=[PRIVATE]).values == {}


def test_two_creators_of_one_element_are_kept_apart() -> None:
    data = element(0x00190010, "LO", b"A") + element(0x00190011, "LO", b"B.1") + element(0x00191001, "LO", b"a")
    data += element(0x00191101, "LO", b"b")
    assert scan(data, EXPLICIT, extra=["0019,xx01 A", "0019,xx01 B.1"]).values == {
        "0019,xx01 A": "a",
        "0019,xx01 B.1": "b",
    }


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("defined", [True, False])
def test_a_path_reaches_into_the_first_item(syntax: str, defined: bool) -> None:
    codes = sequence(0x00400008, [item(element(0x00080100, "SH", b"CODE", syntax), syntax, defined)], syntax, defined)
    inside = [element(0x00400007, "LO", b"Head", syntax), codes, element(STEP_ID, "SH", b"S1", syntax)]
    other = item(element(STEP_ID, "SH", b"S2", syntax), syntax, defined)
    data = sequence(REQUESTS, [item(b"".join(inside), syntax, defined), other], syntax, defined)
    data += element(0x00400280, "ST", b"after", syntax)
    code = "RequestAttributesSequence.ScheduledProtocolCodeSequence.CodeValue"
    assert scan(data, syntax, extra=[STEP, code]) == Header({STEP: "S1", code: "CODE"})
    assert scan(data, syntax).values == {}


@pytest.mark.parametrize(
    "content", [item(element(STEP_ID, "SH", b"S1", IMPLICIT), IMPLICIT), item(element(STEP_ID, "SH", b"S1"))]
)
@pytest.mark.parametrize("defined", [True, False])
def test_a_path_reaches_into_a_sequence_whose_vr_was_lost(content: bytes, defined: bool) -> None:
    assert scan(sequence(REQUESTS, [content], vr="UN", defined=defined), EXPLICIT, extra=[STEP]).values == {STEP: "S1"}


def test_a_path_sees_private_elements_and_character_sets_of_the_item() -> None:
    inside = (
        element(0x00080005, "CS", b"ISO_IR 144") + element(0x00190010, "LO", b"X.1") + element(0x00191001, "LO", b"p")
    )
    data = element(0x00080005, "CS", b"ISO_IR 100")
    data += sequence(REQUESTS, [item(inside + element(STEP_ID, "SH", b"\xc4"))]) + element(0x00400280, "ST", b"\xc4")
    names = [STEP, "RequestAttributesSequence.0019,xx01 X.1", "CommentsOnThePerformedProcedureStep"]
    values = scan(data, EXPLICIT, extra=names).values
    assert [values[name] for name in names] == ["Ф", "p", "Ä"]


@pytest.mark.parametrize(
    "content",
    [b"", b"abc",
     b"\xfe\xff\1\xe0\x0a\0\0\0" + element(STEP_ID, "SH", b"S1"),
     item(b""), item(element(STEP_ID, "SH", b"S1"))[:-12], b"\xfe\xff\x00\xe0\xff\xff\xff\x0fxx", item(b"\xff" * 9)],
)  # fmt: skip
def test_a_path_into_a_damaged_sequence_is_missing(content: bytes) -> None:
    data = element(REQUESTS, "SQ", content) + element(0x00400280, "ST", b"after")
    assert scan(data, EXPLICIT, extra=[STEP, "CommentsOnThePerformedProcedureStep"]).values == {
        "CommentsOnThePerformedProcedureStep": "after"
    }


@pytest.mark.parametrize(
    "name", ["0018,xx01 A", "0019,xx01 ", "0019,xx0 A", "NoSequence.PatientID", "PatientID.", ".PatientID"]
)
def test_a_name_that_hangs_on_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no DICOM"):
        scan(element(MODALITY, "CS", b"CT"), EXPLICIT, extra=[name])


def test_a_path_has_an_end() -> None:
    long = "RequestAttributesSequence." * 8 + "PatientID"
    with pytest.raises(ValueError, match="more than 8"):
        scan(element(MODALITY, "CS", b"CT"), EXPLICIT, extra=[long])
    assert scan(element(MODALITY, "CS", b"CT"), EXPLICIT, extra=[long.removeprefix("RequestAttributesSequence.")])
