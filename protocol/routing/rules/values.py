"""The values that rules compare and the truth that comes out: true, false, unknown or error.

It must not know where a value came from, and must not raise: a wrong type is the result ERROR.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Final

LIMIT_NUMBER_CHARACTERS = 64  # a DS has at most 16 characters, an IS 12 (PS3.5 section 6.2); beyond this it is text
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_PADDING = " \0\t\r\n"


class Truth(StrEnum):
    """What a clause came to. Only TRUE makes a rule apply."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"  # a value it compares is missing
    ERROR = "error"  # the types do not go together


TRUE, FALSE, UNKNOWN, ERROR = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN, Truth.ERROR


class _Missing(Enum):
    MISSING = "missing"


MISSING: Final = _Missing.MISSING


@dataclass(frozen=True, slots=True)
class Fault:
    """A value that could not be made; `reason` says why. Every comparison with it is an ERROR."""

    reason: str


Scalar = str | int | float
Value = Scalar | tuple[Scalar, ...] | _Missing | Fault


def number_of(text: str) -> int | float | None:
    """The number in the text of a DS or IS value (PS3.5 section 6.2), or None if it is none."""
    if len(text) > LIMIT_NUMBER_CHARACTERS or not _NUMBER.fullmatch(text):
        return None
    if text.lstrip("+-").isdigit():
        return int(text)
    number = float(text)
    return number if math.isfinite(number) else None


def typed(raw: object, is_number: bool) -> Value:
    """A header value as rules see it: padding stripped, empty is MISSING, several values are a tuple.

    Text that should be a number but is none stays text, so that comparing it is a visible ERROR.
    """
    if raw is None:
        return MISSING
    if isinstance(raw, (list, tuple)):
        items = [typed(item, is_number) for item in raw]
        return _several(items)
    return _scalar(raw, is_number)


def _several(items: list[Value]) -> Value:
    if all(item is MISSING for item in items):
        return MISSING
    if len(items) == 1:
        return items[0]
    scalars: list[Scalar] = []
    for item in items:
        if item is MISSING:
            scalars.append("")
        elif isinstance(item, (str, int, float)):
            scalars.append(item)
        else:
            return item if isinstance(item, Fault) else Fault("a list within a list")
    return tuple(scalars)


def _scalar(raw: object, is_number: bool) -> Value:
    if isinstance(raw, str):
        text = raw.strip(_PADDING)
        if not text:
            return MISSING
        number = number_of(text) if is_number else None
        return text if number is None else number
    if isinstance(raw, bool) or not isinstance(raw, (int, float)):
        return Fault(f"a value of type {type(raw).__name__} cannot be compared")
    if isinstance(raw, float) and not math.isfinite(raw):
        return Fault("a number that is not finite cannot be compared")
    return raw if is_number else str(raw)


def kind(value: Value) -> str:
    """`text`, `a number`, `a list`, `missing` or `an error`, for messages."""
    if isinstance(value, str):
        return "text"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, tuple):
        return "a list"
    return "missing" if value is MISSING else "an error"


# --- three-valued logic -------------------------------------------------------------------------------------------


def negate(truth: Truth) -> Truth:
    """`not`: unknown stays unknown, error stays error."""
    if truth is TRUE:
        return FALSE
    return TRUE if truth is FALSE else truth


def every(truths: Iterable[Truth]) -> Truth:
    """`and`: one false decides; else an error, else unknown, else true. The order of the clauses does not matter."""
    result = TRUE
    for truth in truths:
        if truth is FALSE:
            return FALSE
        if truth is ERROR or (truth is UNKNOWN and result is TRUE):
            result = truth
    return result


def some(truths: Iterable[Truth]) -> Truth:
    """`or`: one true decides; else an error, else unknown, else false. The order of the clauses does not matter."""
    result = FALSE
    for truth in truths:
        if truth is TRUE:
            return TRUE
        if truth is ERROR or (truth is UNKNOWN and result is FALSE):
            result = truth
    return result


# --- comparisons --------------------------------------------------------------------------------------------------

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "in", "not in")


def compare(op: str, left: Value, right: Value) -> Truth:
    """`left op right` for one of OPERATORS. Text and numbers do not mix (ERROR); missing is UNKNOWN."""
    if isinstance(left, Fault) or isinstance(right, Fault):
        return ERROR
    if left is MISSING or right is MISSING:
        return UNKNOWN
    if op == "==":
        return _equal(left, right)
    if op == "!=":
        return negate(_equal(left, right))
    if op == "in":
        return _within(left, right)
    if op == "not in":
        return negate(_within(left, right))
    return _ordered(_ORDER[op], left, right)


def _equal(left: Scalar | tuple[Scalar, ...], right: Scalar | tuple[Scalar, ...]) -> Truth:
    left_is_list, right_is_list = isinstance(left, tuple), isinstance(right, tuple)
    if isinstance(left, tuple) and isinstance(right, tuple):
        if len(left) != len(right):
            return FALSE
        return every(_equal(one, other) for one, other in zip(left, right, strict=True))
    if left_is_list or right_is_list:
        return FALSE
    if isinstance(left, str) is not isinstance(right, str):
        return ERROR
    return TRUE if left == right else FALSE


def _within(left: Scalar | tuple[Scalar, ...], right: Scalar | tuple[Scalar, ...]) -> Truth:
    if isinstance(right, tuple):
        return some(_equal(left, item) for item in right)
    if isinstance(left, str) and isinstance(right, str):
        return TRUE if left in right else FALSE
    return ERROR


def _ordered(
    operation: Callable[[Any, Any], bool], left: Scalar | tuple[Scalar, ...], right: Scalar | tuple[Scalar, ...]
) -> Truth:
    if isinstance(left, tuple) or isinstance(right, tuple) or isinstance(left, str) is not isinstance(right, str):
        return ERROR
    return TRUE if operation(left, right) else FALSE


def why_not(op: str, left: Value, right: Value) -> str:
    """Why `compare` came to UNKNOWN or ERROR, in words."""
    for value in (left, right):
        if isinstance(value, Fault):
            return value.reason
    if left is MISSING or right is MISSING:
        return "a value is missing"
    return f"{kind(left)} cannot be compared with {kind(right)} by {op}"
