"""The names a rule may read: DICOM keywords (PS3.6) and the origin of an arrival.

It must not hold values; it only says what a name is called, whether it is a number, and what was probably meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from pydicom.datadict import dictionary_description, dictionary_VR, keyword_dict

ORIGIN_NAMES = {
    "SenderAET": "sender's AE title",
    "SenderAddress": "sender's address",
    "ReceiverAET": "receiver's AE title",
    "Source": "source",
    "TransferSyntaxUID": "transfer syntax",
    "ImageCount": "number of images",
    "ReceivedAt": "time of receipt",
}
_NUMBER_VRS = frozenset({"DS", "IS", "FD", "FL", "US", "SS", "UL", "SL", "UV", "SV"})


@dataclass(frozen=True, slots=True)
class KnownName:
    """A name as the dictionary has it. `kind` is number, text, sequence or binary."""

    name: str
    kind: str
    title: str
    is_origin: bool = False


def _kind(vr: str) -> str:
    parts = set(vr.split(" or "))
    if "SQ" in parts:
        return "sequence"
    if any(part.startswith("O") or part in ("UN", "NONE") for part in parts):
        return "binary"
    return "number" if parts <= _NUMBER_VRS else "text"


@cache
def known_names() -> dict[str, KnownName]:
    """Every name a rule may write, by its lower-case form."""
    names = {
        keyword.lower(): KnownName(keyword, _kind(dictionary_VR(tag)), dictionary_description(tag))
        for keyword, tag in keyword_dict.items()
        if keyword
    }
    for name, title in ORIGIN_NAMES.items():
        names[name.lower()] = KnownName(name, "number" if name == "ImageCount" else "text", title, is_origin=True)
    return names


def find(name: str) -> KnownName | None:
    """The known name for `name`, in any case of letters, or None."""
    return known_names().get(name.lower())


def nearest(name: str, candidates: Iterable[str], most: int = 3) -> list[str]:
    """The candidates most like `name`, best first; case is ignored."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    return [by_lower[match] for match in difflib.get_close_matches(name.lower(), by_lower, n=most, cutoff=0.6)]


def did_you_mean(name: str, candidates: Iterable[str], otherwise: str = "") -> str:
    """A cure: `did you mean 'A' or 'B'?`, or `otherwise` where nothing is near."""
    found = nearest(name, candidates)
    return "did you mean " + " or ".join(f"'{one}'" for one in found) + "?" if found else otherwise
