"""A rule in plain English: "Modality is 'MR' and Study Description contains 'cardiac'".

It must not evaluate anything; it walks the same tree as the compiler.
"""

from __future__ import annotations

from protocol.routing.rules.functions import CHECKS
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

_WORDS = {
    "==": "is",
    "!=": "is not",
    "<": "is below",
    "<=": "is at most",
    ">": "is above",
    ">=": "is at least",
    "in": "is in",
    "not in": "is not in",
}
_IMAGES = {"any_image": "for any image", "all_images": "for all images", "first_image": "for the first image"}


def english(clause: Clause) -> str:
    """The condition in words."""
    match clause:
        case Always(value=value):
            return "always" if value else "never"
        case Compare(terms=terms, operators=operators):
            links = (
                f"{_term(terms[at])} {_verb(operator, terms[at + 1])} {_term(terms[at + 1])}"
                for at, operator in enumerate(operators)
            )
            return " and ".join(links)
        case Ask(function=function, arguments=arguments):
            return " ".join([_term(arguments[0]), CHECKS[function].english, *map(_term, arguments[1:])])
        case Not(clause=inner):
            return f"not ({english(inner)})"
        case Logic(operator=operator, clauses=clauses):
            parts = (f"({english(one)})" if isinstance(one, Logic) else english(one) for one in clauses)
            return f" {operator} ".join(parts)
        case OverImages(function=function, clause=inner):
            return f"{_IMAGES[function]}: ({english(inner)})"


def _verb(operator: str, right: Term) -> str:
    """Membership in a list of constants reads as a choice."""
    if operator in ("in", "not in") and isinstance(right, Constant) and isinstance(right.value, tuple):
        return "is one of" if operator == "in" else "is none of"
    return _WORDS[operator]


def _term(term: Term) -> str:
    match term:
        case Constant(value=value):
            return ", ".join(map(repr, value)) if isinstance(value, tuple) else repr(value)
        case Name(title=title):
            return title
        case Convert(function=function, arguments=arguments):
            return f"{', '.join(map(_term, arguments))} in {function} case"
        case FirstImageValue(term=inner):
            return f"{_term(inner)} of the first image"
        case CountImages(clause=None):
            return "the number of images"
        case CountImages(clause=counted) if counted is not None:
            return f"the number of images where ({english(counted)})"
    raise AssertionError(f"no such term: {term}")
