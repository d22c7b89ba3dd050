"""A rule in plain English: "Modality is 'MR' and Study Description contains 'cardiac'".

It must not evaluate anything; it walks the same tree as the compiler.
"""

from __future__ import annotations

from protocol.routing.rules.derived import SOURCES
from protocol.routing.rules.functions import CHECKS, CONVERSIONS
from protocol.routing.rules.moments import Moment
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
from protocol.routing.rules.values import Scalar

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
_TIMES = {"<": "is before", "<=": "is not after", ">": "is after", ">=": "is not before"}
_IMAGES = {"any_image": "for any image", "all_images": "for all images", "first_image": "for the first image"}


def english(clause: Clause) -> str:
    """The condition in words."""
    match clause:
        case Always(value=value):
            return "always" if value else "never"
        case Compare(terms=terms, operators=operators):
            return " and ".join(
                f"{_term(left)} {_verb(operator, left, right)} {_term(right)}"
                for operator, left, right in zip(operators, terms, terms[1:], strict=False)
            )
        case Ask(function=function, arguments=arguments):
            pattern = CHECKS[function].pattern
            rest = (f"'{one.value}'" if pattern and isinstance(one, Constant) else _term(one) for one in arguments[1:])
            return " ".join([_term(arguments[0]), CHECKS[function].english, *rest])
        case Not(clause=inner):
            return f"not ({english(inner)})"
        case Logic(operator=operator, clauses=clauses):
            parts = (f"({english(one)})" if isinstance(one, Logic | Either) else english(one) for one in clauses)
            return f" {operator} ".join(parts)
        case Either(clause=decides, chosen=chosen, other=other):
            return f"if ({english(decides)}) then ({english(chosen)}), otherwise ({english(other)})"
        case OverImages(function=function, clause=inner):
            return f"{_IMAGES[function]}: ({english(inner)})"


def _verb(operator: str, left: Term, right: Term) -> str:
    """Membership in a list of constants reads as a choice, an order of dates as before and after."""
    if operator in ("in", "not in") and isinstance(right, Constant) and isinstance(right.value, tuple):
        return "is one of" if operator == "in" else "is none of"
    if operator in _TIMES and (_is_time(left) or _is_time(right)):
        return _TIMES[operator]
    return _WORDS[operator]


def _is_time(term: Term) -> bool:
    return isinstance(term, Name) and term.kind in ("date", "time", "datetime")


def _term(term: Term) -> str:
    match term:
        case Constant(value=value):
            return ", ".join(map(_scalar, value)) if isinstance(value, tuple) else _scalar(value)
        case Name(title=title):
            return title
        case Derived(function=function):
            return SOURCES[function].english
        case Convert(function=function, arguments=(argument,)):
            return CONVERSIONS[function].english.replace("{}", _term(argument))
        case FirstImageValue(term=inner):
            return f"{_term(inner)} of the first image"
        case CountImages(clause=None):
            return "the number of images"
        case CountImages(clause=counted) if counted is not None:
            return f"the number of images where ({english(counted)})"
        case Choice(clause=decides, chosen=chosen, other=other):
            return f"({_term(chosen)} if {english(decides)}, otherwise {_term(other)})"
    raise AssertionError(f"no such term: {term}")


def _scalar(value: Scalar) -> str:
    return str(value) if isinstance(value, Moment) else repr(value)
