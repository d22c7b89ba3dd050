"""Why a rule came to its result: the tree of its clauses, each with its result and the values it read.

It must not differ from what the compiled rule answers (a property test holds it to that); its output is JSON-encodable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from protocol.header.charset import REPLACEMENT
from protocol.routing.rules import functions
from protocol.routing.rules.closures import condition, getter, reads
from protocol.routing.rules.comparing import compare
from protocol.routing.rules.comparing import why_not as why_not_compared
from protocol.routing.rules.derived import SOURCES
from protocol.routing.rules.nodes import (
    Always,
    Ask,
    Choice,
    Clause,
    Compare,
    Constant,
    Convert,
    Derived,
    Either,
    Logic,
    Name,
    Not,
    OverImages,
    Term,
)
from protocol.routing.rules.subject import Scope
from protocol.routing.rules.values import ERROR, FALSE, MISSING, TRUE, UNKNOWN, Fault, Truth, Value, every, negate, some

LIMIT_TEXT = 200  # characters of one value that an explanation keeps
LIMIT_VALUES = 20  # values of one list
UNDECODED_NOTE = "holds characters that could not be decoded"

Explanation = dict[str, Any]
Explainer = Callable[[Scope], tuple[Truth, Explanation]]
_Reader = Callable[[Scope, Value], Explanation]
_WORDS = {truth: truth.value for truth in Truth}


def explainer(clause: Clause) -> Explainer:
    """What makes the explanation of a condition: text, kind, result; where they apply reason, values, clauses, images."""
    match clause:
        case Always(value=value):
            truth = TRUE if value else FALSE
            return lambda scope: (truth, _made(clause, "always", truth))
        case Compare():
            return _of_compare(clause)
        case Ask():
            return _of_question(clause)
        case Not(clause=inner):
            return _of_not(clause, explainer(inner))
        case Logic(operator=operator, clauses=clauses):
            return _of_logic(clause, operator, [explainer(one) for one in clauses])
        case Either():
            return _of_either(clause)
        case OverImages():
            return _of_images(clause)


def _made(clause: Clause, kind: str, result: Truth) -> Explanation:
    return {"text": clause.text, "kind": kind, "result": _WORDS[result]}


def _of_not(clause: Not, inner: Explainer) -> Explainer:
    def explain(scope: Scope) -> tuple[Truth, Explanation]:
        below, explanation = inner(scope)
        truth = negate(below)
        return truth, {"text": clause.text, "kind": "not", "result": _WORDS[truth], "clauses": [explanation]}

    return explain


def _of_logic(clause: Logic, operator: str, inner: Sequence[Explainer]) -> Explainer:
    join = every if operator == "and" else some

    def explain(scope: Scope) -> tuple[Truth, Explanation]:
        below = [one(scope) for one in inner]
        truth = join([one for one, _ in below])
        clauses = [explanation for _, explanation in below]
        return truth, {"text": clause.text, "kind": operator, "result": _WORDS[truth], "clauses": clauses}

    return explain


def _of_either(clause: Either) -> Explainer:
    """Only the branch that was taken is told."""
    decides, chosen, other = explainer(clause.clause), explainer(clause.chosen), explainer(clause.other)

    def explain(scope: Scope) -> tuple[Truth, Explanation]:
        truth, explanation = decides(scope)
        clauses = [explanation]
        if truth is TRUE or truth is FALSE:
            truth, explanation = chosen(scope) if truth is TRUE else other(scope)
            clauses.append(explanation)
        return truth, _made(clause, "if", truth) | {"clauses": clauses}

    return explain


def _of_compare(clause: Compare) -> Explainer:
    getters = [getter(term) for term in clause.terms]
    readers = _readers(clause.terms)
    links = list(enumerate(clause.operators))

    def explain(scope: Scope) -> tuple[Truth, Explanation]:
        values = [get(scope) for get in getters]
        results = [compare(op, values[at], values[at + 1]) for at, op in links]
        truth = every(results)
        made = {
            "text": clause.text,
            "kind": "compare",
            "result": _WORDS[truth],
            "values": [read(scope, values[at]) for at, read in readers],
        }
        if truth is UNKNOWN or truth is ERROR:
            at = results.index(truth)
            made["reason"] = why_not_compared(clause.operators[at], values[at], values[at + 1])
        return truth, made

    return explain


def _of_question(clause: Ask) -> Explainer:
    asked, getters, readers = condition(clause), [getter(term) for term in clause.arguments], _readers(clause.arguments)

    def explain(scope: Scope) -> tuple[Truth, Explanation]:
        truth, values = asked(scope), tuple([get(scope) for get in getters])
        made = _made(clause, clause.function, truth)
        made["values"] = [read(scope, values[at]) for at, read in readers]
        if truth is UNKNOWN or truth is ERROR:
            made["reason"] = functions.why_not(clause.function, values)
        return truth, made

    return explain


def _of_images(clause: OverImages) -> Explainer:
    """Counts for each result, and the explanation of the one image that shows why: never a tree for each image."""
    asked, inner, names = condition(clause.clause), explainer(clause.clause), reads(clause.clause)
    join = every if clause.function == "all_images" else some

    def explain(scope: Scope) -> tuple[Truth, Explanation]:
        subject = scope.subject
        if not subject.images:
            return UNKNOWN, _made(clause, clause.function, UNKNOWN) | {"reason": "there is no image"}
        first_only = clause.function == "first_image"
        groups = ((subject.image_scope(subject.first), 1),) if first_only else subject.grouped(names)
        counts, example = dict.fromkeys(Truth, 0), dict[Truth, Scope]()
        for image, alike in groups:
            truth = asked(image)
            counts[truth] += alike
            if truth not in example:
                example[truth] = image
        truth = join(example)
        shown = example[truth]
        made = _made(clause, clause.function, truth)
        made["images"] = {_WORDS[one]: count for one, count in counts.items() if count}
        made["example"] = _json(shown.value("SOPInstanceUID", "text"))
        made["clauses"] = [inner(shown)[1]]
        return truth, made

    return explain


# --- the values that a clause read ---------------------------------------------------------------------------------


def _readers(terms: Sequence[Term]) -> list[tuple[int, _Reader]]:
    """What tells the values that are worth telling, each with the place of its term: constants are not."""
    made = [(at, _reader(term)) for at, term in enumerate(terms)]
    return [(at, read) for at, read in made if read is not None]


def _reader(term: Term) -> _Reader | None:
    match term:
        case Constant():
            return None
        case Name():
            return _reader_of_name(term)
        case Derived():
            return _reader_of_source(term)
        case Choice():
            decides = explainer(term.clause)
            return lambda scope, value: _entry(term.text, value) | {"clauses": [decides(scope)[1]]}
        case Convert(arguments=(argument,)) if (inner := _reader(argument)) is not None:
            get = getter(argument)  # what went in tells more than what came out
            return lambda scope, value: inner(scope, get(scope))
    return lambda scope, value: _entry(term.text, value)


def _entry(name: str, value: Value) -> Explanation:
    return {"name": name, "value": _json(value)}


def _reader_of_name(term: Name) -> _Reader:
    name, kind = term.name, term.kind

    def read(scope: Scope, value: Value) -> Explanation:
        entry = _entry(name, value)
        notes = [note] if (note := scope.note(name, kind)) else []
        if _undecoded(value):
            notes.append(UNDECODED_NOTE)
        if notes:
            entry["note"] = "; ".join(notes)
        return entry

    return read


def _reader_of_source(term: Derived) -> _Reader:
    run, name = SOURCES[term.function].run, f"{term.function}()"

    def read(scope: Scope, value: Value) -> Explanation:
        note = run(scope)[1]
        return _entry(name, value) | {"note": note} if note else _entry(name, value)

    return read


def _undecoded(value: Value) -> bool:
    if type(value) is str:
        return REPLACEMENT in value
    texts = value if isinstance(value, tuple) else (value,)
    return any(isinstance(text, str) and REPLACEMENT in text for text in texts)


def _json(value: Value) -> object:
    """A value as JSON has it: missing is null, a list is cut at LIMIT_VALUES, a text at LIMIT_TEXT."""
    if type(value) is str:
        return value if len(value) <= LIMIT_TEXT else value[:LIMIT_TEXT] + "…"
    if isinstance(value, tuple):
        cut: list[object] = [_json(item) for item in value[:LIMIT_VALUES]]
        return [*cut, "…"] if len(value) > LIMIT_VALUES else cut
    if isinstance(value, str):
        return _json(str(value))
    if isinstance(value, Fault):
        return {"error": value.reason}
    return None if value is MISSING else value
