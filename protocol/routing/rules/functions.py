"""The functions of the rule language: their names, arguments and what they do with values.

They must not raise and must do work at most in proportion to the length of their values. Tests on text ignore case; the
image functions are known here by name only.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

from protocol.records import record
from protocol.routing.rules import patterns
from protocol.routing.rules.comparing import equal
from protocol.routing.rules.derived import SOURCES
from protocol.routing.rules.moments import Moment, day_of, moment_of
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
    number_of,
    some,
    text_of,
)

IMAGE_FUNCTIONS = ("any_image", "all_images", "first_image", "count_images")
Test = Callable[[Value], Truth]


@record
class Check:
    """A function whose result is true, false, unknown or error.

    `prepare` takes the values of the arguments after the first and makes the test of the first. `pattern`: the argument
    after the first is a text in quotes that `prepare` compiles; `several`: any number of constants.
    """

    arguments: int
    prepare: Callable[..., Test]
    english: str
    example: str
    names_only: bool = False
    pattern: bool = False
    several: bool = False


@record
class Conversion:
    """A function whose result is a value; `english` holds {} for its argument."""

    run: Callable[[Value], Value]
    english: str


def _exists(value: Value) -> Truth:
    return FALSE if value is MISSING else TRUE


def _missing(value: Value) -> Truth:
    return TRUE if value is MISSING else FALSE


def _text_test(check: Callable[[str, str], bool]) -> Callable[[Value], Test]:
    """A test on text that ignores case."""

    def prepare(part: Value) -> Test:
        if not isinstance(part, str):
            return lambda value: _without_text(value, part)
        wanted = part.casefold()
        return _any_text(lambda text: check(text.casefold(), wanted))

    return prepare


def _without_text(value: Value, part: Value) -> Truth:
    """The part that is looked for is no text: an error, unless something is missing."""
    if isinstance(value, Fault) or isinstance(part, Fault):
        return ERROR
    return UNKNOWN if value is MISSING or part is MISSING else ERROR


def _any_text(check: Callable[[str], bool]) -> Test:
    """True if it is true of the text, or of one of the texts of a list."""

    def test(value: Value) -> Truth:
        if type(value) is str:
            return TRUE if check(value) else FALSE
        if value is MISSING:
            return UNKNOWN
        if isinstance(value, Fault):
            return ERROR
        texts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(text, str) and check(text) for text in texts):
            return TRUE
        return FALSE if all(isinstance(text, str) for text in texts) else ERROR

    return test


def _like(pattern: str) -> Test:
    folded, unfolded = patterns.glob(pattern), patterns.unfolded_glob(pattern) if "?" in pattern else None

    def check(text: str) -> bool:
        plain = text.casefold()
        found = folded.found_in(plain)
        return found or (unfolded is not None and len(plain) != len(text) and unfolded.found_in(text))

    return _of_pattern(check)


def _regex(pattern: str) -> Test:
    return _of_pattern(patterns.regex(pattern).found_in)


def _of_pattern(check: Callable[[str], bool]) -> Test:
    """A pattern is not asked about a text that is longer than any value of a scanner: that is an error."""
    test = _any_text(check)
    return lambda value: ERROR if _too_long(value) else test(value)


def _too_long(value: Value) -> bool:
    if isinstance(value, tuple):
        return sum(len(text) for text in value if isinstance(text, str)) > patterns.LIMIT_TEXT
    return isinstance(value, str) and len(value) > patterns.LIMIT_TEXT


def _one_of(choices: tuple[Scalar, ...]) -> Test:
    folded = tuple(choice.casefold() if type(choice) is str else choice for choice in choices)
    texts = frozenset(choice for choice in folded if type(choice) is str)

    def single(value: Scalar) -> Truth:
        if type(value) is str:
            value = value.casefold()
            if value in texts:
                return TRUE
        return some(equal(value, choice) for choice in folded)

    def test(value: Value) -> Truth:
        if value is MISSING:
            return UNKNOWN
        if isinstance(value, Fault):
            return ERROR
        return some(single(one) for one in value) if isinstance(value, tuple) else single(value)

    return test


CHECKS: dict[str, Check] = {
    "exists": Check(1, lambda: _exists, "is present", "exists(SliceThickness)", names_only=True),
    "missing": Check(1, lambda: _missing, "is missing", "missing(SliceThickness)", names_only=True),
    "contains": Check(2, _text_test(operator.contains), "contains", "contains(SeriesDescription, 't1')"),
    "startswith": Check(2, _text_test(str.startswith), "starts with", "startswith(SeriesDescription, 't1')"),
    "endswith": Check(2, _text_test(str.endswith), "ends with", "endswith(SeriesDescription, 'mpr')"),
    "like": Check(2, _like, "is like", "like(SeriesDescription, 'T1*')", pattern=True),
    "regex": Check(2, _regex, "matches the pattern", r"regex(SeriesDescription, '^t[12]\b')", pattern=True),
    "one_of": Check(2, _one_of, "is one of", "one_of(Modality, 'CT', 'PT')", several=True),
}


# --- functions that make a value -----------------------------------------------------------------------------------


def _each(function: str, change: Callable[[Scalar], Value]) -> Callable[[Value], Value]:
    """The function of a value, or of each value of a list."""

    def run(value: Value) -> Value:
        if value is MISSING or isinstance(value, Fault):
            return value
        if not isinstance(value, tuple):
            return change(value)
        changed: list[Scalar] = []
        for item in value:
            one = "" if item == "" else change(item)
            if not isinstance(one, (str, int, float)):
                return one if isinstance(one, Fault) else Fault(f"{function}() of this list")
            changed.append(one)
        return tuple(changed)

    return run


def _case(function: str, change: Callable[[str], str]) -> Callable[[Value], Value]:
    def run(value: Scalar) -> Value:
        return change(value) if isinstance(value, str) else Fault(f"{function}() needs text, this is {called(value)}")

    return _each(function, run)


def _number(value: Scalar) -> Value:
    if not isinstance(value, str):
        return value
    number = number_of(value.strip())
    return Fault("number() of text that is no number") if number is None else number


def _text(value: Scalar) -> Value:
    return str(value) if isinstance(value, str) else text_of(value)


def _length(value: Value) -> Value:
    if isinstance(value, (str, tuple)):
        return len(value)
    if value is MISSING or isinstance(value, Fault):
        return value
    return Fault(f"length() needs text or a list, this is {called(value)}")


def _date(value: Scalar) -> Value:
    if isinstance(value, Moment):
        moment = day_of(value)
    elif isinstance(value, str):
        moment = day_of(moment_of(value, "datetime"))
    else:
        return Fault("date() needs text, this is a number")
    return moment if moment.parts else Fault("date() of something that is no date")


CONVERSIONS: dict[str, Conversion] = {
    "lower": Conversion(_case("lower", str.lower), "{} in lower case"),
    "upper": Conversion(_case("upper", str.upper), "{} in upper case"),
    "number": Conversion(_each("number", _number), "{} as a number"),
    "text": Conversion(_each("text", _text), "{} as text"),
    "length": Conversion(_length, "the length of {}"),
    "date": Conversion(_each("date", _date), "the date of {}"),
}
FUNCTIONS = (*CHECKS, *CONVERSIONS, *SOURCES, "tag", *IMAGE_FUNCTIONS)


def why_not(function: str, arguments: tuple[Value, ...]) -> str:
    """Why a test came to UNKNOWN or ERROR, in words."""
    for argument in arguments:
        if isinstance(argument, Fault):
            return argument.reason
    if any(argument is MISSING for argument in arguments):
        return "a value is missing"
    if CHECKS[function].pattern and _too_long(arguments[0]):
        return f"the value is longer than {patterns.LIMIT_TEXT} characters, too long for {function}()"
    kinds = " and ".join(called(argument) for argument in arguments)
    if function == "one_of":
        return f"one_of() cannot compare {kinds}"
    number = any(isinstance(argument, (int, float)) for argument in arguments)
    return f"{function}() needs text, this is {kinds}" + ("; text( ) makes text of a number" if number else "")
