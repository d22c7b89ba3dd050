"""What to say to somebody who wrote something that is not part of the rule language: the fault and the cure.

It must not decide what is allowed; `language` has refused already when it asks here.
"""

from __future__ import annotations

import ast
import re

from protocol.routing.rules import functions, names

_PLANNED = "is planned, not available yet"
_UNKNOWN = "see the rule language's page for what a rule may say"

_NODES: dict[type[ast.expr], tuple[str, str]] = {
    ast.Lambda: ("a lambda is not part of the rule language", "write the condition itself"),
    ast.NamedExpr: ("`:=` is not part of the rule language", "write == to compare"),
    ast.JoinedStr: ("an f-string is not part of the rule language", "write a plain text in quotes"),
    ast.BinOp: ("calculating is not part of the rule language", "compare with the result instead"),
    ast.UnaryOp: ("this sign is not part of the rule language", "write not before a condition, - before a number"),
    ast.Subscript: ("[ ] is not part of the rule language", "use in, contains(), startswith() or endswith()"),
    ast.Starred: ("* is not part of the rule language", _UNKNOWN),
    ast.Dict: ("{ } is not part of the rule language", "write a list in parentheses"),
    ast.Set: ("{ } is not part of the rule language", "write a list in parentheses"),
    ast.IfExp: (f"`a if c else b` {_PLANNED}", "write (c and a) or (not c and b)"),
    ast.ListComp: ("a comprehension is not part of the rule language", "use any_image() or all_images()"),
    ast.SetComp: ("a comprehension is not part of the rule language", "use any_image() or all_images()"),
    ast.DictComp: ("a comprehension is not part of the rule language", "use any_image() or all_images()"),
    ast.GeneratorExp: ("a comprehension is not part of the rule language", "use any_image() or all_images()"),
    ast.Constant: ("this constant is not part of the rule language", "write a number or a text in quotes"),
}
_METHODS = {
    "lower": "lower(X)",
    "upper": "upper(X)",
    "startswith": "startswith(X, 'a')",
    "endswith": "endswith(X, 'a')",
}


def of_node(node: ast.expr) -> tuple[str, str]:
    """Message and cure for a kind of expression that a rule may not use."""
    if isinstance(node, ast.Attribute):
        return _of_attribute(node)
    if isinstance(node, ast.Call):
        return "only the functions of the rule language can be called", _UNKNOWN
    return _NODES.get(type(node), (f"{type(node).__name__} is not part of the rule language", _UNKNOWN))


def _of_attribute(node: ast.Attribute) -> tuple[str, str]:
    if node.attr in _METHODS:
        return f"`.{node.attr}` is not part of the rule language", f"write {_METHODS[node.attr]}"
    if isinstance(node.value, ast.Name):
        if node.value.id == "tags":
            return f"`tags.{node.attr}` {_PLANNED}", f"write {node.attr}"
        known = names.find(node.value.id)
        if known is not None and known.kind == "sequence":
            return f"`{known.name}.{node.attr}`: reading sequences {_PLANNED}", "use a name outside the sequence"
    return f"`.{node.attr}` is not part of the rule language", "write names alone, without dots"


def of_name(name: str) -> tuple[str, str]:
    """Message and cure for a name that nobody knows."""
    if name in functions.FUNCTIONS:
        return f"{name} is a function", f"write {name}( )"
    candidates = (known.name for known in names.known_names().values())
    cure = names.did_you_mean(name, candidates, "use a DICOM keyword; put texts in quotes")
    return f"unknown name '{name}'", cure


def of_function(name: str) -> tuple[str, str]:
    """Message and cure for a function that nobody knows, or that does not exist yet."""
    if name in functions.PLANNED:
        return f"{name}() {_PLANNED}", "use what there is: " + ", ".join(functions.FUNCTIONS)
    otherwise = "there are " + ", ".join(functions.FUNCTIONS)
    return f"unknown function '{name}'", names.did_you_mean(name, functions.FUNCTIONS, otherwise)


def of_grammar(message: str, line: str) -> tuple[str, str]:
    """Message and cure for a text that is not even an expression; `message` is Python's."""
    if "nested" in message or "too complex" in message:
        return "nested too deeply", "split it into several rules"
    if "null byte" in message:
        return "a NUL character", "leave it out"
    outside = re.sub(r"'[^']*'|\"[^\"]*\"", "''", line)
    for pattern, cure in (
        (r"\b(AND|OR|NOT|IN|And|Or|Not|In)\b", "write and, or, not, in with small letters"),
        (r"&&|\|\|", "write and, or"),
        (r"<>", "write !="),
        (r"(?<![=!<>:])=(?!=)", "write == to compare"),
        (r"@\w+@", f"@Keyword@ {_PLANNED}; write the keyword alone"),
    ):
        if re.search(pattern, outside):
            return "cannot be read", cure
    short = message.split(". ")[0].split(" (")[0]
    return f"cannot be read: {short}", "check quotes, parentheses and operators"
