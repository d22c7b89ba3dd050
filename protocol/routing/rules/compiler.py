"""The compiled rule that the rest of scanpost uses: its canonical text, its names, its result and the explanation.

It must not evaluate text, and evaluating must never raise: whatever goes wrong is the result `error`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from protocol.routing.rules.closures import condition
from protocol.routing.rules.explain import Explainer, explainer
from protocol.routing.rules.language import Sentence, read
from protocol.routing.rules.names import ARRIVAL_NAMES
from protocol.routing.rules.subject import Subject
from protocol.routing.rules.values import ERROR, TRUE, Truth


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
    """A rule's condition, ready to be asked. Safe to share between threads.

    `text` is the condition in canonical letters, `names` what it reads, `over_images` whether it uses an image function.
    """

    def __init__(self, sentence: Sentence) -> None:
        self.text = sentence.text
        self.tree = sentence.tree
        self.names = sentence.names
        self.over_images = sentence.over_images
        self._condition = condition(sentence.tree)

    @property
    def keywords(self) -> tuple[str, ...]:
        """What it reads out of headers, as `protocol.header.wanted.compile_wanted` takes it: `names` without the
        names of the arrival.
        """
        return tuple(name for name in self.names if name not in ARRIVAL_NAMES)

    @cached_property
    def _explainer(self) -> Explainer:
        return explainer(self.tree)

    def result(self, subject: Subject) -> Truth:
        """The result alone, fast. Never raises."""
        try:
            return self._condition(subject)
        except Exception:  # the caller must get an answer: `evaluate` tells the reason, the rule does not apply
            return ERROR

    def evaluate(self, subject: Subject) -> Evaluation:
        """The result with the value of each clause and the values it read. Never raises."""
        try:
            return Evaluation(*self._explainer(subject))
        except (
            Exception
        ) as exc:  # a fault of ours or of the values handed in: what counts is the result, told without why
            result = self.result(subject)
            reason = f"could not be explained: {type(exc).__name__}"
            return Evaluation(result, {"text": self.text, "kind": "fault", "result": str(result), "reason": reason})


def compile_rule(text: str) -> CompiledRule:
    """Compile a rule's condition. Raises RuleSyntaxError with the position and the cure."""
    return CompiledRule(read(text))
