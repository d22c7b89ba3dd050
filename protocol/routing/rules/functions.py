"""The functions of the rule language: their names, arguments and what they do with values.

They must not raise and must do work at most in proportion to the length of their values. `contains` and its kin ignore
case; the image functions are known here by name only, the compiler walks the images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from protocol.routing.rules.values import ERROR, FALSE, MISSING, TRUE, UNKNOWN, Fault, Truth, Value, kind

IMAGE_FUNCTIONS = ("any_image", "all_images", "first_image", "count_images")
PLANNED = frozenset(
    {"number", "text", "length", "like", "regex", "one_of", "date", "age", "hour", "weekday", "tag"}
)  # rules.md names them; a rule that uses one is refused with that word until they exist


@dataclass(frozen=True, slots=True)
class Check:
    """A function whose result is true, false, unknown or error."""

    arguments: int
    run: Callable[..., Truth]
    names_only: bool = False
    english: str = ""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A function whose result is a value."""

    arguments: int
    run: Callable[..., Value]


def _exists(value: Value) -> Truth:
    return FALSE if value is MISSING else TRUE


def _missing(value: Value) -> Truth:
    return TRUE if value is MISSING else FALSE


def _text_test(check: Callable[[str, str], bool]) -> Callable[[Value, Value], Truth]:
    """A test on text that ignores case; on a list it is true if it is true of one of its values."""

    def run(value: Value, part: Value) -> Truth:
        if isinstance(value, Fault) or isinstance(part, Fault):
            return ERROR
        if value is MISSING or part is MISSING:
            return UNKNOWN
        texts = value if isinstance(value, tuple) else (value,)
        if not isinstance(part, str):
            return ERROR
        wanted = part.casefold()
        faulty = False
        for text in texts:
            if not isinstance(text, str):
                faulty = True
            elif check(text.casefold(), wanted):
                return TRUE
        return ERROR if faulty else FALSE

    return run


def _case(function: str, change: Callable[[str], str]) -> Callable[[Value], Value]:
    def run(value: Value) -> Value:
        if isinstance(value, str):
            return change(value)
        if isinstance(value, tuple) and all(isinstance(item, str) for item in value):
            return tuple(change(str(item)) for item in value)
        if value is MISSING or isinstance(value, Fault):
            return value
        return Fault(f"{function}() needs text, this is {kind(value)}")

    return run


CHECKS: dict[str, Check] = {
    "exists": Check(1, _exists, names_only=True, english="is present"),
    "missing": Check(1, _missing, names_only=True, english="is missing"),
    "contains": Check(2, _text_test(lambda text, part: part in text), english="contains"),
    "startswith": Check(2, _text_test(str.startswith), english="starts with"),
    "endswith": Check(2, _text_test(str.endswith), english="ends with"),
}
CONVERSIONS: dict[str, Conversion] = {
    "lower": Conversion(1, _case("lower", str.lower)),
    "upper": Conversion(1, _case("upper", str.upper)),
}
FUNCTIONS = (*CHECKS, *CONVERSIONS, *IMAGE_FUNCTIONS)


def why_not(function: str, arguments: tuple[Value, ...]) -> str:
    """Why a test came to UNKNOWN or ERROR, in words."""
    for argument in arguments:
        if isinstance(argument, Fault):
            return argument.reason
    if any(argument is MISSING for argument in arguments):
        return "a value is missing"
    return f"{function}() needs text, this is " + " and ".join(kind(argument) for argument in arguments)
