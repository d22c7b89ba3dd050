"""Conditions as rows that people fill in (field, test, value; all of, any of), out of a condition's tree and back to text.

Pure. A condition that rows cannot say exactly has none: then it is edited as text. It must not evaluate anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from protocol.errors import RuleSyntaxError
from protocol.routing.rules.compiler import compile_rule
from protocol.routing.rules.english import english
from protocol.routing.rules.names import find
from protocol.routing.rules.nodes import Always, Ask, Clause, Compare, Constant, Logic, Name, Not, OverImages, Term

TESTS: tuple[tuple[str, str], ...] = (
    ("==", "is"), ("!=", "is not"), ("contains", "contains"), ("not contains", "does not contain"),
    ("in", "is one of"), ("not in", "is none of"), ("has", "has among its values"), ("has not", "does not have"),
    (">", "above"), (">=", "at least"), ("<", "below"), ("<=", "at most"),
    ("startswith", "starts with"), ("endswith", "ends with"), ("like", "is like (* and ?)"),
    ("regex", "matches the pattern"), ("exists", "is present"), ("missing", "is missing"),
)  # fmt: skip
SCOPES: tuple[tuple[str, str], ...] = (("", "the series"), ("any_image", "any image"), ("all_images", "all images"))
MOST_ROWS = 60

Row = dict[str, Any]


def rows_of(text: str) -> Row | None:
    """The rows of a condition: {"op": "and"|"or", "rows": [row or group]}; None: rows cannot say it, or it is faulty."""
    try:
        tree = compile_rule(text).tree
    except RuleSyntaxError:
        return None
    found = _group(tree, "") if isinstance(tree, Logic) else _single(tree)
    if found is None or len(found["rows"]) > MOST_ROWS:
        return None
    try:
        same = english(compile_rule(text_of(found)).tree) == english(tree)
    except RuleSyntaxError:
        return None
    return found if same else None


def _single(tree: Clause) -> Row | None:
    if isinstance(tree, Always):
        return {"op": "and", "rows": []} if tree.value else None
    row = _row(tree)
    return None if row is None else {"op": "and", "rows": [row]}


def _group(tree: Logic, above: str) -> Row | None:
    rows = []
    for clause in tree.clauses:
        row = _row(clause)
        if row is None and not above and isinstance(clause, Logic) and clause.operator != tree.operator:
            row = _group(clause, tree.operator)
        if row is None:
            return None
        rows.append(row)
    return {"op": tree.operator, "rows": rows}


def _row(clause: Clause, scope: str = "") -> Row | None:
    match clause:
        case OverImages(function=function, clause=inner) if not scope and function in ("any_image", "all_images"):
            return _row(inner, function)
        case Not(clause=Ask(function="contains") as inner):
            row = _row(inner, scope)
            return None if row is None else row | {"test": "not contains"}
        case Ask(function="one_of"):
            return None
        case Ask(function=function, arguments=(Name(text=name),)):
            return {"scope": scope, "field": name, "test": function, "value": ""}
        case Ask(function=function, arguments=(Name(text=name), Constant(value=str(value)))):
            return {"scope": scope, "field": name, "test": function, "value": value}
        case Compare(terms=(left, right), operators=(operator,)):
            return _compared(left, operator, right, scope)
    return None


def _compared(left: Term, operator: str, right: Term, scope: str) -> Row | None:
    if isinstance(left, Name) and isinstance(right, Constant):
        value = _listed(right.value) if isinstance(right.value, tuple) else str(right.value)
        if value is None or isinstance(right.value, tuple) != (operator in ("in", "not in")):
            return None
        return {"scope": scope, "field": left.text, "test": operator, "value": value}
    if isinstance(right, Name) and isinstance(left, Constant) and operator in ("in", "not in"):
        test = "has" if operator == "in" else "has not"
        return {"scope": scope, "field": right.text, "test": test, "value": str(left.value)}
    return None


def _listed(values: Sequence[Any]) -> str | None:
    texts = [str(value) for value in values]
    return None if any("," in text or text != text.strip() or not text for text in texts) else ", ".join(texts)


# ---- back to text ---------------------------------------------------------------------------------------------------


def text_of(group: Mapping[str, Any]) -> str:
    """The condition that rows say. Rows without a field are left out; without any rows it is True."""
    return _joined(group, inside=False) or "True"


def _joined(group: Mapping[str, Any], inside: bool) -> str:
    operator = "or" if group.get("op") == "or" else "and"
    parts = []
    rows = group.get("rows")
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, Mapping):
            continue
        text = ("" if inside else _joined(row, inside=True)) if "rows" in row else _clause(row)
        if text:
            parts.append(text)
    joined = f" {operator} ".join(parts)
    return f"({joined})" if inside and len(parts) > 1 else joined


def _clause(row: Mapping[str, Any]) -> str:
    field, test, value = (str(row.get(key, "")).strip() for key in ("field", "test", "value"))
    if not field:
        return ""
    text = _tested(field, test, value)
    scope = str(row.get("scope", ""))
    return f"{scope}({text})" if scope in ("any_image", "all_images") else text


def _tested(field: str, test: str, value: str) -> str:
    match test:
        case "exists" | "missing":
            return f"{test}({field})"
        case "contains" | "startswith" | "endswith" | "like" | "regex":
            return f"{test}({field}, {_quoted(value)})"
        case "not contains":
            return f"not contains({field}, {_quoted(value)})"
        case "in" | "not in":
            items = [_literal(field, part.strip()) for part in value.split(",") if part.strip()]
            return f"{field} {test} ({', '.join(items)}{',' if len(items) == 1 else ''})"
        case "has" | "has not":
            return f"{_literal(field, value)} {'in' if test == 'has' else 'not in'} {field}"
    return f"{field} {test or '=='} {_literal(field, value)}"


def _literal(field: str, value: str) -> str:
    """A number where the field is one, else text in quotes."""
    known = find(field)
    kind = known.kind if known is not None else "any"
    return value if kind in ("number", "any") and _is_number(value) else _quoted(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.lower().strip("+-") not in ("inf", "infinity", "nan") and "_" not in text


def _quoted(text: str) -> str:
    return repr(text)
