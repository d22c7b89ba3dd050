"""Names made of header values stay inside, stay apart, and can be written on any file system."""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.targets.placing import MAX_PART, Placing, file_name
from protocol.routing.layouts import MAX_PARTS
from protocol.routing.targets import FolderTarget
from protocol.spool.images import ImageFile

UID = "1.2.840.99.1"
HOSTILE = [
    "..", ".", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "..\\..\\x", "C:\\x", "", " ", ". .", "...", "-rf", "~root",
    "~", "*?<>|\":;&$`'!#%{}[]", "a\0b", "a\nb\r\tc", "\x1b[31mred", "\x7f", "CON", "con", "nul.txt", "COM1", "LPT9.x", "COM¹",
    "CONIN$", "aux ", "trailing.", "trailing ", "Müller^Jürgen", "Mu\u0308ller", "山田^太郎=やまだ", "\u202eevil", "\ud800",
    "😀", "x" * 5000, "ü" * 200, "A~0123456789", "ﬀ", "İ", "ß", "no PatientID", "ABC", "abc", "Abc",
]  # fmt: skip
VALUES = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=80), st.from_regex(r"[A-Z0-9._ -]{0,12}", fullmatch=True))


def image(uid: str = UID, **values: object) -> ImageFile:
    return ImageFile(bytes(16), Path("x"), 0, 1, "1.2.3", uid, "1.2.840.10008.1.2.1", values)


def name(layout: str, **values: object) -> str:
    return Placing(layout).name(image(**values))


def folded(text: str) -> str:
    """As file systems compare that ignore case and how letters are composed."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())


def check_safe(text: str) -> None:
    for part in text.split("/"):
        assert 0 < len(part.encode()) <= MAX_PART + len(".dcm")
        assert part[0] not in ".-~ " and part[-1] not in ". "
        assert all(unicodedata.category(letter)[0] in "LMN" or letter in " ._-^+=@()~" for letter in part)
        assert unicodedata.is_normalized("NFC", part)
        assert not PureWindowsPath(part).is_reserved()
    assert not PurePosixPath(text).is_absolute() and ".." not in PurePosixPath(text).parts


def test_ids_dates_codes_and_uids_are_kept_as_they_are():
    layout = "{PatientID}/{StudyDate}_{Modality}/{StudyInstanceUID}/{SeriesNumber}"
    values = {
        "PatientID": "P-0042",
        "StudyDate": "20260131",
        "Modality": "CT",
        "StudyInstanceUID": "1.2.3",
        "SeriesNumber": 7,
    }
    assert name(layout, **values) == f"P-0042/20260131_CT/1.2.3/7/{UID}.dcm"


def test_without_a_layout_all_images_lie_in_the_top_folder():
    assert name("") == f"{UID}.dcm"


def test_what_is_changed_stays_readable_and_carries_a_digest():
    found = name("{PatientName}", PatientName="Müller/Jürgen").split("/")[0]
    readable, _, digest = found.partition("~")
    assert readable == "Müller_Jürgen" and len(digest) == 10


def test_a_missing_value_is_seen_and_no_value_can_pose_as_missing():
    missing = name("{PatientID}").split("/")[0]
    assert missing.startswith("no PatientID~")
    assert name("{PatientID}", PatientID="") == name("{PatientID}") == name("{PatientID}", PatientID=["", ""])
    assert folded(name("{PatientID}", PatientID=missing)) != folded(name("{PatientID}"))
    assert name("{PatientID}", PatientID="no PatientID") != name("{PatientID}")


def test_several_values_and_numbers_are_written_as_people_do():
    assert name("{ImageType}", ImageType=["ORIGINAL", "AXIAL"]).startswith("ORIGINAL_AXIAL~")
    assert name("{SliceThickness}", SliceThickness=2.0) == name("{SliceThickness}", SliceThickness=2)
    assert name("{SliceThickness}", SliceThickness=1.5) == f"1.5/{UID}.dcm"


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_cannot_leave_its_folder(value):
    for layout in ("{PatientID}", "x{PatientID}", "{PatientID}.", ".{PatientID}", "{PatientID}{PatientName}/{StudyID}"):
        text = name(layout, PatientID=value, PatientName=value, StudyID=value)
        if not layout.startswith("."):  # whoever writes a layout may hide folders
            check_safe(text)
        assert len(text.split("/")) == len(layout.split("/")) + 1


@given(st.dictionaries(st.sampled_from(["PatientID", "PatientName"]), VALUES))
def test_every_name_is_safe(values):
    check_safe(name("{PatientID}_{PatientName}/a {PatientName}", **values))


@given(VALUES, VALUES)
@example("abc", "ABC")
@example("A", "A~559aead08264")
def test_different_values_never_share_a_name_even_where_case_does_not_count(one, other):
    same = name("{PatientID}", PatientID=one), name("{PatientID}", PatientID=other)
    assert (folded(same[0]) == folded(same[1])) == ((one or None) == (other or None))


PAIRS = st.tuples(VALUES, VALUES)


@given(PAIRS, PAIRS, st.sampled_from(["{A}{B}", "{A}_{B}", "x{A}-{B}y", "{A}~{B}", "{A} a {B}"]))
@example(("A", "BC"), ("AB", "C"), "{A}{B}")
@example(("A_B", "C"), ("A", "B_C"), "{A}_{B}")
def test_values_that_share_a_folder_cannot_be_shifted_against_each_other(one, other, pattern):
    layout = pattern.replace("{A}", "{PatientID}").replace("{B}", "{Modality}")
    names = [name(layout, PatientID=first, Modality=second) for first, second in (one, other)]
    assert (folded(names[0]) == folded(names[1])) == (
        tuple(value or None for value in one) == tuple(value or None for value in other)
    )


def test_a_long_value_is_cut_between_letters_and_still_told_apart():
    one, other = (name("{PatientName}", PatientName="ü" * 200 + end).split("/")[0] for end in "AB")
    assert len(one.encode()) <= MAX_PART and one != other and one.startswith("ü" * 40)


def test_the_longest_name_fits_into_a_key_of_s3():
    layout = "/".join(["{PatientName}"] * MAX_PARTS)
    longest = Placing(layout).name(image("1." + "2" * 62, PatientName="x" * 200))
    assert len(longest.encode()) < 1000 and FolderTarget(type="folder", path="/x", layout=layout)


@pytest.mark.parametrize("uid", ["../x", "", "1.2/3", "a" * 300, "con"])
def test_even_a_uid_that_is_none_makes_a_safe_file_name(uid):
    made = file_name(image(uid))
    check_safe(made)
    assert made.endswith(".dcm") and "~" in made


def test_sender_and_sop_class_can_be_used_in_a_layout():
    found = Placing("{SenderAET}/{SOPClassUID}/{TransferSyntaxUID}").folder(image(SenderAET="CT1"))
    assert found == "CT1/1.2.3/1.2.840.10008.1.2.1"


def test_the_page_shows_names_as_they_are_made():
    page = (Path(__file__).resolve().parents[2] / "docs" / "targets.md").read_text("utf-8")
    assert f"`{Placing('{PatientName}').folder(image(PatientName='Doe^John'))}`" in page
