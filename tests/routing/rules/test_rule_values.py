"""Types, the three values and the comparisons: complete tables, and an order that does not matter."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.routing.rules.comparing import OPERATORS, compare, why_not
from protocol.routing.rules.values import (
    ERROR,
    FALSE,
    MISSING,
    TRUE,
    UNKNOWN,
    Fault,
    Truth,
    Value,
    every,
    negate,
    some,
    typed,
)

T, F, U, E = TRUE, FALSE, UNKNOWN, ERROR


@pytest.mark.parametrize(
    ("left", "right", "both", "either"),
    [
        (T, T, T, T),
        (T, F, F, T),
        (T, U, U, T),
        (T, E, E, T),
        (F, F, F, F),
        (F, U, F, U),
        (F, E, F, E),
        (U, U, U, U),
        (U, E, E, E),
        (E, E, E, E),
    ],
)
def test_and_and_or_have_a_complete_symmetric_table(left: Truth, right: Truth, both: Truth, either: Truth) -> None:
    assert every([left, right]) is every([right, left]) is both
    assert some([left, right]) is some([right, left]) is either


def test_the_table_above_names_every_pair() -> None:
    marks = next(
        mark for mark in test_and_and_or_have_a_complete_symmetric_table.pytestmark if mark.name == "parametrize"
    )
    pairs = {frozenset(case[:2]) for case in marks.args[1]}
    assert pairs == {frozenset(pair) for pair in itertools.product(Truth, repeat=2)}


def test_not_turns_only_true_and_false() -> None:
    assert [negate(truth) for truth in (T, F, U, E)] == [F, T, U, E]


@given(st.lists(st.sampled_from(Truth), max_size=6))
def test_de_morgan_holds_and_order_does_not_matter(truths: list[Truth]) -> None:
    assert negate(every(truths)) is some([negate(truth) for truth in truths])
    assert every(truths) is every(reversed(truths))
    assert some(truths) is some(sorted(truths))


@pytest.mark.parametrize(
    ("raw", "is_number", "value"),
    [
        (None, False, MISSING),
        ("", False, MISSING),
        (" \0", True, MISSING),
        ([], False, MISSING),
        (["", " "], False, MISSING),
        (" MR ", False, "MR"),
        ("12 ", True, 12),
        ("-1.5e1", True, -15.0),
        ("+7", True, 7),
        ("twelve", True, "twelve"),
        ("1_000", True, "1_000"),
        ("nan", True, "nan"),
        ("1e999", True, "1e999"),
        ("9" * 65, True, "9" * 65),
        ("\u0661", True, "\u0661"),
        (3, False, "3"),
        (3, True, 3),
        (["A"], False, "A"),
        (["A", ""], False, ("A", "")),
        (["1", 2.5], True, (1, 2.5)),
    ],
)
def test_header_values_are_typed(raw: object, is_number: bool, value: Value) -> None:
    assert typed(raw, "number" if is_number else "text") == value


@pytest.mark.parametrize("raw", [float("nan"), float("inf"), True, b"x", {"a": 1}, [b"x", "a"], [["a", "b"], "c"]])
def test_values_that_no_header_has_become_faults_not_exceptions(raw: object) -> None:
    assert isinstance(typed(raw, "number"), Fault)


@pytest.mark.parametrize(
    ("left", "op", "right", "result"),
    [
        ("a", "==", "a", T),
        ("a", "==", "A", F),
        ("a", "!=", "b", T),
        ("a", "<", "b", T),
        (1, "==", 1.0, T),
        (2, ">=", 3, F),
        ("1", "==", 1, E),
        ("1", "!=", 1, E),
        ("abc", ">", 3, E),
        (("a", "b"), "==", ("a", "b"), T),
        (("a", "b"), "==", ("b", "a"), F),
        (("a", "b"), "==", ("a", "b", "c"), F),
        (("a", "b"), "==", "a", F),
        (("a", "b"), "!=", "a", T),
        (("a", 1), "==", ("a", "1"), E),
        (("a", "b"), "<", "c", E),
        ("a", "in", ("a", "b"), T),
        ("x", "in", ("a", "b"), F),
        ("a", "not in", ("a", "b"), F),
        (1, "in", ("a", 1), T),
        (2, "in", ("a", 1), E),
        ("ell", "in", "hello", T),
        ("ELL", "in", "hello", F),
        ("1", "in", 12, E),
        (1, "in", "12", E),
    ],
)
def test_comparisons(left: Value, op: str, right: Value, result: Truth) -> None:
    assert compare(op, left, right) is result


@pytest.mark.parametrize("op", OPERATORS)
def test_missing_makes_unknown_and_a_fault_makes_an_error(op: str) -> None:
    assert compare(op, MISSING, "a") is compare(op, "a", MISSING) is compare(op, MISSING, MISSING) is UNKNOWN
    assert compare(op, Fault("bad"), MISSING) is ERROR
    assert why_not(op, MISSING, "a") == "a value is missing"
    assert why_not(op, "a", Fault("bad")) == "bad"


VALUES: st.SearchStrategy[Value] = st.sampled_from(
    ["", "a", "b", "1", 0, 1, 2.5, ("a", "b"), ("a", 1), (1, 2), MISSING, Fault("bad")]
)


@given(VALUES, VALUES, st.sampled_from(OPERATORS))
def test_every_pair_of_values_has_an_answer_and_its_opposite(left: Value, right: Value, op: str) -> None:
    opposite = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">", "in": "not in", "not in": "in"}[op]
    assert compare(opposite, left, right) is negate(compare(op, left, right))
