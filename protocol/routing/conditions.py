"""The type of a condition inside the routing configuration: text that compiles, kept in canonical letters.
It must not evaluate anything.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator

from protocol.errors import RuleSyntaxError
from protocol.routing import shapes
from protocol.routing.rules.compiler import compile_rule


class RuleFault(ValueError):
    """A condition cannot be compiled."""

    def __init__(self, error: RuleSyntaxError) -> None:
        self.cure = error.cure
        super().__init__(f"{error.reason} (at character {error.position + 1})")


@lru_cache(maxsize=1024)  # from one version to the next most conditions are the same
def _canonical(when: str) -> str:
    try:
        return compile_rule(when).text
    except RuleSyntaxError as exc:
        raise RuleFault(exc) from exc


Condition = Annotated[str, AfterValidator(_canonical), shapes.CONDITION]
