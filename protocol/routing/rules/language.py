"""From a rule's text to its tree, its names and its canonical text; what is not part of the language is refused.

It must not evaluate or import anything that the text names; every refusal is a RuleSyntaxError with the position and
what to write instead.
"""

from __future__ import annotations

from protocol.errors import RuleSyntaxError
from protocol.records import record
from protocol.routing.rules.line import LIMIT_DEPTH, Line
from protocol.routing.rules.mercure import translate
from protocol.routing.rules.nodes import Clause
from protocol.routing.rules.reader import TreeReader

LIMIT_CHARACTERS = 4000
__all__ = ["LIMIT_CHARACTERS", "LIMIT_DEPTH", "Sentence", "read"]


@record
class Sentence:
    """A rule's text that was understood: its tree, its names, and the text in canonical letters and forms.

    `over_images`: it uses an image function.
    """

    text: str
    tree: Clause
    names: tuple[str, ...]
    over_images: bool


def read(text: str) -> Sentence:
    """Understand a rule's text. Raises RuleSyntaxError."""
    if len(text) > LIMIT_CHARACTERS:
        cure = "split it into several rules, or use `in` with a list"
        raise RuleSyntaxError(f"the rule is longer than {LIMIT_CHARACTERS} characters", LIMIT_CHARACTERS, cure)
    if not text.strip():
        raise RuleSyntaxError("the rule is empty", 0, "write True for a rule that always applies")
    line = Line(text)
    reader = TreeReader(line)
    tree = reader.clause(translate(line, line.parse()), 1)
    return Sentence(line.canonical(), tree, tuple(sorted(reader.references.found)), reader.asks_images)
