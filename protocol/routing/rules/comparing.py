"""Comparisons of two values, `compare`, and the same against a constant, prepared so that it answers fast.

It must not raise: types that do not go together are the result ERROR, a missing value UNKNOWN.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from protocol.routing.rules.moments import Moment, comparable, moment_of, order
from protocol.routing.rules.values import (
    ERROR,
    FALSE,
    MISSING,
    TRUE,
    UNKNOWN,
    Fault,
    Scalar,
    Truth,
    Value,
    called,
    every,
    negate,
    some,
)

OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "in", "not in")
MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""`a op b` is `b MIRRORED[op] a`."""
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
Test = Callable[[Value], Truth]


def compare(op: str, left: Value, right: Value) -> Truth:
    """`left op right` for one of OPERATORS. Text and numbers do not mix (ERROR); missing is UNKNOWN."""
    if isinstance(left, Fault) or isinstance(right, Fault):
        return ERROR
    if left is MISSING or right is MISSING:
        return UNKNOWN
    if op == "==":
        return equal(left, right)
    if op == "!=":
        return negate(equal(left, right))
    if op == "in":
        return _within(left, right)
    if op == "not in":
        return negate(_within(left, right))
    return _ordered(_ORDER[op], left, right)


def equal(left: Scalar | tuple[Scalar, ...], right: Scalar | tuple[Scalar, ...]) -> Truth:
    """`==`: two lists are compared as wholes, a list and a single value differ."""
    if isinstance(left, tuple) and isinstance(right, tuple):
        if len(left) != len(right):
            return FALSE
        return every(equal(one, other) for one, other in zip(left, right, strict=True))
    if isinstance(left, tuple) or isinstance(right, tuple):
        return FALSE
    if isinstance(left, str) is not isinstance(right, str):
        return ERROR
    if isinstance(left, Moment) or isinstance(right, Moment):
        return _of_moments(operator.eq, left, right)
    return TRUE if left == right else FALSE


def _within(left: Scalar | tuple[Scalar, ...], right: Scalar | tuple[Scalar, ...]) -> Truth:
    if isinstance(right, tuple):
        return some(equal(left, item) for item in right)
    if isinstance(left, str) and isinstance(right, str):
        return TRUE if left in right else FALSE
    return ERROR


def _ordered(
    operation: Callable[[Any, Any], bool], left: Scalar | tuple[Scalar, ...], right: Scalar | tuple[Scalar, ...]
) -> Truth:
    if isinstance(left, tuple) or isinstance(right, tuple) or isinstance(left, str) is not isinstance(right, str):
        return ERROR
    if isinstance(left, Moment) or isinstance(right, Moment):
        return _of_moments(operation, left, right)
    return TRUE if operation(left, right) else FALSE


def _of_moments(operation: Callable[[Any, Any], bool], left: Scalar, right: Scalar) -> Truth:
    """Two dates or times, one of which may be a text: then it is read as what the other one is."""
    one, other = _moments(left, right)
    if not comparable(one, other):
        return ERROR
    place = order(one, other)
    if place is None:
        return UNKNOWN
    return TRUE if operation(place, 0) else FALSE


def _moments(left: Scalar, right: Scalar) -> tuple[Moment, Moment]:
    if isinstance(left, Moment):
        return left, right if isinstance(right, Moment) else moment_of(str(right), left.kind, True)
    assert isinstance(right, Moment)
    return moment_of(str(left), right.kind, True), right


def why_not(op: str, left: Value, right: Value) -> str:
    """Why `compare` came to UNKNOWN or ERROR, in words."""
    for value in (left, right):
        if isinstance(value, Fault):
            return value.reason
    if left is MISSING or right is MISSING:
        return "a value is missing"
    if isinstance(left, str) and isinstance(right, str) and (isinstance(left, Moment) or isinstance(right, Moment)):
        one, other = _moments(left, right)
        if comparable(one, other):
            return "a date or time is not told precisely enough"
        left, right = one, other
    return f"{called(left)} cannot be compared with {called(right)} by {op}"


# --- prepared: the usual types at once, everything else by `compare` ------------------------------------------------


def against(op: str, constant: Scalar | tuple[Scalar, ...]) -> Test:
    """`value op constant` as a function of the value."""
    if op in ("in", "not in") and isinstance(constant, tuple):
        return _one_of(op, constant)
    if type(constant) not in (str, int, float) or op in ("in", "not in"):
        return lambda value: compare(op, value, constant)
    assert not isinstance(constant, tuple)
    if op in ("==", "!="):
        return _equality(op, constant)
    return _inequality(op, constant)


def _equality(op: str, constant: Scalar) -> Test:
    hit, miss = (TRUE, FALSE) if op == "==" else (FALSE, TRUE)
    plain = (str,) if isinstance(constant, str) else (int, float)

    def test(value: Value) -> Truth:
        if type(value) in plain:
            return hit if value == constant else miss
        return compare(op, value, constant)

    return test


def _inequality(op: str, constant: Scalar) -> Test:
    operation = _ORDER[op]
    plain = (str,) if isinstance(constant, str) else (int, float)

    def test(value: Value) -> Truth:
        if type(value) in plain:
            return TRUE if operation(value, constant) else FALSE
        return compare(op, value, constant)

    return test


def _one_of(op: str, constant: tuple[Scalar, ...]) -> Test:
    hit, miss = (TRUE, FALSE) if op == "in" else (FALSE, TRUE)
    if not all(type(item) is str for item in constant):
        return lambda value: compare(op, value, constant)
    chosen = frozenset(constant)

    def test(value: Value) -> Truth:
        if type(value) is str:
            return hit if value in chosen else miss
        return compare(op, value, constant)

    return test


def containing(op: str, constant: Scalar | tuple[Scalar, ...]) -> Test:
    """`constant in value` (or `not in`) as a function of the value."""
    hit, miss = (TRUE, FALSE) if op == "in" else (FALSE, TRUE)
    if type(constant) is not str:
        return lambda value: compare(op, constant, value)

    def test(value: Value) -> Truth:
        if type(value) is tuple and constant in value:
            return hit
        if type(value) is str:
            return hit if constant in value else miss
        return compare(op, constant, value)

    return test
