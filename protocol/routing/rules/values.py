"""The values that rules compare, typed by VR, and the truth that comes out: true, false, unknown or error.

It must not know where a value came from, and must not raise: what cannot be read is text or a Fault.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final, Literal

from protocol.routing.rules.moments import Moment, moment_of

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
"""A Moment is a text that knows its date or time."""
Value = Scalar | tuple[Scalar, ...] | _Missing | Fault
Kind = Literal["text", "number", "date", "time", "datetime", "any"]
"""As what a value is read; `any`: as the header has it, number or text."""


def number_of(text: str) -> int | float | None:
    """The number in the text of a DS or IS value (PS3.5 section 6.2), or None if it is none."""
    if len(text) > LIMIT_NUMBER_CHARACTERS or not _NUMBER.fullmatch(text):
        return None
    if text.lstrip("+-").isdigit():
        return int(text)
    number = float(text)
    return number if math.isfinite(number) else None


def text_of(number: int | float) -> str:
    """A number as people write it: 5 for 5.0."""
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number)


def _as_number(text: str) -> Scalar:
    number = number_of(text)
    return text if number is None else number


_READ: dict[str, Callable[[str], Scalar]] = {
    "number": _as_number,
    "date": lambda text: moment_of(text, "date"),
    "time": lambda text: moment_of(text, "time"),
    "datetime": lambda text: moment_of(text, "datetime"),
    "any": str,
}


def typed(raw: object, kind: Kind) -> Value:
    """A header value as rules see it: padding stripped, empty is MISSING, several values are a tuple.

    Text that should be a number or a date but is none stays text (a Moment without parts), so that comparing it is a
    visible ERROR.
    """
    if isinstance(raw, str):
        text = raw.strip(_PADDING)
        if not text:
            return MISSING
        return text if kind == "text" else _READ[kind](text)
    if raw is None:
        return MISSING
    if type(raw) is int and kind == "number":
        return raw
    if isinstance(raw, (list, tuple)):
        return _several([typed(item, kind) for item in raw])
    return _number(raw, kind)


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


def _number(raw: object, kind: Kind) -> Value:
    if isinstance(raw, bool) or not isinstance(raw, (int, float)):
        return Fault(f"a value of type {type(raw).__name__} cannot be compared")
    if isinstance(raw, float) and not math.isfinite(raw):
        return Fault("a number that is not finite cannot be compared")
    if kind in ("number", "any"):
        return raw
    return text_of(raw) if kind == "text" else _READ[kind](text_of(raw))


def called(value: Value) -> str:
    """`text`, `a number`, `a date`, `a list`, `missing` or `an error`, for messages."""
    if isinstance(value, Moment):
        names = {"date": "a date", "time": "a time", "datetime": "a date with time"}
        return names[value.kind] if value.parts else f"text that is not {names[value.kind]}"
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
