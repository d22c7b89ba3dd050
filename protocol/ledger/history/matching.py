"""What a text in the one search box can mean: exact values of columns, beginnings of names and UIDs, numbers.
Pure; it must not ask a database.
"""

from __future__ import annotations

import re
from dataclasses import field

from protocol.records import record
from protocol.typed import cleaned, names_of, numbers_of, unlabelled

__all__ = ["Meaning", "meaning", "names_of"]

_UID = re.compile(r"[0-9]+(\.[0-9]+)+")  # PS3.5 section 9.1
_NUMBER = re.compile(r"[0-9]{1,18}")
_AE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")  # PS3.5 section 6.2, AE
MIN_UID = 6  # characters of the beginning of a UID; "1.2.84" would be most of them
MAX_UID = 64


@record
class Meaning:
    """What to look for; anything that matches is wanted. All empty: nothing can match."""

    exact: dict[str, list[str]] = field(default_factory=dict)  # column of arrival -> values
    names: list[str] = field(default_factory=list)  # beginnings of case-folded names
    sop_uid: str = ""
    number: int | None = None  # of an arrival
    uid_begins: str = ""  # of a study or series


def meaning(text: str) -> Meaning:
    """Everything that a text may mean. A text no value can have (NUL, too long) means nothing."""
    text = cleaned(text)
    if not text:
        return Meaning()
    numbers = numbers_of(text)
    exact = {"accession": numbers, "patient_id": numbers}
    uid = unlabelled(text).rstrip(".")
    if _UID.fullmatch(uid) and len(uid) <= MAX_UID:
        begins = uid if len(uid) >= MIN_UID else ""
        return Meaning(exact | {"study_uid": [uid], "series_uid": [uid]}, sop_uid=uid, uid_begins=begins)
    senders = [one for one in numbers if _AE.fullmatch(one)]
    if senders:
        exact["calling_ae"] = senders
    number = int(text) if _NUMBER.fullmatch(text) else None
    return Meaning(exact, names_of(text) if number is None else [], number=number)
