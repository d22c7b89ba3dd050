"""From Python's tree of a rule to ours: an allow-list of what a rule may say.

It must not evaluate or import anything that the text names; whatever is not on the list is a RuleSyntaxError with the
position and what to write instead.
"""

from __future__ import annotations

import ast
from dataclasses import replace

from protocol.routing.rules import constants
from protocol.routing.rules.calls import read_call
from protocol.routing.rules.line import LIMIT_DEPTH, Line
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
    Not,
    OverImages,
    Term,
)
from protocol.routing.rules.references import References

_OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
_NO_CONDITION = "this is a value, not a condition"
_NO_VALUE = "this is a condition, not a value"
_TERMS = (Name, Constant, Convert, Derived, FirstImageValue, CountImages, Choice)


class TreeReader:
    """Walks Python's tree and builds ours; one reader reads one text."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.references = References(line)
        self.inside_images = self.asks_images = False

    def _check_depth(self, node: ast.expr, depth: int) -> None:
        if depth > LIMIT_DEPTH:
            raise self.line.refused(node, f"nested deeper than {LIMIT_DEPTH} levels", "split it into several rules")

    # --- conditions

    def clause(self, node: ast.expr, depth: int) -> Clause:
        """A condition: something that is true, false, unknown or an error. Raises RuleSyntaxError."""
        self._check_depth(node, depth)
        text = self.line.of(node)
        match node:
            case ast.Constant(value=bool() as value):
                return Always(text, value)
            case ast.BoolOp(op=op, values=values):
                clauses = tuple(self.clause(value, depth + 1) for value in values)
                return Logic(text, "and" if isinstance(op, ast.And) else "or", clauses)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(text, self.clause(operand, depth + 1))
            case ast.IfExp(test=test, body=body, orelse=other):
                return Either(text, *(self.clause(one, depth + 1) for one in (test, body, other)))
            case ast.Compare():
                return self._compare(node, depth)
            case ast.Call():
                return self._call_of_clause(node, depth)
            case ast.Name() | ast.Attribute():
                name = self._name(node).text
                cure = f"write exists({name}), or compare {name} with something"
                raise self.line.refused(node, _NO_CONDITION, cure)
            case ast.Constant() | ast.Tuple() | ast.List():
                raise self.line.refused(node, _NO_CONDITION, "compare it with something")
        raise self.line.refused_kind(node)

    def _call_of_clause(self, node: ast.Call, depth: int) -> Clause:
        called = read_call(self, node, depth, want_clause=True)
        if isinstance(called, Ask | OverImages):
            return called
        raise self.line.refused(node, _NO_CONDITION, "compare it with something")

    def _compare(self, node: ast.Compare, depth: int) -> Compare:
        operators: list[str] = []
        places = [node.left, *node.comparators]
        terms = [self.term(node.left, depth + 1)]
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            if type(op) not in _OPERATORS:
                raise self.line.refused(node, "`is` is not part of the rule language", "write == or !=")
            operators.append(_OPERATORS[type(op)])
            terms.append(self.term(comparator, depth + 1))
        for at, operator in enumerate(operators):
            self._check_pair(operator, terms[at : at + 2], places[at : at + 2])
        return Compare(self.line.of(node), tuple(map(_as_compared, terms, _beside(terms))), tuple(operators))

    def _check_pair(self, operator: str, terms: list[Term], places: list[ast.expr]) -> None:
        left, right = terms
        if isinstance(right, Constant) and (operator not in ("in", "not in") or isinstance(right.value, tuple)):
            constants.check_beside(self.line, left, places[1], right)
        if isinstance(left, Constant) and operator not in ("in", "not in"):
            constants.check_beside(self.line, right, places[0], left)

    # --- values

    def term(self, node: ast.expr, depth: int) -> Term:
        """A value: a constant, a name, or a function that makes one. Raises RuleSyntaxError."""
        self._check_depth(node, depth)
        match node:
            case ast.Name() | ast.Attribute():
                return self._name(node)
            case ast.Tuple() | ast.List():
                return constants.list_of(self.line, node)
            case ast.Constant() | ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                return Constant(self.line.of(node), constants.scalar(self.line, node))
            case ast.Call():
                return self._call_of_term(node, depth)
            case ast.IfExp(test=test, body=body, orelse=other):
                clause = self.clause(test, depth + 1)
                return Choice(self.line.of(node), clause, self.term(body, depth + 1), self.term(other, depth + 1))
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                raise self.line.refused(node, _NO_VALUE, "join conditions with and, or, not")
        raise self.line.refused_kind(node)

    def _call_of_term(self, node: ast.Call, depth: int) -> Term:
        called = read_call(self, node, depth, want_clause=False)
        if isinstance(called, _TERMS):
            return called
        raise self.line.refused(node, _NO_VALUE, "join conditions with and, or, not")

    def _name(self, node: ast.Name | ast.Attribute) -> Name:
        return self.references.name(node) if isinstance(node, ast.Name) else self.references.path(node)


def _beside(terms: list[Term]) -> list[set[str]]:
    """For each term, what kinds of constants stand beside it."""
    kinds: list[set[str]] = [set() for _ in terms]
    for at, term in enumerate(terms):
        if isinstance(term, Constant):
            values = term.value if isinstance(term.value, tuple) else (term.value,)
            told = {"text" if isinstance(value, str) else "number" for value in values}
            for neighbour in (at - 1, at + 1):
                if 0 <= neighbour < len(terms):
                    kinds[neighbour] |= told
    return kinds


def _as_compared(term: Term, beside: set[str]) -> Term:
    """An element whose type the dictionary does not know is read as what it is compared with."""
    if isinstance(term, Name) and term.kind == "any" and len(beside) == 1:
        return replace(term, kind="text" if beside == {"text"} else "number")
    return term
