"""The tree that a rule's text becomes: small frozen nodes, each with the piece of text it came from.

They must not do anything; `language` makes them, `compiler`, `explain` and `english` walk them.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.routing.rules.values import Scalar


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, a text, or a list of them."""

    text: str
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Name:
    """A DICOM keyword or an origin name, canonical."""

    text: str
    name: str
    title: str
    is_number: bool


@dataclass(frozen=True, slots=True)
class Convert:
    """A function that makes a value of values: lower, upper."""

    text: str
    function: str
    arguments: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class FirstImageValue:
    """`first_image(value)`."""

    text: str
    term: Term


@dataclass(frozen=True, slots=True)
class CountImages:
    """`count_images(condition)`, or the number of all images where there is no condition."""

    text: str
    clause: Clause | None


Term = Constant | Name | Convert | FirstImageValue | CountImages


@dataclass(frozen=True, slots=True)
class Always:
    """`True` or `False`."""

    text: str
    value: bool


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison or a chain of them: `terms[0] operators[0] terms[1] operators[1] terms[2] ...`."""

    text: str
    terms: tuple[Term, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """A function that is true or false: exists, contains, ..."""

    text: str
    function: str
    arguments: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """`not clause`."""

    text: str
    clause: Clause


@dataclass(frozen=True, slots=True)
class Logic:
    """`and` or `or` of two or more clauses."""

    text: str
    operator: str
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class OverImages:
    """`any_image`, `all_images` or `first_image` of a condition."""

    text: str
    function: str
    clause: Clause


Clause = Always | Compare | Ask | Not | Logic | OverImages
