"""What rules come to on hand-made arrivals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest

from protocol.routing.rules.compiler import compile_rule
from protocol.routing.rules.english import english
from protocol.routing.rules.explain import LIMIT_TEXT, LIMIT_VALUES
from protocol.routing.rules.subject import FIRST_IMAGE_NOTE, Subject
from tests.routing.rules.rule_testing import result

HEADER = {
    "Modality": "MR",
    "StudyDescription": "Cardiac stress ",
    "SeriesNumber": "101",
    "ImageType": ["ORIGINAL", "PRIMARY"],
    "SliceThickness": 1.5,
    "EchoTime": "garbage",
    "PatientComments": " ",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("True", "true"),
        ("False", "false"),
        ("Modality == 'MR' and contains(StudyDescription, 'cardiac') and SeriesNumber > 100", "true"),
        ("100 < SeriesNumber < 102", "true"),
        ("100 < SeriesNumber < 101", "false"),
        ("'ORIGINAL' in ImageType and not 'ORIG' in ImageType", "true"),
        ("'card' in StudyDescription", "false"),
        ("'Card' in StudyDescription", "true"),
        ("lower(StudyDescription) == 'cardiac stress'", "true"),
        ("upper(ImageType) == ('ORIGINAL', 'PRIMARY')", "true"),
        ("startswith(StudyDescription, 'CARD') and endswith(StudyDescription, 'Stress')", "true"),
        ("contains(ImageType, 'prim')", "true"),
        ("PatientID == 'x'", "unknown"),
        ("not PatientID == 'x'", "unknown"),
        ("PatientID == 'x' or Modality == 'MR'", "true"),
        ("PatientID == 'x' and Modality == 'CT'", "false"),
        ("missing(PatientComments) and missing(PatientID) and exists(Modality)", "true"),
        ("contains(PatientID, 'x')", "unknown"),
        ("Modality > 3", "error"),
        ("EchoTime > 3", "error"),
        ("exists(EchoTime)", "true"),
        ("Modality > 3 or Modality == 'MR'", "true"),
        ("Modality > 3 and Modality == 'CT'", "false"),
        ("contains(SeriesNumber, '1')", "error"),
        ("lower(SeriesNumber) == 'x'", "error"),
        ("SeriesNumber == '101'", "error"),
        ("SliceThickness in (1.5, 3)", "true"),
        ("ImageCount == 1 and count_images() == 1", "true"),
    ],
)
def test_a_rule_on_one_header(text: str, expected: str) -> None:
    assert result(text, HEADER) == expected


def test_origin_names_come_from_the_origin_and_no_header_can_pose_as_one() -> None:
    origin = {"SenderAET": "MR3 ", "Source": "mr3"}
    assert result("SenderAET == 'MR3' and Source == 'mr3'", {"SenderAET": "EVIL"}, origin=origin) == "true"
    assert result("SenderAET == 'EVIL'", {"SenderAET": "EVIL"}) == "unknown"
    assert result("any_image(SenderAET == 'EVIL')", {"SenderAET": "EVIL"}) == "unknown"


def test_the_transfer_syntax_is_each_images_own_where_it_is_known() -> None:
    images = {"TransferSyntaxUID": "1.2.840.10008.1.2.1"}, {"TransferSyntaxUID": "1.2.840.10008.1.2.4.50"}
    assert result("any_image(TransferSyntaxUID == '1.2.840.10008.1.2.4.50')", *images) == "true"
    assert result("any_image(TransferSyntaxUID == '1.2')", {}, origin={"TransferSyntaxUID": "1.2"}) == "true"


THIN = {"SliceThickness": "1", "InstanceNumber": "2", "SOPInstanceUID": "1.2"}
THICK = {"SliceThickness": "5", "InstanceNumber": "1", "SOPInstanceUID": "1.9"}
UNSAID = {"InstanceNumber": "10", "SOPInstanceUID": "1.1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("any_image(SliceThickness < 2)", "true"),
        ("all_images(SliceThickness < 2)", "false"),
        ("all_images(SliceThickness < 9)", "unknown"),
        ("any_image(SliceThickness < 1)", "unknown"),
        ("first_image(SliceThickness > 2)", "true"),
        ("first_image(SliceThickness) == 5", "true"),
        ("SliceThickness == 5", "true"),
        ("count_images(SliceThickness < 9) == 2", "true"),
        ("count_images(missing(SliceThickness)) == 1", "true"),
        ("count_images(SliceThickness > 'a') == 0", "error"),
        ("any_image(SliceThickness > 'a')", "error"),
        ("all_images(exists(InstanceNumber))", "true"),
    ],
)
def test_image_functions_see_every_image(text: str, expected: str) -> None:
    assert result(text, UNSAID, THIN, THICK) == expected


def test_the_first_image_goes_by_number_then_uid_and_unnumbered_ones_come_last() -> None:
    images: Sequence[Mapping[str, object]] = [
        {"SOPInstanceUID": "1.0", "Modality": "none"},
        {"SOPInstanceUID": "1.3", "InstanceNumber": "x", "Modality": "bad"},
        {"SOPInstanceUID": "1.2", "InstanceNumber": "10", "Modality": "ten"},
        {"SOPInstanceUID": "1.1", "InstanceNumber": "10", "Modality": "ten-first"},
    ]
    assert result("first_image(Modality) == 'ten-first'", *images) == "true"
    assert result("first_image(Modality) == 'none'", *images[:2]) == "true"


def test_a_value_that_differs_between_images_is_the_first_ones_and_the_explanation_says_so() -> None:
    rule = compile_rule("SliceThickness == 5")
    values = rule.evaluate(Subject([THIN, THICK])).explanation["values"]
    assert values == [{"name": "SliceThickness", "value": 5, "note": FIRST_IMAGE_NOTE}]
    assert "note" not in rule.evaluate(Subject([THICK, THICK])).explanation["values"][0]
    assert (
        "note"
        not in rule.evaluate(Subject([{"SliceThickness": 5}, {"SliceThickness": "5.0"}])).explanation["values"][0]
    )


def test_common_values_count_for_every_image_unless_it_has_its_own_or_none() -> None:
    subject = Subject([{}, {"EchoTime": 20}, {"EchoTime": None}], common={"EchoTime": 10})
    assert compile_rule("count_images(EchoTime == 10) == 1").result(subject) == "true"
    assert compile_rule("count_images(missing(EchoTime)) == 1").result(subject) == "true"


def test_without_any_image_nothing_is_said_of_all_of_them() -> None:
    assert result("all_images(True)") == "unknown"
    assert result("any_image(True)") == "unknown"
    assert result("first_image(Modality) == 'x'") == "unknown"
    assert result("count_images() == 0") == "true"


def test_an_explanation_names_clauses_results_values_and_reasons() -> None:
    explanation = compile_rule("modality == 'MR' and EchoTime > 3").evaluate(Subject([HEADER])).explanation
    assert explanation["result"] == "error"
    first, second = explanation["clauses"]
    assert first == {
        "text": "modality == 'MR'",
        "kind": "compare",
        "result": "true",
        "values": [{"name": "Modality", "value": "MR"}],
    }
    assert second["reason"] == "text cannot be compared with a number by >"


def test_an_explanation_stays_small_whatever_the_values() -> None:
    header = {"Modality": "x" * 60_000, "ImageType": ["A"] * 5_000}
    rule = compile_rule("any_image(Modality == 'a' or ImageType == 'a') and Modality == 'b'")
    explanation = rule.evaluate(Subject([header] * 40)).explanation
    assert len(json.dumps(explanation)) < 4 * (LIMIT_TEXT + LIMIT_VALUES * 10) + 2_000
    assert explanation["clauses"][0]["images"] == {"false": 40}


class Broken(dict[str, object]):
    """A header that cannot be read at all."""

    def __contains__(self, key: object) -> bool:
        raise RuntimeError("broken")


def test_evaluation_never_raises() -> None:
    rule = compile_rule("Modality == 'MR'")
    evaluation = rule.evaluate(Subject([Broken()]))
    assert evaluation.result == rule.result(Subject([Broken()])) == "error"
    assert "RuntimeError" in evaluation.explanation["reason"]


def test_english() -> None:
    text = (
        "Modality == 'MR' and (contains(StudyDescription, 'cardiac') or EchoTime not in (1, 2)) and missing(PatientID)"
    )
    assert english(compile_rule(text).tree) == (
        "Modality is 'MR' and (Study Description contains 'cardiac' or Echo Time is none of 1, 2) "
        "and Patient ID is missing"
    )
