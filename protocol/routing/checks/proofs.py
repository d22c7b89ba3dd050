"""What can be proven about conditions without any image: equal meaning, one following from another, never true.

It must never guess: False means "not proven". Proofs hold in three-valued logic, where `and` is true if all are and `or`
is true if one is, whatever the others are (rules.md, "Three values, and errors").
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import fields, is_dataclass
from itertools import chain
from typing import Any

from protocol.routing.rules.nodes import Always, Clause, Compare, Constant, Logic, Name, Not

Meaning = tuple[str, Any]
"""("always", bool), ("and" | "or", set of meanings), or ("clause", what it says); equal ones say the same."""

ALWAYS: Meaning = ("always", True)
NEVER: Meaning = ("always", False)
_WRITING = ("text", "title")  # how a node was written, not what it says


def meaning(clause: Clause) -> Meaning:
    """What a condition says, without its spelling, its parentheses and the order of its parts."""
    match clause:
        case Always(value=value):
            return ALWAYS if value else NEVER
        case Not(clause=Not(clause=inner)):
            return meaning(inner)
        case Not(clause=Always(value=value)):
            return NEVER if value else ALWAYS
        case Logic(operator=operator, clauses=clauses):
            return _joined(operator, [meaning(one) for one in clauses])
    return "clause", _said(clause)


def _joined(operator: str, parts: list[Meaning]) -> Meaning:
    decides, empty = (NEVER, ALWAYS) if operator == "and" else (ALWAYS, NEVER)
    flat: set[Meaning] = set()
    for part in parts:
        flat |= part[1] if part[0] == operator else {part}
    flat.discard(empty)
    if decides in flat:
        return decides
    if len(flat) < 2:
        return flat.pop() if flat else empty
    return operator, frozenset(flat)


def _said(value: Any) -> Hashable:
    if is_dataclass(value) and not isinstance(value, type):
        kept = (_said(getattr(value, field.name)) for field in fields(value) if field.name not in _WRITING)
        return (type(value).__name__, *kept)
    if isinstance(value, (tuple, list)):
        return tuple(_said(one) for one in value)
    # 1, 1.0 and True are equal to Python, and so are a date and a time of the same letters
    return type(value).__name__, value, str(getattr(value, "kind", ""))


def follows(when: Meaning, then: Meaning) -> bool:
    """Whether `then` is proven to be true wherever `when` is true."""
    return _follows(when, then, {})


def _follows(when: Meaning, then: Meaning, known: dict[tuple[Meaning, Meaning], bool]) -> bool:
    if when in (then, NEVER) or then == ALWAYS:
        return True
    pair = when, then
    if pair not in known:
        known[pair] = _derived(when, then, known)
    return known[pair]


def _derived(when: Meaning, then: Meaning, known: dict[tuple[Meaning, Meaning], bool]) -> bool:
    if when[0] == "or":
        return all(_follows(one, then, known) for one in when[1])
    if then[0] == "and":
        return all(_follows(when, one, known) for one in then[1])
    if then[0] == "or" and any(_follows(when, one, known) for one in then[1]):
        return True
    return when[0] == "and" and any(_follows(one, then, known) for one in when[1])


def needed(then: Meaning) -> list[frozenset[Meaning]]:
    """Clauses without which `then` is never proven: of each of these sets one at least must stand in what it follows from.

    Only to save work: `follows` says whether it is proven.
    """
    if then in (ALWAYS, NEVER):
        return []
    return [clauses(one) for one in (then[1] if then[0] == "and" else [then])]


def clauses(says: Meaning) -> frozenset[Meaning]:
    """The clauses that a meaning is made of."""
    if says[0] in ("and", "or"):
        return frozenset(clause for one in says[1] for clause in clauses(one))
    return frozenset({says})


def contradiction(*conditions: Clause) -> str:
    """Words for two parts of a condition, or of several about the same images, that cannot both be true, or an empty text:
    a name equal to two texts.
    """
    wanted: dict[str, Compare] = {}
    for one in chain.from_iterable(map(_all_of, conditions)):
        match one:
            case Compare(terms=(Name(name=name, kind="text"), Constant(value=str() as value)), operators=("==",)) if (
                type(value) is str
            ):
                # a date can be written in several ways
                other = wanted.setdefault(name, one)
                if _text_of(other).strip().casefold() != value.strip().casefold():
                    return f"{other.text} and {one.text}"
    return ""


def _all_of(clause: Clause) -> Iterator[Clause]:
    if isinstance(clause, Logic) and clause.operator == "and":
        for one in clause.clauses:
            yield from _all_of(one)
    else:
        yield clause


def _text_of(compare: Compare) -> str:
    constant = compare.terms[1]
    assert isinstance(constant, Constant)
    return str(constant.value)


def compared_with(node: Any, name: str) -> Iterator[str]:
    """The texts that a condition compares a name with, anywhere in it, by == or in."""
    if isinstance(node, Compare):
        for at, operator in enumerate(node.operators):
            yield from _constants(node.terms[at], operator, node.terms[at + 1], name)
    if is_dataclass(node):
        for field in fields(node):
            yield from compared_with(getattr(node, field.name), name)
    elif isinstance(node, tuple):
        for one in node:
            yield from compared_with(one, name)


def _constants(left: Any, operator: str, right: Any, name: str) -> Iterator[str]:
    if operator == "==" and isinstance(right, Name):
        left, right = right, left
    match left, right:
        case Name(name=found), Constant(value=value) if found == name and operator in ("==", "in"):
            if isinstance(value, tuple):
                yield from (one for one in value if isinstance(one, str))
            elif isinstance(value, str) and operator == "==":
                yield value
