"""What a layout may say, and which header values it makes the receiver keep."""

from __future__ import annotations

import json

import pytest

from protocol.errors import RoutingError
from protocol.header.wanted import compile_wanted
from protocol.routing.layouts import MAX_PARTS, keywords_of, parts_of
from protocol.routing.parse import parse


def configuration(layout: str):
    targets = {"share": {"type": "folder", "path": "/x", "layout": layout}}
    return parse(json.dumps({"targets": targets}).encode(), "routing.json")


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("/{PatientID}", "relative"),
        ("a//b", "relative"),
        ("a/../b", "relative"),
        (".", "relative"),
        ("a\\b", "backslash"),
        ("a\tb", "control"),
        ("{PatientID", "one DICOM keyword"),
        ("{}", "keyword"),
        ("{patientid}", "keyword"),
        ("{PixelData}", "keyword"),
        ("{MediaStorageSOPClassUID}", "keyword"),
        ("{RequestAttributesSequence}", "keyword"),
        ("{ImageCount}", "late image"),
        ("{ReceivedAt}", "late image"),
        ("/".join("a" * (MAX_PARTS + 1)), "folders"),
    ],
)
def test_a_layout_that_cannot_work_is_refused_with_the_reason(layout, words):
    with pytest.raises(RoutingError) as caught:
        configuration(layout)
    assert caught.value.faults[0].place == "targets.share.layout" and words in str(caught.value)


@pytest.mark.parametrize("layout", ["", "a", "{SenderAET}/{StudyDate}", "/".join("a" * MAX_PARTS)])
def test_other_layouts_are_taken(layout):
    assert configuration(layout).targets["share"].layout == layout


def test_the_receiver_keeps_what_a_layout_needs():
    keywords = configuration("{SenderAET}/{PatientSpeciesDescription}/{TransferSyntaxUID}").keywords
    assert keywords == {"PatientSpeciesDescription", "TransferSyntaxUID"}
    assert "PatientSpeciesDescription" in compile_wanted(keywords).keys


def test_a_layout_is_read_into_texts_and_keywords():
    (part, last) = parts_of("a{PatientID}-{Modality}/b")
    assert (part.texts, part.keywords) == (("a", "-", ""), ("PatientID", "Modality"))
    assert (last.texts, last.keywords) == (("b",), ())
    assert parts_of("") == () and keywords_of("{Modality}/{Modality}") == {"Modality"}
