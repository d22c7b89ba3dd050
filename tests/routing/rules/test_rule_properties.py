"""Random rules on random arrivals: never an exception, never more work than their size allows, and always what a naive
reference evaluator says; the explanation agrees.
"""

from __future__ import annotations

import ast
import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.header.diff import difference
from protocol.routing.rules.compiler import compile_rule
from protocol.routing.rules.english import english
from protocol.routing.rules.subject import Subject
from protocol.routing.rules.values import Truth, every, negate, some
from tests.routing.rules.naive import Naive
from tests.routing.rules.rule_testing import judged

TEXTS = ["Modality", "StudyDescription", "ImageType", "SenderAET", "RequestAttributesSequence.ScheduledProcedureStepID"]
NUMBERS = ["SeriesNumber", "EchoTime", "ImageCount"]
DATES = ["StudyDate", "SeriesDate"]

NAMES = [*TEXTS, *NUMBERS]
NUMBER = ["1", "2", "2.5", "-3"]
TEXT = ["'MR'", "'mr'", "'R'", "'2'", "'x'"]
LIST = ["(1, 2)", "('MR', 1)", "('MR', 'R')", "('MR', 'x')"]
DATE = ["'20260131'", "'2026-01-31'", "'2026-01'", "'2027'"]
ORDER = ["==", "!=", "<", "<=", ">", ">="]
MEMBER = ["in", "not in"]
PATTERNS = {"like": ["'m*'", "'?R'", "'*'"], "regex": ["'^m'", "'r|x'", "'[0-9]'"]}


class Writer:
    """Writes random rules, smaller and smaller towards the leaves."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._inside_images = False

    def one(self, *choices: str) -> str:
        return self._draw(st.sampled_from(choices))

    def clause(self, depth: int) -> str:
        forms = [self.compare, self.member, self.date, self.question] * 2
        if depth:
            forms += [self.negated, self.joined, self.either]
            if not self._inside_images:
                forms += [self.over_images] * 2
        return self._draw(st.sampled_from(forms))(depth)

    def negated(self, depth: int) -> str:
        return f"not ({self.clause(depth - 1)})"

    def joined(self, depth: int) -> str:
        clauses = [f"({self.clause(depth - 1)})" for _ in range(self._draw(st.integers(2, 3)))]
        return f" {self.one('and', 'or')} ".join(clauses)

    def either(self, depth: int) -> str:
        return f"({self.clause(depth - 1)}) if ({self.clause(depth - 1)}) else ({self.clause(depth - 1)})"

    def over_images(self, depth: int) -> str:
        return f"{self.one('any_image', 'all_images', 'first_image')}({self.inside(depth)})"

    def inside(self, depth: int) -> str:
        self._inside_images = True
        try:
            return self.clause(depth - 1)
        finally:
            self._inside_images = False

    def compare(self, depth: int) -> str:
        chain = f" {self.one(*ORDER)} {self.term(depth)}" if self._draw(st.booleans()) else ""
        return f"{self.term(depth)} {self.one(*ORDER)} {self.term(depth)}{chain}"

    def member(self, depth: int) -> str:
        return f"{self.term(depth)} {self.one(*MEMBER)} {self.one(*NAMES, *LIST)}"

    def date(self, depth: int) -> str:
        name = self.one(*DATES)
        return self.one(
            f"{name} {self.one(*ORDER)} {self.one(*DATE, *DATES)}",
            f"{self.one(*DATE)} < {name} <= {self.one(*DATE)}",
            f"{name} {self.one(*MEMBER)} ({self.one(*DATE)}, {self.one(*DATE)})",
        )

    def question(self, depth: int) -> str:
        function = self.one(
            "exists", "missing", "contains", "startswith", "endswith", "like", "regex", "one_of", "True"
        )
        if function == "True":
            return self.one("True", "False")
        if function in ("exists", "missing"):
            return f"{function}({self.one(*NAMES, *DATES)})"
        if function in PATTERNS:
            return f"{function}({self.term(depth)}, {self.one(*PATTERNS[function])})"
        if function == "one_of":
            return f"one_of({self.term(depth)}, {self.one(*TEXT, *NUMBER)}, {self.one(*TEXT, *NUMBER)})"
        return f"{function}({self.term(depth)}, {self.one(*TEXT, *NAMES)})"

    def term(self, depth: int) -> str:
        forms = ["name"] * 4 + ["number", "text", "convert", "tag"]
        if depth:
            forms.append("choice")
            if not self._inside_images:
                forms += ["first", "count"]
        form = self.one(*forms)
        if form == "convert":
            return f"{self.one('lower', 'upper', 'number', 'text', 'length')}({self.one(*NAMES)})"
        if form == "choice":
            return f"({self.term(0)} if ({self.clause(depth - 1)}) else {self.term(0)})"
        if form == "first":
            return f"first_image({self.one(*NAMES)})"
        if form == "count":
            return f"count_images({self.inside(depth)})"
        return {"tag": "text(tag('0019,100C'))", "number": self.one(*NUMBER), "text": self.one(*TEXT)}.get(
            form
        ) or self.one(*NAMES)


@st.composite
def written(draw: st.DrawFn) -> str:
    return Writer(draw).clause(draw(st.integers(0, 3)))


rules = written()

headers = st.fixed_dictionaries(
    {},
    optional={
        "SeriesNumber": st.sampled_from([1, 2, 2.5, "2", "x"]),
        "EchoTime": st.sampled_from([1, 2.0, [1, 2], "x"]),
        "Modality": st.sampled_from(["MR", "R", "mr", 2]),
        "StudyDescription": st.sampled_from(["MR", "mr x", "2", ""]),
        "ImageType": st.sampled_from([["MR", "R"], ["R"], "MR", ["x", "MR", "2"]]),
        "StudyDate": st.sampled_from(["20260131", "20260201", "20270101", "x"]),
        "SeriesDate": st.sampled_from(["20260131", "20251231", "x"]),
        "RequestAttributesSequence.ScheduledProcedureStepID": st.sampled_from(["MR", "x"]),
        "0019,100C": st.sampled_from([1, 2.0, "MR"]),
        "InstanceNumber": st.sampled_from([1, 2, 3]),
        "SOPInstanceUID": st.sampled_from(["1.1", "1.2", "1.3"]),
        "SenderAET": st.just("EVIL"),
    },
)
origins = st.fixed_dictionaries({}, optional={"SenderAET": st.sampled_from(["MR", "x"])})
arrivals = st.tuples(st.lists(headers, max_size=5), origins)
Arrival = tuple[list[dict[str, Any]], dict[str, Any]]


@pytest.mark.slow
@settings(max_examples=300)
@given(rules, arrivals)
def test_rules_agree_with_the_naive_reference_and_with_their_explanation(text: str, arrival: Arrival) -> None:
    images, origin = arrival
    rule = compile_rule(text)
    expected = Naive(images, origin).truth(ast.parse(text, mode="eval").body)
    assert judged(rule, Subject(images, origin)) == expected
    common = images[0] if images else {}
    assert judged(rule, Subject([difference(common, image) for image in images], origin, common)) == expected
    assert rule.text == text
    assert english(rule.tree)


@pytest.mark.slow
@given(rules, arrivals)
def test_an_explanation_is_consistent_from_its_leaves_to_its_root(text: str, arrival: Arrival) -> None:
    def check(explanation: dict[str, Any]) -> None:
        truths = [Truth(one["result"]) for one in explanation.get("clauses", ())]
        told = Truth(explanation["result"])
        match explanation["kind"]:
            case "and":
                assert told is every(truths)
            case "or":
                assert told is some(truths)
            case "not":
                assert told is negate(truths[0])
            case "if":
                assert told is truths[-1]
            case "any_image" | "all_images" | "first_image" if truths:
                assert told is truths[0]
                assert explanation["images"][told.value] >= 1
        assert ("reason" in explanation) <= (told in (Truth.UNKNOWN, Truth.ERROR))
        for one in explanation.get("clauses", ()):
            check(one)

    check(compile_rule(text).evaluate(Subject(*arrival)).explanation)


WILD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
SOME_NAMES = st.sampled_from(
    [
        "Modality",
        "SeriesNumber",
        "StudyDate",
        "StudyTime",
        "PatientAge",
        "PatientBirthDate",
        "InstanceNumber",
        "ImageType",
    ]
)
WILD_RULES = [
    "age() < 18 or hour() > 3 or weekday() == 'mon' or ReceivedAt > '2026'",
    "any_image(regex(Modality, 'x') or like(ImageType, '*') or one_of(SeriesNumber, 1, 'x'))",
    "count_images(StudyTime < '12:00' and StudyDate == date('2026-01-31')) > 0 or StudyDate < PatientBirthDate",
    "length(text(number(lower(Modality)))) > 1 or date(Modality) > '2026' or 'x' in SeriesNumber",
    "(SeriesNumber if Modality == 'x' else ImageType) in (1, 'x') or first_image(StudyDate) == '2026'",
]


@pytest.mark.slow
@given(
    st.lists(st.dictionaries(SOME_NAMES, WILD), max_size=3),
    st.dictionaries(SOME_NAMES, WILD),
    st.dictionaries(st.sampled_from(["ReceivedAt", "ImageCount", "SenderAET"]), WILD),
)
def test_no_value_whatever_makes_evaluation_raise(
    images: list[dict[str, Any]], common: dict[str, Any], origin: dict[str, Any]
) -> None:
    for text in WILD_RULES:
        rule = compile_rule(text)
        assert judged(rule, Subject(images, origin, common)) in list(Truth)


def calls_of(function: Any, *arguments: Any) -> int:
    """How many calls, of Python and of C, it takes."""
    count = 0

    def counted(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        function(*arguments)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.slow
@given(rules, st.lists(headers, min_size=1, max_size=5), st.integers(0, 30))
def test_work_is_bounded_by_the_size_of_the_rule_times_the_images(
    text: str, images: list[dict[str, Any]], more: int
) -> None:
    rule = compile_rule(text)
    images = images + [{**images[0], "EchoTime": index} for index in range(more)]
    size = sum(1 for _ in ast.walk(ast.parse(text)))
    bound = 40 * size * (len(images) + 1) + 400
    assert calls_of(rule.result, Subject(images)) <= bound
    assert calls_of(rule.evaluate, Subject(images)) <= 3 * bound


@pytest.mark.parametrize(
    "text",
    [
        "any_image(" + " or ".join(f"SliceLocation == {at}" for at in range(100)) + ")",
        "count_images(" + " and ".join("SliceLocation != -1" for _ in range(100)) + ") > 3",
        " or ".join("any_image(SliceLocation < 0)" for _ in range(100)),
        " or ".join("count_images(SliceLocation < 0) > 1" for _ in range(80)),
    ],
)
def test_twice_the_images_are_at_most_twice_the_work(text: str) -> None:
    rule = compile_rule(text)
    few, many = (
        calls_of(rule.evaluate, Subject([{"SliceLocation": at} for at in range(count)])) for count in (100, 200)
    )
    assert many <= 2 * few
