"""Transfer syntaxes in a target's settings: names, UIDs, faults that help, and in which order an image is offered."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from protocol.errors import RoutingError
from protocol.routing.parse import parse
from protocol.routing.schema import schema
from protocol.routing.syntaxes import CHANGED, EXPLICIT, IMPLICIT, JPEG_LS, MADE, NAMES, RLE, name_of, uid_of, ways

DICOM = {"type": "dicom", "host": "pacs", "port": 104, "called_ae": "PACS"}


def target(**said):
    return parse(json.dumps({"targets": {"one": {**DICOM, **said}}}).encode(), "routing.json").targets["one"]


def test_the_names_are_those_of_the_standard():
    for name, uid in NAMES.items():
        assert UID(uid).is_transfer_syntax and not UID(uid).is_private
        compressed = name.startswith(("jpeg", "htj2k", "rle"))
        assert UID(uid).is_compressed == compressed or name == "deflated"
    assert len(set(NAMES.values())) == len(NAMES) and name_of("1.2.3") == "1.2.3"


def test_a_list_may_mix_names_and_uids_and_stays_as_it_was_written():
    assert target(transfer_syntaxes=["implicit", "1.2.840.10008.1.2.4.102"]).transfer_syntaxes == (
        "implicit", "1.2.840.10008.1.2.4.102",
    )  # fmt: skip
    assert target().transfer_syntaxes is None and target().transcode == "never"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"transfer_syntaxes": ["jpegls"]}, "Did you mean 'jpeg-ls'"),
        ({"transfer_syntaxes": ["zip"]}, "implicit, explicit"),
        ({"transfer_syntaxes": ["explicit", EXPLICIT]}, "listed twice"),
        ({"transfer_syntaxes": []}, "at least 1"),
        ({"transfer_syntaxes": ["1.2.840..10008"]}, "no transfer syntax"),
        ({"transcode": "lossy"}, "never"),
    ],
)
def test_what_is_no_transfer_syntax_is_refused_with_what_to_write_instead(said, words):
    with pytest.raises(RoutingError, match=words):
        target(**said)


def test_several_images_per_request_have_to_be_sent_as_they_are():
    web = {
        "type": "dicomweb",
        "url": "https://pacs/dicom-web",
        "images_per_request": 4,
        "transfer_syntaxes": ["explicit"],
    }
    with pytest.raises(RoutingError, match="images_per_request"):
        parse(json.dumps({"targets": {"one": web}}).encode(), "routing.json")


def test_the_schema_knows_the_names():
    assert "jpeg2000-lossless" in json.dumps(schema())


def test_the_page_about_it_lists_every_name_and_its_examples_can_be_used():
    page = (Path(__file__).resolve().parents[2] / "docs" / "transcoding.md").read_text("utf-8")
    rows = re.findall(r"^\| (`.*`).* \| ([0-9., ]+) \| (yes|read only) \|$", page, re.MULTILINE)
    listed = {name: made for names, _, made in rows for name in re.findall("`([^`]+)`", names)}
    assert listed == {name: "yes" if uid in MADE else "read only" for name, uid in NAMES.items()}
    example = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert example and len(parse(b'{"targets": {' + example[1].encode() + b"}}", "docs").targets) == 3


def test_without_leave_an_image_is_offered_as_it_is_stored_or_not_at_all():
    assert ways(JPEG_LS, None, "never") == (JPEG_LS,)
    assert ways(JPEG_LS, ("explicit",), "never") == ()
    assert ways(JPEG_LS, ("explicit", "jpeg-ls"), "never") == (JPEG_LS,)


def test_with_leave_the_stored_one_is_first_then_uncompressed_then_lossless_ones():
    assert ways(RLE, None, "lossless") == (RLE, EXPLICIT, IMPLICIT)
    assert ways(RLE, ("jpeg-ls", "implicit", "rle"), "lossless") == (RLE, IMPLICIT, JPEG_LS)
    assert ways(EXPLICIT, ("jpeg-ls", "jpeg-baseline"), "lossless") == (JPEG_LS,)
    assert ways("1.2.840.10008.1.2.4.102", ("explicit",), "lossless") == ()  # video is never changed
    assert ways("1.2.840.10008.1.2.4.102", None, "lossless") == ("1.2.840.10008.1.2.4.102",)


@given(
    st.sampled_from([*CHANGED, "1.2.3"]), st.none() | st.lists(st.sampled_from([*NAMES]), min_size=1, unique=True),
    st.sampled_from(["never", "lossless"]),
)  # fmt: skip
def test_nothing_is_offered_twice_beyond_the_list_or_by_loss(stored, listed, transcode):
    found = ways(stored, listed, transcode)
    assert len(set(found)) == len(found)
    assert listed is None or set(found) <= {uid_of(name) for name in listed}
    assert all(uid == stored or uid in MADE for uid in found) and stored not in found[1:]
