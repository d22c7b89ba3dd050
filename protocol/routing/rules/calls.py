"""Calls in a rule: which function, with which arguments; anything else that looks like a call is refused.

It must not evaluate a function; it asks the reader for the terms and conditions inside one.
"""

from __future__ import annotations

import ast
from typing import Protocol

from protocol.routing.rules import constants, functions, refusals
from protocol.routing.rules.derived import SOURCES
from protocol.routing.rules.line import Line
from protocol.routing.rules.nodes import (
    Ask,
    Clause,
    Constant,
    Convert,
    CountImages,
    Derived,
    FirstImageValue,
    Name,
    OverImages,
    Term,
)
from protocol.routing.rules.references import References


class Reader(Protocol):
    """What reads the arguments."""

    line: Line
    references: References
    inside_images: bool
    asks_images: bool

    def clause(self, node: ast.expr, depth: int) -> Clause:
        """A condition."""

    def term(self, node: ast.expr, depth: int) -> Term:
        """A value."""


def read_call(reader: Reader, node: ast.Call, depth: int, want_clause: bool) -> Clause | Term:
    """A call of one of the functions. Raises RuleSyntaxError."""
    line = reader.line
    if not isinstance(node.func, ast.Name):
        raise line.refused_kind(node.func)
    function = node.func.id
    if function not in functions.FUNCTIONS:
        message, cure = refusals.of_function(function)
        raise line.refused(node, message, cure)
    _check_form(line, node, function)
    if function == "tag":
        return reader.references.tag(node)
    if function in SOURCES:
        return _source(reader, node, function)
    if function in functions.IMAGE_FUNCTIONS:
        return _over_images(reader, node, function, depth, want_clause)
    if function in functions.CONVERSIONS:
        _count_arguments(line, node, function, 1)
        if function == "date" and isinstance(node.args[0], ast.Constant):
            return constants.a_date(line, node)
        return Convert(line.of(node), function, (reader.term(node.args[0], depth + 1),))
    return _check(reader, node, function, depth)


def _check_form(line: Line, node: ast.Call, function: str) -> None:
    """Arguments stand one after the other; only tag() has one with a name."""
    named = [] if function == "tag" else [keyword.value for keyword in node.keywords]
    for argument in (*node.args, *named):
        if named or isinstance(argument, ast.Starred):
            message = f"{function}() takes no such argument"
            raise line.refused(argument, message, "write its values one after the other")


def _count_arguments(line: Line, node: ast.Call, function: str, wanted: int) -> None:
    if len(node.args) != wanted:
        values = {0: "no value", 1: "one value"}.get(wanted, f"{wanted} values")
        message = f"{function}() needs {values}, this has {len(node.args)}"
        raise line.refused(node, message, "see the rule language's page")


def _source(reader: Reader, node: ast.Call, function: str) -> Derived:
    _count_arguments(reader.line, node, function, 0)
    reader.references.found.update(name for name, _ in SOURCES[function].reads)
    return Derived(reader.line.of(node), function)


def _check(reader: Reader, node: ast.Call, function: str, depth: int) -> Ask:
    line, check = reader.line, functions.CHECKS[function]
    if check.several:
        return _several(reader, node, function, depth)
    _count_arguments(line, node, function, check.arguments)
    first = reader.term(node.args[0], depth + 1)
    if check.names_only and not isinstance(first, Name):
        raise line.refused(node.args[0], f"{function}() needs a name", f"write for example {check.example}")
    if check.pattern:
        return Ask(line.of(node), function, (first, constants.pattern(line, node.args[1], function)))
    rest = tuple(reader.term(argument, depth + 1) for argument in node.args[1:])
    for argument, place in zip(rest, node.args[1:], strict=True):
        if isinstance(argument, Constant) and not (isinstance(argument.value, str) and argument.value):
            message = f"{function}() looks for a text"
            raise line.refused(place, message, "write it in quotes, for example 'brain'")
    return Ask(line.of(node), function, (first, *rest))


def _several(reader: Reader, node: ast.Call, function: str, depth: int) -> Ask:
    line, example = reader.line, functions.CHECKS[function].example
    if len(node.args) < 2:
        message = f"{function}() needs a value and what it may be, this has {len(node.args)}"
        raise line.refused(node, message, f"write for example {example}")
    first = reader.term(node.args[0], depth + 1)
    places = node.args[1:]
    if len(places) == 1 and isinstance(places[0], ast.Tuple | ast.List):
        places = places[0].elts or places
    chosen = [Constant(line.of(place), constants.scalar(line, place)) for place in places]
    for place, constant in zip(places, chosen, strict=True):
        constants.check_beside(line, first, place, constant)
    values = tuple(constant.value for constant in chosen if not isinstance(constant.value, tuple))
    return Ask(line.of(node), function, (first, Constant(", ".join(one.text for one in chosen), values)))


def _over_images(reader: Reader, node: ast.Call, function: str, depth: int, want_clause: bool) -> Clause | Term:
    line, text = reader.line, reader.line.of(node)
    if reader.inside_images:
        message = f"{function}() cannot stand inside another image function"
        raise line.refused(node, message, "write them side by side")
    reader.asks_images = True
    if function == "count_images" and not node.args:
        return CountImages(text, None)
    _count_arguments(line, node, function, 1)
    reader.inside_images = True
    try:
        if function == "first_image" and not want_clause:
            return FirstImageValue(text, reader.term(node.args[0], depth + 1))
        clause = reader.clause(node.args[0], depth + 1)
    finally:
        reader.inside_images = False
    return CountImages(text, clause) if function == "count_images" else OverImages(text, function, clause)
