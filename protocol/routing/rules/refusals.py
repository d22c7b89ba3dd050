"""What to say to somebody who wrote something that is not part of the rule language: the fault and the cure.

It must not decide what is allowed; the reader has refused already when it asks here.
"""

from __future__ import annotations

import ast
import re

from protocol.routing.rules import functions, names

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
    ast.ListComp: ("a comprehension is not part of the rule language", "use any_image() or all_images()"),
    ast.SetComp: ("a comprehension is not part of the rule language", "use any_image() or all_images()"),
    ast.DictComp: ("a comprehension is not part of the rule language", "use any_image() or all_images()"),
    ast.GeneratorExp: ("a comprehension is not part of the rule language", "use any_image() or all_images()"),
    ast.Constant: ("this constant is not part of the rule language", "write a number or a text in quotes"),
}
_BITS = ("`|` and `&` join only whole conditions", "write or, and; or put each comparison in parentheses")
_METHODS = {
    "lower": "lower(X)",
    "upper": "upper(X)",
    "startswith": "startswith(X, 'a')",
    "endswith": "endswith(X, 'a')",
    "find": "contains(X, 'a')",
    "index": "contains(X, 'a')",
    "count": "contains(X, 'a')",
    "split": "contains(X, 'a')",
    "casefold": "lower(X)",
}
_STANDINS = {
    "len": "length",
    "float": "number",
    "int": "number",
    "str": "text",
    "any": "any_image",
    "all": "all_images",
    "count": "count_images",
    "match": "regex",
    "glob": "like",
}
_SIGNS = {"≤": "<=", "≥": ">=", "≠": "!=", "＝": "==", "∧": "and", "∨": "or", "¬": "not"}
_CURLY = "‘’‚‛“”„‟«»′″`´"


def of_node(node: ast.expr) -> tuple[str, str]:
    """Message and cure for a kind of expression that a rule may not use."""
    if isinstance(node, ast.Attribute):
        return _of_attribute(node)
    if isinstance(node, ast.Call):
        return "only the functions of the rule language can be called", _UNKNOWN
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd):
        return _BITS
    return _NODES.get(type(node), (f"{type(node).__name__} is not part of the rule language", _UNKNOWN))


def _of_attribute(node: ast.Attribute) -> tuple[str, str]:
    message = f"`.{node.attr}` is not part of the rule language"
    if node.attr in _METHODS:
        return message, f"write {_METHODS[node.attr]}"
    return message, "a dot stands only between a sequence and what is in it"


def of_name(name: str, only: str = "") -> tuple[str, str]:
    """Message and cure for a name that nobody knows; `only` names of that kind are suggested, if it is not empty."""
    if name in functions.FUNCTIONS:
        return f"{name} is a function", f"write {name}( )"
    if name.lower() == "tags":
        return "tags alone is not a value", "write the keyword alone, for example Modality"
    candidates = (known.name for known in names.known_names().values() if not only or known.kind == only)
    cure = names.did_you_mean(name, candidates, "use a DICOM keyword; put texts in quotes")
    return f"unknown name '{name}'", cure


def of_function(name: str) -> tuple[str, str]:
    """Message and cure for a function that nobody knows."""
    if name in _STANDINS:
        return f"unknown function '{name}'", f"did you mean '{_STANDINS[name]}'?"
    otherwise = "there are " + ", ".join(functions.FUNCTIONS)
    return f"unknown function '{name}'", names.did_you_mean(name, functions.FUNCTIONS, otherwise)


def of_grammar(message: str, line: str) -> tuple[str, str]:
    """Message and cure for a text that is not even an expression; `message` is Python's."""
    if "nested" in message or "too complex" in message:
        return "nested too deeply", "split it into several rules"
    if "null byte" in message:
        return "a NUL character", "leave it out"
    odd = re.search(r"invalid (?:non-printable )?character '?(.)?", message)
    if odd:
        return _of_character(odd[1] or "")
    outside = re.sub(r"'[^']*'|\"[^\"]*\"", "''", line)
    for pattern, cure in (
        (r"\b(AND|OR|NOT|IN|And|Or|Not|In)\b", "write and, or, not, in with small letters"),
        (r"&&|\|\|", "write and, or"),
        (r"<>", "write !="),
        (r"(?<![=!<>:])=(?!=)", "write == to compare"),
        (r"@|%", "write the keyword alone, or @Keyword@ with both signs"),
    ):
        if re.search(pattern, outside):
            return "cannot be read", cure
    short = message.split(". ")[0].split(" (")[0]
    return f"cannot be read: {short}", "check quotes, parentheses and operators"


def _of_character(odd: str) -> tuple[str, str]:
    message = f"the character {odd} cannot stand outside quotes"
    if odd in _SIGNS:
        return message, f"write {_SIGNS[odd]}"
    if odd and odd in _CURLY:
        return "typographic quotes", "write straight quotes, ' or \""
    return message, "leave it out, or put the text in quotes"
