"""What rules come to: against hand-made arrivals, and against a naive reference on random expressions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.routing.rules.compiler import compile_rule
from protocol.routing.rules.english import english
from protocol.routing.rules.explain import LIMIT_TEXT, LIMIT_VALUES
from protocol.routing.rules.subject import FIRST_IMAGE_NOTE, Subject


def result(text: str, *images: Mapping[str, object], origin: Mapping[str, object] | None = None) -> str:
    subject = Subject(images, origin or {})
    rule = compile_rule(text)
    evaluation = rule.evaluate(subject)
    assert rule.result(subject) is evaluation.result
    json.dumps(evaluation.explanation, allow_nan=False)
    return str(evaluation.result)


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


# --- a naive reference -------------------------------------------------------------------------------------------

NUMBERS = ("SeriesNumber", "EchoTime", "SliceThickness")
TEXTS = ("Modality", "StationName", "SenderAET")
AND_ORDER = ("false", "error", "unknown", "true")
OR_ORDER = ("true", "error", "unknown", "false")
Expression = tuple[Any, ...]


def write(expression: Expression) -> str:
    """The text of a random expression."""
    kind, *parts = expression
    if kind == "const":
        return repr(parts[0])
    if kind == "name":
        return str(parts[0])
    if kind == "truth":
        return str(parts[0])
    if kind == "compare":
        return " ".join(write(part) if isinstance(part, tuple) else part for part in parts)
    if kind == "not":
        return f"not ({write(parts[0])})"
    if kind in ("and", "or"):
        return "(" + f") {kind} (".join(write(part) for part in parts) + ")"
    return f"{kind}({', '.join(write(part) for part in parts)})"


def naive_value(expression: Expression, header: Mapping[str, Any]) -> Any:
    return expression[1] if expression[0] == "const" else header.get(expression[1])


def naive_compare(op: str, left: Any, right: Any) -> str:
    if left is None or right is None:
        return "unknown"
    if op in ("in", "not in"):
        if isinstance(right, tuple):
            answers = [naive_compare("==", left, item) for item in right]
            answer = min(answers, key=OR_ORDER.index)
        else:
            answer = str(left in right).lower() if isinstance(left, str) and isinstance(right, str) else "error"
        return answer if op == "in" else {"true": "false", "false": "true"}.get(answer, answer)
    if isinstance(left, str) != isinstance(right, str):
        return "error"
    return str({"==": left == right, "!=": left != right, "<": left < right, ">=": left >= right}[op]).lower()


def naive(expression: Expression, header: Mapping[str, Any]) -> str:
    """The result as rules.md says it, written as plainly as possible."""
    kind, *parts = expression
    if kind == "truth":
        return str(parts[0]).lower()
    if kind == "compare":
        values = [naive_value(part, header) for part in parts[::2]]
        answers = [naive_compare(op, values[at], values[at + 1]) for at, op in enumerate(parts[1::2])]
        return min(answers, key=AND_ORDER.index)
    if kind == "not":
        answer = naive(parts[0], header)
        return {"true": "false", "false": "true"}.get(answer, answer)
    if kind in ("and", "or"):
        return min((naive(part, header) for part in parts), key=(AND_ORDER if kind == "and" else OR_ORDER).index)
    value = naive_value(parts[0], header)
    if kind in ("exists", "missing"):
        return str((value is None) == (kind == "missing")).lower()
    if value is None:
        return "unknown"
    if not isinstance(value, str):
        return "error"
    part, text = parts[1][1].lower(), value.lower()
    return str({"contains": part in text, "startswith": text.startswith(part)}[kind]).lower()


names = st.sampled_from([("name", name) for name in (*NUMBERS, *TEXTS)])
constants = st.sampled_from(
    [("const", value) for value in (1, 2.5, -3, "MR", "mr", "R", (1, 2), ("MR", 1), ("MR", "R"))]
)
scalars = constants.filter(lambda constant: not isinstance(constant[1], tuple))
comparisons = st.tuples(
    st.just("compare"), names | scalars, st.sampled_from(["==", "!=", "<", ">="]), names | scalars
) | st.tuples(st.just("compare"), names | scalars, st.sampled_from(["in", "not in"]), names | constants)
chains = st.tuples(st.just("compare"), scalars, st.just("<"), names, st.sampled_from(["<", "=="]), names | scalars)
questions = st.tuples(st.sampled_from(["exists", "missing"]), names) | st.tuples(
    st.sampled_from(["contains", "startswith"]), names, st.sampled_from([("const", "m"), ("const", "R")])
)
leaves = comparisons | chains | questions | st.sampled_from([("truth", True), ("truth", False)])
expressions = st.recursive(
    leaves,
    lambda inner: (
        st.tuples(st.just("not"), inner)
        | st.lists(inner, min_size=2, max_size=4).flatmap(lambda some: st.sampled_from([("and", *some), ("or", *some)]))
    ),
    max_leaves=12,
)
headers = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(NUMBERS, st.sampled_from([1, 2, 2.5, "x"])),
        **dict.fromkeys(TEXTS, st.sampled_from(["MR", "R", "mr"])),
    },
)


@settings(max_examples=150)
@given(expressions, headers)
def test_rules_agree_with_the_naive_reference(expression: Expression, header: dict[str, Any]) -> None:
    origin = {name: header.pop(name) for name in ("SenderAET",) if name in header}
    assert result(write(expression), header, origin=origin) == naive(expression, {**header, **origin})


@given(expressions, st.lists(headers, min_size=1, max_size=4))
def test_image_functions_agree_with_the_naive_reference(expression: Expression, images: list[dict[str, Any]]) -> None:
    for image in images:
        image.pop("SenderAET", None)
    answers = [naive(expression, image) for image in images]
    assert result(f"any_image({write(expression)})", *images) == min(answers, key=OR_ORDER.index)
    assert result(f"all_images({write(expression)})", *images) == min(answers, key=AND_ORDER.index)
    if "error" not in answers:
        assert result(f"count_images({write(expression)}) == {answers.count('true')}", *images) == "true"
