"""A first condition out of a series that came in, and a rule around it, for a person to go on from. Pure: it must not read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from protocol.errors import RuleSyntaxError
from protocol.routing.rules.compiler import compile_rule

Fields = tuple[tuple[str, str], ...]
_TELLING: Fields = (
    ("Modality", "=="),
    ("SenderAET", "=="),
    ("StudyDescription", "contains"),
    ("SeriesDescription", "contains"),
)


def condition_of(values: Mapping[str, Any]) -> str:
    """What tells this series from others: modality, sender, descriptions, as far as it has them."""
    clauses = []
    for name, test in _TELLING:
        value = values.get(name)
        if not isinstance(value, str) or not value.strip():
            continue
        clause = f"{name} == {value!r}" if test == "==" else f"{test}({name}, {value!r})"
        if _compiles(clause):
            clauses.append(clause)
    return " and ".join(clauses) or "True"


def name_of(values: Mapping[str, Any], taken: set[str]) -> str:
    """A name that no other rule has."""
    words = " ".join(str(values.get(key) or "") for key in ("Modality", "StudyDescription"))
    base = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:40].strip("-") or "new-rule"
    return free(base, taken)


def free(base: str, taken: set[str]) -> str:
    """`base`, or with a number after it."""
    number, name = 1, base
    while name in taken or name == "new":
        number += 1
        name = f"{base}-{number}"
    return name


def _compiles(text: str) -> bool:
    try:
        compile_rule(text)
    except RuleSyntaxError:
        return False
    return True
