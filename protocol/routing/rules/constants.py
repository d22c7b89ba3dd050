"""Constants in a rule: numbers, texts, lists of them, patterns; and whether they can be compared with what they stand by.

It must not know where in a rule they stand; it refuses what can never be meant, with the place and the cure.
"""

from __future__ import annotations

import ast
import re

from protocol.errors import RuleSyntaxError
from protocol.routing.rules import patterns
from protocol.routing.rules.derived import WEEKDAYS
from protocol.routing.rules.line import Line
from protocol.routing.rules.moments import Moment, moment_of
from protocol.routing.rules.nodes import Constant, Derived, Name, Term
from protocol.routing.rules.values import Scalar

LIMIT_NUMBER = 10**18
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_QUOTES = re.compile(r"([rRuU]?)('''|\"\"\"|'|\")(.*)\2", re.DOTALL)
_MOMENTS = {
    "date": ("is no date", "a date is like '2026-01-31' or '20260131'; '2026-01' is a whole month"),
    "time": ("is no time of day", "a time is like '12:30', '12:30:00' or '123000'"),
    "datetime": ("is no date with time", "write it like '2026-01-31 12:30'; '2026-01-31' is the whole day"),
}
_ONE_OF_RANGE = r"(\d{8}|\d{4}-\d\d-\d\d|\d{1,2}:\d\d(?::\d\d)?|\d{4,6})"
_RANGE = re.compile(rf"{_ONE_OF_RANGE} ?(?:-|to|\.\.) ?{_ONE_OF_RANGE}")


def list_of(line: Line, node: ast.Tuple | ast.List) -> Constant:
    """A list of constants. Raises RuleSyntaxError."""
    if not node.elts:
        raise line.refused(node, "an empty list", "name at least one value")
    return Constant(line.of(node), tuple(scalar(line, element) for element in node.elts))


def scalar(line: Line, node: ast.expr) -> Scalar:
    """A number or a text. Raises RuleSyntaxError."""
    match node:
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant(value=int() | float() as number)):
            if not isinstance(number, bool):
                return -_number(line, node, number) if isinstance(sign, ast.USub) else _number(line, node, number)
        case ast.Constant(value=bool()):
            raise line.refused(node, "True and False are conditions, not values", "write the condition alone")
        case ast.Constant(value=int() | float() as number):
            return _number(line, node, number)
        case ast.Constant(value=str() as text):
            if _NO_TEXT.search(text):
                raise line.refused(node, "a character that no value can hold", "leave it out")
            return text
        case ast.Constant(value=None):
            raise line.refused(node, "None is not a value", "write missing(X) or exists(X)")
        case ast.Name() | ast.Attribute() | ast.Call() | ast.Tuple() | ast.List():
            raise line.refused(node, "a list may hold only numbers and texts", "join comparisons with or")
    raise line.refused_kind(node)


def _number(line: Line, node: ast.expr, number: int | float) -> int | float:
    if not -LIMIT_NUMBER <= number <= LIMIT_NUMBER:
        raise line.refused(node, "this number is too large", f"no DICOM number exceeds {LIMIT_NUMBER:.0e}")
    return number


def pattern(line: Line, node: ast.expr, function: str) -> Constant:
    """A pattern, checked by compiling it. A backslash in it is the pattern's own. Raises RuleSyntaxError."""
    text = scalar(line, node) if isinstance(node, ast.Constant) else None
    if not isinstance(text, str) or not text:
        raise line.refused(node, f"{function}() needs its pattern as a text in quotes", "for example 'T1*'")
    if function == "regex" and (quoted := _QUOTES.fullmatch(line.of(node))):
        text = quoted[3]
    if len(text) > patterns.LIMIT_PATTERN:
        raise line.refused(node, f"a pattern has at most {patterns.LIMIT_PATTERN} characters", "split it into several")
    try:
        patterns.regex(text) if function == "regex" else patterns.glob(text)
    except ValueError as exc:
        cure = (
            "there is no looking ahead or back and no \\1; repeat less" if function == "regex" else "use fewer * and ?"
        )
        raise line.refused(node, f"this pattern cannot be used: {exc}", cure) from exc
    return Constant(line.of(node), text)


def a_date(line: Line, node: ast.expr) -> Constant:
    """The constant date('2026-01-31'). Raises RuleSyntaxError."""
    assert isinstance(node, ast.Call)
    text = str(scalar(line, node.args[0]))
    moment = moment_of(text, "date", True)
    _check_moment(line, node.args[0], text, moment)
    return Constant(line.of(node), moment)


def check_beside(line: Line, term: Term, node: ast.expr, constant: Constant) -> None:
    """Refuse a constant that can never be compared with the term, by ==, <, ... or as one of a list."""
    for value in constant.value if isinstance(constant.value, tuple) else (constant.value,):
        if isinstance(term, Derived) and term.function == "weekday" and value not in WEEKDAYS:
            days = ", ".join(f"'{day}'" for day in WEEKDAYS)
            raise line.refused(node, f"weekday() is never {value!r}", f"it is one of {days}")
        if isinstance(term, Derived) and term.function != "weekday" and isinstance(value, str):
            raise line.refused(node, f"{term.function}() is a number, not text", "write the number without quotes")
        if isinstance(term, Name) and term.kind in _MOMENTS and not isinstance(value, Moment):
            if not isinstance(value, str):
                raise line.refused(node, f"{term.name} {_is(term)}, not a number", _MOMENTS[term.kind][1])
            kind = "datetime" if term.kind == "datetime" else "date" if term.kind == "date" else "time"
            _check_moment(line, node, value, moment_of(value, kind, True))


def _is(term: Name) -> str:
    return {"date": "is a date", "time": "is a time of day"}.get(term.kind, "is a date with time")


def _check_moment(line: Line, node: ast.expr, text: str, moment: Moment) -> None:
    if moment.parts:
        return
    message, cure = _MOMENTS[moment.kind]
    if not text.strip():
        cure = "write missing(X) for a value that is empty or not there"
    elif ranged := _RANGE.fullmatch(text.strip()):
        cure = f"for a range write '{ranged[1]}' <= X <= '{ranged[2]}'"
    raise RuleSyntaxError(f"'{text}' {message}", line.start(node), cure)
