"""What a text in the one search box can mean: exact values of columns, beginnings of names, numbers.
Pure; it must not ask a database.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MIN_NAME = 2  # characters of a name's beginning; one letter would be a tenth of all patients
MAX_TEXT = 255
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")  # PS3.5 section 9.1
_NUMBER = re.compile(r"[0-9]{1,18}")
_AE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")  # PS3.5 section 6.2, AE


@dataclass(frozen=True)
class Meaning:
    """What to look for; anything that matches is wanted. All empty: nothing can match."""

    exact: dict[str, list[str]] = field(default_factory=dict)  # column of arrival -> values
    names: list[str] = field(default_factory=list)  # beginnings of case-folded names
    sop_uid: str = ""
    number: int | None = None  # of an arrival


def meaning(text: str) -> Meaning:
    """Everything that a text may mean. A text no value can have (NUL, too long) means nothing."""
    text = text.strip()
    if not text or len(text) > MAX_TEXT or "\0" in text or any("\ud800" <= one <= "\udfff" for one in text):
        return Meaning()
    exact = {"accession": [text], "patient_id": [text]}
    if _UID.fullmatch(text) and len(text) <= 64:
        return Meaning(exact | {"study_uid": [text], "series_uid": [text]}, sop_uid=text)
    if _AE.fullmatch(text):
        exact["calling_ae"] = sorted({text, text.upper()})
    number = int(text) if _NUMBER.fullmatch(text) else None
    return Meaning(exact, names_of(text) if number is None else [], number=number)


def names_of(text: str) -> list[str]:
    """Beginnings of a person name (PS3.5 section 6.2.1: components end with ^) that people may mean: `Doe, J`, `doe j`."""
    folded = " ".join(text.casefold().split())
    if len(folded) < MIN_NAME:
        return []
    found = [folded]
    if "," in folded:
        family, _, given = folded.partition(",")
        found.append(f"{family.strip()}^{given.strip()}")
    elif " " in folded and "^" not in folded:
        found.append(folded.replace(" ", "^", 1))
    return found
