"""The tree that a rule's text becomes: small frozen nodes, each with the piece of text it came from.

They must not do anything but tell their names; `reader` makes them, `closures`, `explain` and `english` walk them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from protocol.records import record
from protocol.routing.rules.values import Kind, Scalar


@record
class Constant:
    """A number, a text, a date, or a list of them."""

    text: str
    value: Scalar | tuple[Scalar, ...]


@record
class Name:
    """A header value or an origin name. `name` is its key in the header's values, `key` that of the value once typed:
    one name may be read as several kinds.
    """

    text: str
    name: str
    title: str
    kind: Kind

    @property
    def key(self) -> str:
        return f"{self.name} {self.kind}"


@record
class Derived:
    """A value that comes of other values of the arrival: age(), hour(), weekday()."""

    text: str
    function: str


@record
class Convert:
    """A function that makes a value of a value: lower, upper, number, text, length, date."""

    text: str
    function: str
    arguments: tuple[Term, ...]


@record
class FirstImageValue:
    """`first_image(value)`."""

    text: str
    term: Term


@record
class CountImages:
    """`count_images(condition)`, or the number of all images where there is no condition."""

    text: str
    clause: Clause | None


@record
class Choice:
    """`chosen if clause else other`, of values."""

    text: str
    clause: Clause
    chosen: Term
    other: Term


Term = Constant | Name | Derived | Convert | FirstImageValue | CountImages | Choice


@record
class Always:
    """`True` or `False`."""

    text: str
    value: bool


@record
class Compare:
    """A comparison or a chain of them: `terms[0] operators[0] terms[1] operators[1] terms[2] ...`."""

    text: str
    terms: tuple[Term, ...]
    operators: tuple[str, ...]


@record
class Ask:
    """A function that is true or false: exists, contains, like, ..."""

    text: str
    function: str
    arguments: tuple[Term, ...]


@record
class Not:
    """`not clause`."""

    text: str
    clause: Clause


@record
class Logic:
    """`and` or `or` of two or more clauses."""

    text: str
    operator: str
    clauses: tuple[Clause, ...]


@record
class Either:
    """`chosen if clause else other`, of conditions."""

    text: str
    clause: Clause
    chosen: Clause
    other: Clause


@record
class OverImages:
    """`any_image`, `all_images` or `first_image` of a condition."""

    text: str
    function: str
    clause: Clause


Clause = Always | Compare | Ask | Not | Logic | Either | OverImages
Node = Clause | Term
NODES = (Always, Compare, Ask, Not, Logic, Either, OverImages, Constant, Name, Derived, Convert, FirstImageValue,
         CountImages, Choice)  # fmt: skip


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it."""
    yield node
    for field in fields(node):
        value = getattr(node, field.name)
        for child in value if isinstance(value, tuple) else (value,):
            if isinstance(child, NODES):
                yield from walk(child)
