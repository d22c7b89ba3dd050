"""Patterns: `like` with * and ?, and regular expressions of the linear-time engine RE2, compiled once and bounded.

It must not run a pattern that could take longer than its text and itself are long, nor raise on any text.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

LIMIT_PATTERN = 500  # characters
LIMIT_PROGRAM = 2000  # RE2's instructions: one character of text costs at most so many steps
LIMIT_TEXT = 10_240  # characters: the longest value that PS3.5 section 6.2 gives a length (LT, ST is shorter)
_MEMORY = 1 << 20  # bytes, for the compiled pattern and its caches


class Pattern:
    """A compiled pattern."""

    def __init__(self, compiled: Any) -> None:
        self._search = compiled.search

    def found_in(self, text: str) -> bool:
        """Whether it matches somewhere in the text."""
        return self._search(text.encode("utf-8", "replace")) is not None


@lru_cache(maxsize=512)
def regex(pattern: str) -> Pattern:
    """A regular expression (RE2's syntax) that ignores case. Raises ValueError with the reason."""
    return Pattern(_compiled(pattern, ignores_case=True))


@lru_cache(maxsize=512)
def glob(pattern: str) -> Pattern:
    """A pattern for a whole case-folded text: * is any text, ? any one character, all else stands for itself.

    Raises ValueError with the reason.
    """
    return Pattern(_compiled(_globbed(pattern.casefold())))


@lru_cache(maxsize=512)
def unfolded_glob(pattern: str) -> Pattern | None:
    """The same for a text as it is: casefolding makes two characters of one (ß is ss), and ? is to be one of the text's own.

    None if that is too large: a pattern that `glob` takes must not be refused for it.
    """
    try:
        return Pattern(_compiled(_globbed(pattern), ignores_case=True))
    except ValueError:
        return None


def _globbed(pattern: str) -> str:
    parts = {"*": "(?s:.*)", "?": "(?s:.)"}
    return r"\A" + "".join(parts.get(one) or re2.escape(one) for one in pattern) + r"\z"


def _compiled(pattern: str, ignores_case: bool = False) -> Any:
    options = re2.Options()
    options.case_sensitive = not ignores_case
    options.max_mem = _MEMORY
    options.log_errors = False
    options.never_capture = True
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as exc:
        raise ValueError(_reason(exc)) from exc
    except UnicodeError as exc:
        raise ValueError("a character that no text can hold") from exc
    if compiled.programsize > LIMIT_PROGRAM:
        raise ValueError("it is too large")
    return compiled


def _reason(error: Exception) -> str:
    told = error.args[0] if error.args else b""
    return told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)
