"""A naive reference evaluator of the rule language, for tests: it interprets Python's tree, as plainly as possible.

It must not import anything of the rules: it says independently what docs/rules.md says.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

KINDS = {
    "SeriesNumber": "number",
    "EchoTime": "number",
    "ImageCount": "number",
    "StudyDate": "date",
    "SeriesDate": "date",
    "0019,100C": "any",
}  # all other names are texts
AND_ORDER = ("false", "error", "unknown", "true")
OR_ORDER = ("true", "error", "unknown", "false")
Header = Mapping[str, Any]


class BadValue(Exception):
    """A value that cannot be made."""


class Date(str):
    """The digits of a date; "" if it is none."""


class Naive:
    """One arrival. `image` is the image whose values names mean, None outside the image functions."""

    def __init__(self, images: Sequence[Header], origin: Header, image: Header | None = None) -> None:
        self.images, self.origin, self.image = images, origin, image

    # --- names

    def name(self, name: str) -> Any:
        if name == "ImageCount":
            return len(self.images)
        if name in ("SenderAET", "Source"):
            raw = self.origin.get(name)
        elif self.image is not None:
            raw = self.image.get(name)
        else:
            raw = first(self.images).get(name) if self.images else None
        if isinstance(raw, list):
            return tuple(typed(item, name) for item in raw) if len(raw) > 1 else typed(raw[0], name)
        return typed(raw, name)

    # --- values

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.UnaryOp(operand=ast.Constant(value=value)):
                return -value
            case ast.Tuple(elts=elements):
                return tuple(self.value(element) for element in elements)
            case ast.Name(id=name):
                return self.name(name)
            case ast.Attribute():
                return self.name(ast.unparse(node))
            case ast.IfExp():
                truth = self.truth(node.test)
                if truth == "error":
                    raise BadValue
                return None if truth == "unknown" else self.value(node.body if truth == "true" else node.orelse)
            case ast.Call(func=ast.Name(id="tag")):
                return self.name("0019,100C")
            case ast.Call(func=ast.Name(id="first_image")):
                return self.of(first(self.images)).value(node.args[0]) if self.images else None
            case ast.Call(func=ast.Name(id="count_images"), args=[]):
                return len(self.images)
            case ast.Call(func=ast.Name(id="count_images")):
                truths = [self.of(image).truth(node.args[0]) for image in self.images]
                if "error" in truths:
                    raise BadValue
                return truths.count("true")
            case ast.Call(func=ast.Name(id=function)):
                return converted(function, self.value(node.args[0]))
        raise AssertionError(ast.dump(node))

    # --- conditions

    def truth(self, node: ast.expr) -> str:
        match node:
            case ast.Constant(value=value):
                return str(value).lower()
            case ast.BoolOp(op=op, values=values):
                order = AND_ORDER if isinstance(op, ast.And) else OR_ORDER
                return min((self.truth(value) for value in values), key=order.index)
            case ast.UnaryOp(operand=operand):
                return opposite(self.truth(operand))
            case ast.IfExp():
                truth = self.truth(node.test)
                return (
                    self.truth({"true": node.body, "false": node.orelse}[truth])
                    if truth in ("true", "false")
                    else truth
                )
            case ast.Compare():
                return self.chain(node)
            case ast.Call(func=ast.Name(id=function)):
                return self.call(function, node.args)
        raise AssertionError(ast.dump(node))

    def chain(self, node: ast.Compare) -> str:
        terms = [node.left, *node.comparators]
        links = zip(node.ops, terms, terms[1:], strict=False)
        return min((self.link(type(op), left, right) for op, left, right in links), key=AND_ORDER.index)

    def link(self, op: type[ast.cmpop], left: ast.expr, right: ast.expr) -> str:
        try:
            values = [self.value(left), self.value(right)]
        except BadValue:
            return "error"
        if None in values:
            return "unknown"
        return compared(op, *values)

    def call(self, function: str, args: list[ast.expr]) -> str:
        if function in ("any_image", "all_images"):
            truths = [self.of(image).truth(args[0]) for image in self.images]
            return (
                min(truths, key=OR_ORDER.index if function == "any_image" else AND_ORDER.index) if truths else "unknown"
            )
        if function == "first_image":
            return self.of(first(self.images)).truth(args[0]) if self.images else "unknown"
        try:
            values = [self.value(arg) for arg in args]
        except BadValue:
            return "error"
        if function in ("exists", "missing"):
            return say((values[0] is None) == (function == "missing"))
        if None in values:
            return "unknown"
        value, *rest = values
        if function == "one_of":
            items = value if isinstance(value, tuple) else (value,)
            answers = [compared(ast.Eq, fold(item), fold(choice)) for item in items for choice in rest]
            return min(answers, key=OR_ORDER.index)
        return matched(function, value, rest[0])

    def of(self, image: Header) -> Naive:
        return Naive(self.images, self.origin, image)


def first(images: Sequence[Header]) -> Header:
    def place(image: Header) -> tuple[float, str]:
        number = image.get("InstanceNumber")
        return (number if isinstance(number, int) else float("inf"), str(image.get("SOPInstanceUID", "")))

    return min(images, key=place)


def typed(raw: Any, name: str) -> Any:
    if raw is None or raw == "":
        return None
    kind = KINDS.get(name, "text")
    if kind == "date":
        return Date(raw if re.fullmatch(r"\d{8}", raw) else "")
    if kind == "number" and isinstance(raw, str) and re.fullmatch(r"-?\d+", raw):
        return int(raw)
    return str(raw) if kind == "text" else raw


def say(answer: bool) -> str:
    return "true" if answer else "false"


def opposite(truth: str) -> str:
    return {"true": "false", "false": "true"}.get(truth, truth)


def fold(value: Any) -> Any:
    return value.casefold() if type(value) is str else value


def converted(function: str, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, tuple) and function != "length":
        return tuple(converted(function, item) for item in value)
    if function == "length":
        if isinstance(value, (int, float)):
            raise BadValue
        return len(value)
    if function == "text":
        return str(int(value) if isinstance(value, float) and value == int(value) else value)
    if function == "number":
        if isinstance(value, str):
            if not re.fullmatch(r"-?\d+(\.\d+)?", value):
                raise BadValue
            return float(value)
        return value
    if not isinstance(value, str):
        raise BadValue
    return value.lower() if function == "lower" else value.upper()


def compared(op: type[ast.cmpop], left: Any, right: Any) -> str:
    if op is ast.NotEq:
        return opposite(compared(ast.Eq, left, right))
    if op is ast.NotIn:
        return opposite(compared(ast.In, left, right))
    if op is ast.In:
        if isinstance(right, tuple):
            return min((compared(ast.Eq, left, item) for item in right), key=OR_ORDER.index)
        return say(left in right) if isinstance(left, str) and isinstance(right, str) else "error"
    if isinstance(left, tuple) or isinstance(right, tuple):
        if op is not ast.Eq:
            return "error"
        if not (isinstance(left, tuple) and isinstance(right, tuple)) or len(left) != len(right):
            return "false"
        return min((compared(op, one, other) for one, other in zip(left, right, strict=True)), key=AND_ORDER.index)
    if isinstance(left, str) != isinstance(right, str):
        return "error"
    if isinstance(left, Date) or isinstance(right, Date):
        return of_dates(op, left, right)
    return say(OPERATIONS[op](left, right))


def of_dates(op: type[ast.cmpop], left: str, right: str) -> str:
    digits = [one if isinstance(one, Date) else one.replace("-", "") for one in (left, right)]
    if not all(re.fullmatch(r"\d{4}(\d\d){0,2}", one) for one in digits):
        return "error"
    shared = min(map(len, digits))
    return say(OPERATIONS[op](digits[0][:shared], digits[1][:shared]))


OPERATIONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: lambda left, right: left == right,
    ast.Lt: lambda left, right: left < right,
    ast.LtE: lambda left, right: left <= right,
    ast.Gt: lambda left, right: left > right,
    ast.GtE: lambda left, right: left >= right,
}


def matched(function: str, value: Any, part: Any) -> str:
    if not isinstance(part, str):
        return "error"
    items = value if isinstance(value, tuple) else (value,)
    texts = [item.casefold() for item in items if isinstance(item, str)]
    wanted = part.casefold()
    if function == "like":
        pattern = "".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in wanted)
        answers = [bool(re.fullmatch(pattern, text, re.DOTALL)) for text in texts]
    elif function == "regex":
        answers = [bool(re.search(part, item, re.IGNORECASE)) for item in items if isinstance(item, str)]
    else:
        tests = {"contains": lambda text: wanted in text, "startswith": lambda text: text.startswith(wanted)}
        tests["endswith"] = lambda text: text.endswith(wanted)
        answers = [tests[function](text) for text in texts]
    return "true" if any(answers) else "false" if len(texts) == len(items) else "error"
