"""Units of measurement by UCUM (unitsofmeasure.org): how many of one unit a number of another is.
Only products of the units that dose reports use; it must not guess: what it does not know is None.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

_PREFIXES = {"": 1.0, "u": 1e-6, "m": 1e-3, "c": 1e-2, "d": 1e-1, "h": 1e2, "k": 1e3}
# Unit -> (its base, how many of the base)
_UNITS = {"Gy": ("Gy", 1.0), "m": ("m", 1.0), "s": ("s", 1.0), "A": ("A", 1.0), "V": ("V", 1.0)}
_WHOLE = {"min": ("s", 60.0), "h": ("s", 3600.0), "1": ("", 1.0)}  # take no prefix
_TERM = re.compile(r"(u|m|c|d|h|k)?(Gy|m|s|A|V)([1-3])?", re.ASCII)
_ANNOTATION = re.compile(r"\{[^{}]{0,32}\}", re.ASCII)
MAX_LENGTH = 32  # characters

Dimensions = tuple[tuple[str, int], ...]


def factor(unit: str, wanted: str) -> float | None:
    """By what a number in `unit` is multiplied to be one in `wanted`; None if that is no such unit."""
    given, target = _read(unit), _read(wanted)
    if given is None or target is None or given[1] != target[1]:
        return None
    return given[0] / target[0]


@lru_cache(maxsize=256)
def _read(unit: str) -> tuple[float, Dimensions] | None:
    """Scale in base units and their powers. An annotation such as {events} counts as 1."""
    if len(unit) > MAX_LENGTH:
        return None
    text = _ANNOTATION.sub("", unit) or "1"
    scale, powers = 1.0, Counter[str]()
    for term in text.split("."):
        if term in _WHOLE:
            base, size, power = *_WHOLE[term], 1
        elif found := _TERM.fullmatch(term):
            base, size = _UNITS[found[2]]
            size, power = size * _PREFIXES[found[1] or ""], int(found[3] or 1)
        else:
            return None
        scale *= size**power
        if base:
            powers[base] += power
    return scale, tuple(sorted(powers.items()))
