"""Names: keywords, paths, tags, as the header scan takes them; and what is meant by one that nobody knows."""

from __future__ import annotations

import pytest
from pydicom.datadict import keyword_dict

from protocol.header.wanted import MAX_PATH, compile_wanted
from protocol.routing.rules.compiler import compile_rule
from protocol.routing.rules.names import ARRIVAL_NAMES, by_tag, known_names
from tests.routing.rules.rule_testing import refusal


@pytest.mark.parametrize(
    ("text", "keywords"),
    [
        ("modality == 'x'", ("Modality",)),
        (
            "requestattributessequence.SCHEDULEDPROCEDURESTEPID == 'x'",
            ("RequestAttributesSequence.ScheduledProcedureStepID",),
        ),
        ("tag('0019,100c') == 1", ("0019,100C",)),
        ("tag('(0019, 100C)', creator=' SIEMENS MR HEADER ') == 1", ("0019,xx0C SIEMENS MR HEADER",)),
        ("tag('00080060') == 'MR'", ("Modality",)),
        ("tag('6000,0010') == 5", ("6000,0010",)),
        ("tag('0009,0010') == 'x'", ("0009,0010",)),
        ("age() < 18", ("PatientAge", "PatientBirthDate", "StudyDate")),
        ("hour() < 18 and SenderAET == 'x'", ()),
        ("TransferSyntaxUID == '1'", ("TransferSyntaxUID",)),
        ("True if any_image(EchoTime > 1) else KVP > 2", ("EchoTime", "KVP")),
    ],
)
def test_keywords_are_what_the_header_scan_takes(text: str, keywords: tuple[str, ...]) -> None:
    rule = compile_rule(text)
    assert rule.keywords == keywords
    assert set(keywords) <= set(compile_wanted(frozenset(keywords)).keys)


def test_every_name_that_a_rule_may_write_is_one_that_the_scan_takes() -> None:
    readable = [
        known.name for known in known_names().values() if known.kind in ("text", "number", "date", "time", "datetime")
    ]
    assert len(readable) > 3000
    assert set(readable) - ARRIVAL_NAMES <= set(compile_wanted(frozenset(set(readable) - ARRIVAL_NAMES)).keys)


def test_a_tag_of_the_dictionary_is_its_keyword() -> None:
    for keyword, tag in keyword_dict.items():
        if keyword:
            assert by_tag(tag).name == keyword


def test_a_canonical_text_compiles_to_itself() -> None:
    for text in (
        "  tag( '(0019,100c)' ,creator = 'X' ) == 1 and requestattributessequence . scheduledprocedurestepid=='ä'",
        "tag('0008,0060') == 'MR'",
    ):
        canonical = compile_rule(text).text
        assert compile_rule(canonical).text == canonical
    assert compile_rule("tag( '(0019,100c)' ,creator = 'X' ) == 1").text == "tag( '0019,100C' ,creator = 'X' ) == 1"


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("RequestAttributesSequence == 'x'", 0, "is a sequence"),
        ("RequestAttributesSeq.Modality == 'x'", 0, "'RequestAttributesSequence'"),
        ("RequestAttributesSequence.Modalty == 'x'", 26, "'Modality'"),
        ("Modality.PatientID == 'x'", 0, "no sequence"),
        ("RequestAttributesSequence.Modality.PatientID == 'x'", 26, "no sequence"),
        ("RequestAttributesSequence.RequestAttributesSequence == 'x'", 26, "is a sequence"),
        ("RequestAttributesSequence.PixelData == 'x'", 26, "binary"),
        ("RequestAttributesSequence.SenderAET == 'x'", 26, "write SenderAET alone"),
        (".".join(["RequestAttributesSequence"] * MAX_PATH) + ".Modality == 'x'", 0, f"at most {MAX_PATH}"),
        ("exists(RequestAttributesSequence.)", 33, "cannot be read"),
        (
            "RequestAttributesSequence.ScheduledProcedureStepID",
            0,
            "write exists(RequestAttributesSequence.ScheduledProcedureStepID)",
        ),
        ("SourceApplicationEntityTitle == 'x'", 0, "write SenderAET"),
        ("PriorityX == 'x'", 0, "unknown name"),
        ("tags == 'x'", 0, "write the keyword alone"),
    ],
)
def test_a_name_that_no_header_can_have_is_refused_at_its_place(text: str, position: int, says: str) -> None:
    error = refusal(text)
    assert says in str(error)
    assert error.position == position


def test_the_longest_path_compiles() -> None:
    path = ".".join([*["RequestAttributesSequence"] * (MAX_PATH - 1), "CodeValue"])
    assert compile_rule(f"{path} == 'x'").keywords == (path,)
    assert compile_wanted(frozenset([path]))
