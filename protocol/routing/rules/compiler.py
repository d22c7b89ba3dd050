"""From a rule's tree to closures that answer fast, and the compiled rule that the rest of scanpost uses.

It must not evaluate text, and evaluating must never raise: whatever goes wrong is the result `error`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from protocol.routing.rules.explain import explain
from protocol.routing.rules.functions import CHECKS, CONVERSIONS
from protocol.routing.rules.images import count_images, first_value, over_images
from protocol.routing.rules.language import Sentence, read
from protocol.routing.rules.names import ORIGIN_NAMES
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
from protocol.routing.rules.subject import Scope, Subject
from protocol.routing.rules.values import ERROR, FALSE, TRUE, Truth, Value, compare, every, negate, some

Condition = Callable[[Scope], Truth]
Getter = Callable[[Scope], Value]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a rule came to for one subject. `explanation` is JSON-encodable and holds tag values (patient data)."""

    result: Truth
    explanation: dict[str, Any]

    @property
    def applies(self) -> bool:
        """Only `true` makes a rule apply."""
        return self.result is TRUE


class CompiledRule:
    """A rule's condition, ready to be asked. Safe to share between threads."""

    def __init__(self, sentence: Sentence) -> None:
        self.text = sentence.text
        self.tree = sentence.tree
        self.names = sentence.names
        self.over_images = sentence.over_images
        self._condition = _condition(sentence.tree)

    @property
    def keywords(self) -> tuple[str, ...]:
        """The DICOM keywords it reads out of headers: `names` without the origin names."""
        return tuple(name for name in self.names if name not in ORIGIN_NAMES or name == "TransferSyntaxUID")

    def result(self, subject: Subject) -> Truth:
        """The result alone, fast. Never raises."""
        try:
            return self._condition(subject.scope)
        except Exception:  # the caller must get an answer: `evaluate` tells the reason, the rule does not apply
            return ERROR

    def evaluate(self, subject: Subject) -> Evaluation:
        """The result with the value of each clause and the values it read. Never raises."""
        try:
            explanation = explain(self.tree, subject.scope)
            return Evaluation(Truth(explanation["result"]), explanation)
        except Exception as exc:  # a fault of ours or of the values handed in; the rule does not apply and says so
            reason = f"could not be evaluated: {type(exc).__name__}"
            return Evaluation(ERROR, {"text": self.text, "kind": "fault", "result": str(ERROR), "reason": reason})


def compile_rule(text: str) -> CompiledRule:
    """Compile a rule's condition. Raises RuleSyntaxError with the position and the cure."""
    return CompiledRule(read(text))


def _condition(clause: Clause) -> Condition:
    match clause:
        case Always(value=value):
            truth = TRUE if value else FALSE
            return lambda scope: truth
        case Compare():
            return _comparison(clause)
        case Ask(function=function, arguments=arguments):
            return _question(CHECKS[function].run, tuple(_getter(argument) for argument in arguments))
        case Not(clause=inner):
            negated = _condition(inner)
            return lambda scope: negate(negated(scope))
        case Logic(operator=operator, clauses=clauses):
            return _joined(operator, tuple(_condition(one) for one in clauses))
        case OverImages(function=function, clause=inner):
            over = _condition(inner)
            return lambda scope: over_images(function, over, scope.subject)


def _joined(operator: str, conditions: tuple[Condition, ...]) -> Condition:
    join = every if operator == "and" else some
    if len(conditions) == 1:
        return conditions[0]
    return lambda scope: join(condition(scope) for condition in conditions)  # lazy: the first that decides ends it


def _question(run: Callable[..., Truth], getters: tuple[Getter, ...]) -> Condition:
    return lambda scope: run(*[getter(scope) for getter in getters])


def _comparison(clause: Compare) -> Condition:
    getters = tuple(_getter(term) for term in clause.terms)
    if len(getters) == 2:
        left, right, operator = getters[0], getters[1], clause.operators[0]
        return lambda scope: compare(operator, left(scope), right(scope))
    links = tuple(zip(clause.operators, range(len(clause.operators)), strict=True))

    def chain(scope: Scope) -> Truth:
        values = [getter(scope) for getter in getters]
        return every(compare(operator, values[at], values[at + 1]) for operator, at in links)

    return chain


def _getter(term: Term) -> Getter:
    match term:
        case Constant(value=value):
            return lambda scope: value
        case Name(name=name, is_number=is_number):
            return lambda scope: scope.value(name, is_number)
        case Convert(function=function, arguments=arguments):
            run, getters = CONVERSIONS[function].run, tuple(_getter(argument) for argument in arguments)
            return lambda scope: run(*[getter(scope) for getter in getters])
        case FirstImageValue(term=inner):
            getter = _getter(inner)
            return lambda scope: first_value(getter, scope.subject)
        case CountImages(clause=None):
            return lambda scope: len(scope.subject.images)
        case CountImages(clause=counted) if counted is not None:
            condition = _condition(counted)
            return lambda scope: count_images(condition, scope.subject)
    raise AssertionError(f"no such term: {term}")
