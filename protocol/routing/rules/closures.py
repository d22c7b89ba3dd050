"""From a rule's tree to closures that answer fast: a clause becomes a function of the scope, a term a getter of its value.

They must not raise on any values, and ask nothing that has been answered: `and` and `or` end with the first that decides.
"""

from __future__ import annotations

from collections.abc import Callable

from protocol.routing.rules.comparing import MIRRORED, Test, against, compare, containing
from protocol.routing.rules.derived import SOURCES
from protocol.routing.rules.functions import CHECKS, CONVERSIONS
from protocol.routing.rules.images import Reads
from protocol.routing.rules.nodes import (
    Always,
    Ask,
    Choice,
    Clause,
    Compare,
    Constant,
    Convert,
    CountImages,
    Derived,
    Either,
    FirstImageValue,
    Logic,
    Name,
    Node,
    Not,
    OverImages,
    Term,
    walk,
)
from protocol.routing.rules.over_images import count_images, first_value, over_images
from protocol.routing.rules.subject import Scope
from protocol.routing.rules.values import ERROR, FALSE, MISSING, TRUE, UNKNOWN, Fault, Truth, Value, negate

Condition = Callable[[Scope], Truth]
Getter = Callable[[Scope], Value]


def reads(node: Node) -> Reads:
    """The names that a node reads, and as what, sorted."""
    found = {(one.name, one.kind) for one in walk(node) if isinstance(one, Name)}
    for one in walk(node):
        if isinstance(one, Derived):
            found.update(SOURCES[one.function].reads)
    return tuple(sorted(found))


def condition(clause: Clause) -> Condition:
    """The clause as a function of the scope."""
    match clause:
        case Always(value=value):
            truth = TRUE if value else FALSE
            return lambda scope: truth
        case Compare():
            return _comparison(clause)
        case Ask():
            return _question(clause)
        case Not(clause=inner):
            negated = condition(inner)
            return lambda scope: negate(negated(scope))
        case Logic(operator=operator, clauses=clauses):
            return _joined(operator, tuple(condition(one) for one in clauses))
        case Either():
            return _either(clause)
        case OverImages(function=function, clause=inner):
            over, names = condition(inner), reads(inner)
            return lambda scope: over_images(function, over, names, scope.subject)


def getter(term: Term) -> Getter:
    """The term as a function of the scope."""
    match term:
        case Constant(value=value):
            return lambda scope: value
        case Name():
            return _named(term)
        case Derived(function=function):
            run = SOURCES[function].run
            return lambda scope: run(scope)[0]
        case Convert(function=function, arguments=(argument,)):
            convert, inner = CONVERSIONS[function].run, getter(argument)
            return lambda scope: convert(inner(scope))
        case FirstImageValue(term=below):
            got = getter(below)
            return lambda scope: first_value(got, scope.subject)
        case CountImages(clause=None):
            return lambda scope: len(scope.subject.images)
        case CountImages(clause=counted) if counted is not None:
            asked, names = condition(counted), reads(counted)
            return lambda scope: count_images(asked, names, scope.subject)
        case Choice():
            return _choice(term)
    raise AssertionError(f"no such term: {term}")


def _named(term: Name) -> Getter:
    key, name, kind = term.key, term.name, term.kind

    def get(scope: Scope) -> Value:
        value = scope.values.get(key)
        return scope.look_up(key, name, kind) if value is None else value

    return get


def _joined(operator: str, conditions: tuple[Condition, ...]) -> Condition:
    start, end = (TRUE, FALSE) if operator == "and" else (FALSE, TRUE)

    def joined(scope: Scope) -> Truth:
        result = start
        for one in conditions:
            truth = one(scope)
            if truth is end:
                return end
            if truth is not start and result is not ERROR:
                result = truth
        return result

    return joined


def _question(clause: Ask) -> Condition:
    prepare, (asked, *rest) = CHECKS[clause.function].prepare, clause.arguments
    constants = [argument.value for argument in rest if isinstance(argument, Constant)]
    if len(constants) == len(rest):
        return _tested(prepare(*constants), asked)
    get, others = getter(asked), [getter(argument) for argument in rest]
    return lambda scope: prepare(*[other(scope) for other in others])(get(scope))


def _tested(test: Test, asked: Term) -> Condition:
    """The test of a term; a name is looked up right here, which saves a call."""
    if not isinstance(asked, Name):
        get = getter(asked)
        return lambda scope: test(get(scope))
    key, name, kind = asked.key, asked.name, asked.kind

    def ask(scope: Scope) -> Truth:
        value = scope.values.get(key)
        return test(scope.look_up(key, name, kind) if value is None else value)

    return ask


def _comparison(clause: Compare) -> Condition:
    links = [
        _link(operator, left, right)
        for operator, left, right in zip(clause.operators, clause.terms, clause.terms[1:], strict=False)
    ]
    return links[0] if len(links) == 1 else _joined("and", tuple(links))


def _link(operator: str, left: Term, right: Term) -> Condition:
    """One comparison; against a constant it is prepared."""
    if isinstance(right, Constant):
        return _tested(against(operator, right.value), left)
    if isinstance(left, Constant) and operator in MIRRORED:
        return _tested(against(MIRRORED[operator], left.value), right)
    if isinstance(left, Constant):
        return _tested(containing(operator, left.value), right)
    one, other = getter(left), getter(right)
    return lambda scope: compare(operator, one(scope), other(scope))


def _either(clause: Either) -> Condition:
    decides, chosen, other = condition(clause.clause), condition(clause.chosen), condition(clause.other)

    def either(scope: Scope) -> Truth:
        truth = decides(scope)
        return chosen(scope) if truth is TRUE else other(scope) if truth is FALSE else truth

    return either


def _choice(term: Choice) -> Getter:
    decides, chosen, other = condition(term.clause), getter(term.chosen), getter(term.other)

    def choice(scope: Scope) -> Value:
        truth = decides(scope)
        if truth is TRUE:
            return chosen(scope)
        return other(scope) if truth is FALSE else undecided(truth)

    return choice


def undecided(truth: Truth) -> Value:
    """The value of `a if c else b` where c is neither true nor false."""
    return MISSING if truth is UNKNOWN else Fault("the condition of `if` is an error")
