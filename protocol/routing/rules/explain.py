"""Why a rule came to its result: the tree of its clauses, each with its result and the values it read.

It must not differ from what the compiled rule answers (a property test holds it to that); its output is JSON-encodable.
"""

from __future__ import annotations

from typing import Any

from protocol.routing.rules import functions
from protocol.routing.rules.images import count_images, first_value, over_images
from protocol.routing.rules.nodes import (
    Always,
    Ask,
    Clause,
    Compare,
    Constant,
    Convert,
    CountImages,
    FirstImageValue,
    Logic,
    Name,
    Not,
    OverImages,
    Term,
)
from protocol.routing.rules.subject import Scope
from protocol.routing.rules.values import (
    ERROR,
    FALSE,
    MISSING,
    TRUE,
    UNKNOWN,
    Fault,
    Truth,
    Value,
    compare,
    every,
    negate,
    some,
    why_not,
)

LIMIT_TEXT = 200  # characters of one value that an explanation keeps
LIMIT_VALUES = 20  # values of one list

Explanation = dict[str, Any]


def explain(clause: Clause, scope: Scope) -> Explanation:
    """The explanation of a condition: text, kind, result; where they apply reason, values, clauses, images."""
    match clause:
        case Always(value=value):
            return _made(clause, "always", TRUE if value else FALSE)
        case Compare():
            return _of_compare(clause, scope)
        case Ask():
            return _of_question(clause, scope)
        case Not(clause=inner):
            below = explain(inner, scope)
            return _made(clause, "not", negate(Truth(below["result"]))) | {"clauses": [below]}
        case Logic(operator=operator, clauses=clauses):
            belows = [explain(one, scope) for one in clauses]
            truths = [Truth(below["result"]) for below in belows]
            return _made(clause, operator, every(truths) if operator == "and" else some(truths)) | {"clauses": belows}
        case OverImages():
            return _of_images(clause, scope)


def truth_of(clause: Clause, scope: Scope) -> Truth:
    """The result of a condition, without words."""
    match clause:
        case Always(value=value):
            return TRUE if value else FALSE
        case Compare(terms=terms, operators=operators):
            values = [value_of(term, scope) for term in terms]
            return every([compare(op, values[at], values[at + 1]) for at, op in enumerate(operators)])
        case Ask(function=function, arguments=arguments):
            return functions.CHECKS[function].run(*[value_of(argument, scope) for argument in arguments])
        case Not(clause=inner):
            return negate(truth_of(inner, scope))
        case Logic(operator=operator, clauses=clauses):
            truths = [truth_of(one, scope) for one in clauses]
            return every(truths) if operator == "and" else some(truths)
        case OverImages(function=function, clause=inner):
            return over_images(function, lambda image: truth_of(inner, image), scope.subject)


def value_of(term: Term, scope: Scope) -> Value:
    """The value of a term."""
    match term:
        case Constant(value=value):
            return value
        case Name(name=name, is_number=is_number):
            return scope.value(name, is_number)
        case Convert(function=function, arguments=arguments):
            return functions.CONVERSIONS[function].run(*[value_of(argument, scope) for argument in arguments])
        case FirstImageValue(term=inner):
            return first_value(lambda image: value_of(inner, image), scope.subject)
        case CountImages(clause=None):
            return len(scope.subject.images)
        case CountImages(clause=counted) if counted is not None:
            return count_images(lambda image: truth_of(counted, image), scope.subject)
    raise AssertionError(f"no such term: {term}")


def _made(clause: Clause, kind: str, result: Truth) -> Explanation:
    return {"text": clause.text, "kind": kind, "result": str(result)}


def _of_compare(clause: Compare, scope: Scope) -> Explanation:
    values = [value_of(term, scope) for term in clause.terms]
    results = [compare(op, values[at], values[at + 1]) for at, op in enumerate(clause.operators)]
    result = every(results)
    made = _made(clause, "compare", result) | {"values": _values_read(clause.terms, scope)}
    if result in (UNKNOWN, ERROR):
        at = results.index(result)
        made["reason"] = why_not(clause.operators[at], values[at], values[at + 1])
    return made


def _of_question(clause: Ask, scope: Scope) -> Explanation:
    values = tuple(value_of(argument, scope) for argument in clause.arguments)
    result = functions.CHECKS[clause.function].run(*values)
    made = _made(clause, clause.function, result) | {"values": _values_read(clause.arguments, scope)}
    if result in (UNKNOWN, ERROR):
        made["reason"] = functions.why_not(clause.function, values)
    return made


def _of_images(clause: OverImages, scope: Scope) -> Explanation:
    """Counts per result, and the explanation of the one image that shows why: never a tree per image."""
    subject, made = scope.subject, _made(clause, clause.function, UNKNOWN)
    if not subject.images:
        return made | {"reason": "there is no image"}
    chosen = [subject.first] if clause.function == "first_image" else range(len(subject.images))
    counts: dict[Truth, int] = dict.fromkeys(Truth, 0)
    example: dict[Truth, int] = {}
    for index in chosen:
        truth = truth_of(clause.clause, subject.image_scope(index))
        counts[truth] += 1
        example.setdefault(truth, index)
    result = every(example) if clause.function == "all_images" else some(example)
    index = example[result]
    made["result"] = str(result)
    made["images"] = {str(truth): count for truth, count in counts.items() if count}
    made["example"] = _json(subject.image_scope(index).value("SOPInstanceUID", False))
    made["clauses"] = [explain(clause.clause, subject.image_scope(index))]
    return made


def _values_read(terms: tuple[Term, ...], scope: Scope) -> list[Explanation]:
    read: list[Explanation] = []
    for term in terms:
        if isinstance(term, Constant):
            continue
        if isinstance(term, Convert):
            read.extend(_values_read(term.arguments, scope))
            continue
        name = term.name if isinstance(term, Name) else term.text
        entry: Explanation = {"name": name, "value": _json(value_of(term, scope))}
        note = scope.note(name) if isinstance(term, Name) else ""
        read.append(entry | {"note": note} if note else entry)
    return read


def _json(value: Value) -> object:
    """A value as JSON has it: missing is null, a list is cut at LIMIT_VALUES, a text at LIMIT_TEXT."""
    if isinstance(value, tuple):
        cut: list[object] = [_json(item) for item in value[:LIMIT_VALUES]]
        return [*cut, "…"] if len(value) > LIMIT_VALUES else cut
    if isinstance(value, str):
        return value if len(value) <= LIMIT_TEXT else value[:LIMIT_TEXT] + "…"
    if isinstance(value, Fault):
        return {"error": value.reason}
    return None if value is MISSING else value
